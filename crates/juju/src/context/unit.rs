//! The unit's ports, storages, networks, resources and credentials.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Context, Result};

impl Context<'_> {
    /// Ports that are open, `5432/tcp`; those that this hook opened are among them.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn opened_ports(&self) -> Result<Vec<String>> {
        if let Some(known) = &*self.ports.borrow() {
            return Ok(known.iter().cloned().collect());
        }
        let found: Option<Vec<String>> = self.json("opened-ports", &["--format=json"])?;
        let found = found.unwrap_or_default();
        *self.ports.borrow_mut() = Some(found.iter().cloned().collect());
        Ok(found)
    }

    /// Opens a port, `5432/tcp` or `icmp`, unless it is open.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn open_port(&self, port: &str) -> Result<()> {
        self.switch_port("open-port", port, true)
    }

    /// Closes a port, if it is open.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn close_port(&self, port: &str) -> Result<()> {
        self.switch_port("close-port", port, false)
    }

    fn switch_port(&self, tool: &'static str, port: &str, open: bool) -> Result<()> {
        let name = match port {
            number if number.bytes().all(|c| c.is_ascii_digit()) => format!("{number}/tcp"),
            named => named.to_owned(),
        };
        let mut ports: BTreeSet<String> = self.opened_ports()?.into_iter().collect();
        if ports.contains(&name) == open {
            return Ok(());
        }
        self.call(tool, &[&name], None)?;
        if open {
            ports.insert(name);
        } else {
            ports.remove(&name);
        }
        *self.ports.borrow_mut() = Some(ports);
        Ok(())
    }

    /// Ids of the unit's storages, of one name if given.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn storage_list(&self, name: Option<&str>) -> Result<Vec<String>> {
        let mut args = vec!["--format=json"];
        args.extend(name);
        let found: Option<_> = self.read("storage-list", &args)?;
        Ok(found.unwrap_or_default())
    }

    /// Where a storage is mounted.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn storage_location(&self, id: &str) -> Result<String> {
        self.read("storage-get", &["-s", id, "--format=json", "location"])
    }

    /// Asks for more storages of a name.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn storage_add(&self, name: &str, count: u32) -> Result<()> {
        self.call("storage-add", &[&format!("{name}={count}")], None)
            .map(drop)
    }

    /// Addresses of a binding, as the tool gives them.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn network_get(&self, binding: &str) -> Result<Value> {
        self.read("network-get", &[binding, "--format=json"])
    }

    /// Addresses of a binding towards one relation, as the tool gives them.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn network_of_relation(&self, binding: &str, relation: &str) -> Result<Value> {
        self.read("network-get", &[binding, "-r", relation, "--format=json"])
    }

    /// The unit's `private-address` or `public-address`; newer charms use
    /// [`Context::network_get`].
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn unit_address(&self, which: &str) -> Result<String> {
        let found: Option<_> = self.read("unit-get", &["--format=json", which])?;
        Ok(found.unwrap_or_default())
    }

    /// Path of a resource, which Juju fetches first if need be.
    ///
    /// # Errors
    /// When it can't be had.
    pub fn resource_get(&self, name: &str) -> Result<String> {
        let output = self.call("resource-get", &[name], None)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The cloud's credential, for an application that was deployed with `--trust`; on Kubernetes
    /// from Juju 3.6.10.
    ///
    /// # Errors
    /// When the application is not trusted.
    pub fn credential_get(&self) -> Result<Value> {
        self.json("credential-get", &["--format=json"])
    }
}
