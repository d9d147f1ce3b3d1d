//! What runs in a pod's containers: their mounts, their environment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pod_runtime::{ContainerSpec, Mount};

use super::pods::{Pod, short_id};

impl Pod {
    pub(super) fn spec(&self, name: &str, command: Vec<String>) -> ContainerSpec {
        let workload = self.plan.containers.contains_key(name);
        let host = self.name();
        let domain = format!("{}.svc.cluster.local", self.plan.model);
        ContainerSpec {
            directory: self.directory.join(format!("{name}-{}", short_id())),
            network: self.network.namespace.clone(),
            hostname: host.clone(),
            address: self.network.address,
            fqdn: format!("{host}.{}-endpoints.{domain}", self.plan.app),
            search: vec![domain, "svc.cluster.local".into(), "cluster.local".into()],
            image: self
                .plan
                .containers
                .get(name)
                .and_then(|container| container.image.clone()),
            mounts: self.mounts(name),
            command,
            environment: self.environment(name, workload),
            working_dir: if workload { "/" } else { "/var/lib/juju" }.into(),
            log: self.directory.join(format!("{name}.log")),
        }
    }

    fn mounts(&self, name: &str) -> Vec<Mount> {
        let volume = self.directory.join("charm-data");
        let mount = |source: PathBuf, target: &str, read_only| Mount {
            source,
            target: target.into(),
            read_only,
        };
        let runtime = self.controller.home.runtime();
        let mut mounts = vec![
            mount(runtime.join("bin"), "/charm/bin", true),
            mount(
                volume.join("account"),
                "/var/run/secrets/kubernetes.io/serviceaccount",
                true,
            ),
        ];
        match self.plan.containers.get(name) {
            None => {
                let charms = self
                    .controller
                    .home
                    .path()
                    .join("charms")
                    .join(&self.plan.model);
                mounts.push(mount(volume.join("juju"), "/var/lib/juju", false));
                mounts.push(mount(volume.join("containers"), "/charm/containers", false));
                mounts.push(mount(
                    volume.join("token"),
                    "/var/lib/juju-local/token",
                    true,
                ));
                mounts.push(mount(charms, "/var/lib/juju-local/charms", true));
                mounts.push(mount(
                    runtime.join("agents"),
                    "/var/lib/juju-local/controller",
                    false,
                ));
                for (_, folder, location) in &self.plan.storage {
                    mounts.push(mount(folder.clone(), location, false));
                }
            }
            Some(container) => {
                mounts.push(mount(
                    volume.join("containers").join(name),
                    "/charm/container",
                    false,
                ));
                for wanted in &container.mounts {
                    let found = self
                        .plan
                        .storage
                        .iter()
                        .find(|(kind, ..)| *kind == wanted.storage);
                    if let Some((_, folder, location)) = found {
                        let target = if wanted.location.is_empty() {
                            location
                        } else {
                            &wanted.location
                        };
                        mounts.push(mount(folder.clone(), target, false));
                    }
                }
            }
        }
        mounts
    }

    fn environment(&self, name: &str, workload: bool) -> BTreeMap<String, String> {
        let api = pod_runtime::API_ADDRESS.to_string();
        let names: Vec<&str> = self.plan.containers.keys().map(String::as_str).collect();
        let mut pairs = vec![
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            ),
            ("HOSTNAME", self.name()),
            ("KUBERNETES_SERVICE_HOST", api.clone()),
            ("KUBERNETES_SERVICE_PORT", "443".to_owned()),
            ("KUBERNETES_SERVICE_PORT_HTTPS", "443".to_owned()),
            ("KUBERNETES_PORT", format!("tcp://{api}:443")),
        ];
        if workload {
            pairs.extend([
                ("JUJU_CONTAINER_NAME", name.to_owned()),
                ("PEBBLE_SOCKET", "/charm/container/pebble.socket".to_owned()),
                ("PEBBLE", "/charm/container/pebble".to_owned()),
                ("PEBBLE_COPY_ONCE", "/var/lib/pebble/default".to_owned()),
            ]);
        } else {
            let plan = &self.plan;
            let user = plan
                .user
                .map(|user| ("JUJU_LOCAL_CHARM_USER", user.to_string()));
            pairs.extend(user);
            pairs.extend([
                ("JUJU_CONTAINER_NAMES", names.join(",")),
                ("JUJU_LOCAL_UNIT", plan.unit.clone()),
                ("JUJU_LOCAL_MODEL", plan.model.clone()),
                ("JUJU_LOCAL_MODEL_UUID", plan.model_uuid.clone()),
                ("JUJU_LOCAL_POD_IP", self.network.address.to_string()),
                (
                    "JUJU_LOCAL_CHARM_SOURCE",
                    format!("/var/lib/juju-local/charms/{}-{}", plan.app, plan.revision),
                ),
            ]);
        }
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }
}
