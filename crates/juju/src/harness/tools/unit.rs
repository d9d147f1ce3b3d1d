//! Ports, storages, networks, resources and credentials.

use serde_json::{Map, Value, json};

use crate::harness::call::{Answer, Args, Refused, refused, usage};
use crate::harness::simulator::Simulator;
use crate::harness::state::Network;

/// A port as Juju writes it.
fn port(args: &Args) -> Result<String, Refused> {
    let given = args.word(0).ok_or_else(|| usage("no port specified"))?;
    args.at_most(1)?;
    if given == "icmp" {
        return Ok(given.to_owned());
    }
    let (number, protocol) = given.split_once('/').unwrap_or((given, "tcp"));
    if number.contains('-') {
        return Err(refused(
            "port ranges are not supported for k8s applications, please specify a single port",
        ));
    }
    if !["tcp", "udp"].contains(&protocol) {
        return Err(usage(format!(
            "invalid protocol \"{protocol}\", expected \"tcp\", \"udp\", or \"icmp\""
        )));
    }
    match number.parse::<u16>() {
        Ok(number) if number > 0 => Ok(format!("{number}/{protocol}")),
        _ => Err(usage(format!("invalid port \"{given}\""))),
    }
}

impl Simulator<'_> {
    pub(super) fn open_port(&self, args: &Args) -> Answer {
        let port = port(args)?;
        self.inner.borrow_mut().view.opened_ports.insert(port);
        Ok(String::new())
    }

    pub(super) fn close_port(&self, args: &Args) -> Answer {
        let port = port(args)?;
        self.inner.borrow_mut().view.opened_ports.remove(&port);
        Ok(String::new())
    }

    pub(super) fn opened_ports(&self, args: &Args) -> Answer {
        args.at_most(0)?;
        let inner = self.inner.borrow();
        let mut ports: Vec<&String> = inner.view.opened_ports.iter().collect();
        ports.sort_by_key(|port| {
            let (number, protocol) = port.split_once('/').unwrap_or(("0", port));
            (protocol.to_owned(), number.parse::<u32>().unwrap_or(0))
        });
        args.print(&json!(ports))
    }

    pub(super) fn storage_list(&self, args: &Args) -> Answer {
        args.at_most(1)?;
        let wanted = args.word(0);
        let inner = self.inner.borrow();
        let storages = inner.view.storages.iter();
        let mut ids: Vec<String> = storages
            .filter(|storage| wanted.is_none_or(|name| name == storage.name))
            .map(crate::harness::state::Storage::id)
            .collect();
        ids.sort();
        args.print(&json!(ids))
    }

    pub(super) fn storage_get(&self, args: &Args) -> Answer {
        args.at_most(1)?;
        let of_hook = match &self.trigger.event {
            crate::Event::StorageAttached(event) | crate::Event::StorageDetaching(event) => {
                Some(event.id.as_str())
            }
            _ => None,
        };
        let Some(id) = args.flag("storage").or(of_hook) else {
            return Err(usage("no storage instance specified"));
        };
        let inner = self.inner.borrow();
        let mut storages = inner.view.storages.iter();
        let storage = storages.find(|storage| storage.id() == id).ok_or_else(|| {
            usage(format!(
                "invalid value \"{id}\" for option -s: storage \"{id}\" not found"
            ))
        })?;
        match args.word(0) {
            None => args.print(&json!({"kind": "filesystem", "location": storage.location})),
            Some("kind") => args.print(&json!("filesystem")),
            Some("location") => args.print(&json!(storage.location)),
            Some(other) => Err(refused(format!("invalid storage attribute \"{other}\""))),
        }
    }

    pub(super) fn storage_add(&self, args: &Args) -> Answer {
        if args.word(0).is_none() {
            return Err(usage("storage add requires a storage directive"));
        }
        for word in args.words_from(0) {
            let (name, count) = word.split_once('=').unwrap_or((word, "1"));
            let Ok(count) = count.parse::<u32>() else {
                return Err(usage(format!("only count can be specified for \"{name}\"")));
            };
            if !self.charm.metadata.storage.contains_key(name) {
                return Err(refused(format!("charm storage \"{name}\" not found")));
            }
            let mut inner = self.inner.borrow_mut();
            *inner.storages.entry(name.to_owned()).or_default() += count;
        }
        Ok(String::new())
    }

    fn network(&self, binding: &str) -> Network {
        let inner = self.inner.borrow();
        let known = inner.view.networks.get(binding);
        known.cloned().unwrap_or_default()
    }

    pub(super) fn network_get(&self, args: &Args) -> Answer {
        args.at_most(1)?;
        let Some(binding) = args.word(0) else {
            return Err(usage("no arguments specified"));
        };
        if args.flag("relation").is_some() {
            self.relation(args)?;
        }
        if !self.charm.has_binding(binding) {
            return Err(refused(format!(
                "no network config found for binding \"{binding}\""
            )));
        }
        let network = self.network(binding);
        let mut chosen = Map::new();
        if args.has("bind-address") {
            chosen.insert("bind-address".into(), json!(network.bind_address));
        }
        if args.has("ingress-address") {
            chosen.insert("ingress-address".into(), json!(network.ingress_address));
        }
        if args.has("egress-subnets") {
            chosen.insert("egress-subnets".into(), json!(network.egress_subnets));
        }
        match chosen.len() {
            0 => args.print(&json!({
                "bind-addresses": [{
                    "mac-address": "",
                    "interface-name": "",
                    "addresses": [{"hostname": "", "value": network.bind_address, "cidr": ""}],
                }],
                "egress-subnets": network.egress_subnets,
                "ingress-addresses": [network.ingress_address],
            })),
            1 => args.print(chosen.values().next().unwrap_or(&Value::Null)),
            _ => args.print(&Value::Object(chosen)),
        }
    }

    pub(super) fn unit_get(&self, args: &Args) -> Answer {
        args.at_most(1)?;
        let network = self.network("juju-info");
        match args.word(0) {
            Some("private-address") => args.print(&json!(network.bind_address)),
            Some("public-address") => args.print(&json!(network.ingress_address)),
            Some(other) => Err(refused(format!("unknown setting \"{other}\""))),
            None => Err(usage("no setting specified")),
        }
    }

    pub(super) fn resource_get(&self, args: &Args) -> Answer {
        let name = args
            .word(0)
            .ok_or_else(|| usage("missing required resource name"))?;
        let inner = self.inner.borrow();
        let found = inner.view.resources.get(name);
        found.cloned().ok_or_else(|| {
            refused(format!(
                "could not download resource: resource \"{name}\" not found"
            ))
        })
    }

    pub(super) fn credential_get(&self, args: &Args) -> Answer {
        args.at_most(0)?;
        match &self.inner.borrow().view.model.credential {
            Some(credential) => args.print(credential),
            None => Err(refused("cannot access cloud credentials")),
        }
    }
}
