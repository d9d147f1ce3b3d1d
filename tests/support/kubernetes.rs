//! The Kubernetes API, and its ways to fail.

use std::collections::BTreeMap;

use cluster_plan::names::{Member, Names, ServiceKind};
use cluster_plan::synchronous::SyncKey;
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use postgresql_k8s::ports::{
    Access, Kubernetes, NodeSize, PortError, PortResult, REVISION_LABEL, Registered, RollingUpdate,
};
use postgresql_k8s::services;

use super::{APP, MODEL, State, World};

/// How the API fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KubeFault {
    /// 403: no `--trust`.
    Forbidden,
    /// 500.
    Internal,
    /// No answer in time.
    Silent,
}

/// The API as one unit sees it.
pub struct FakeKubernetes<'a> {
    pub world: &'a World,
    pub ordinal: u32,
}

impl FakeKubernetes<'_> {
    fn up(&self) -> PortResult<()> {
        let name = "the Kubernetes API";
        match self.world.with(|state| state.kube_fault) {
            None => Ok(()),
            Some(KubeFault::Forbidden) => {
                Err(PortError::Forbidden(name, "pods is forbidden".into()))
            }
            Some(KubeFault::Internal) => {
                Err(PortError::Failed("get pod".into(), "status 500".into()))
            }
            Some(KubeFault::Silent) => Err(PortError::Unreachable(name, "timed out".into())),
        }
    }
}

impl Kubernetes for FakeKubernetes<'_> {
    fn pod(&self, name: &str) -> PortResult<Option<Pod>> {
        self.up()?;
        assert_eq!(name, format!("{APP}-{}", self.ordinal));
        let labels = self.world.with(|s| {
            let unit = s.unit(self.ordinal);
            let mut labels = unit.labels.clone();
            labels.insert(REVISION_LABEL.into(), unit.template.clone());
            labels
        });
        Ok(Some(Pod {
            metadata: ObjectMeta {
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            spec: Some(PodSpec {
                node_name: Some("node".into()),
                ..PodSpec::default()
            }),
            status: Some(PodStatus {
                pod_ip: Some(
                    self.world
                        .with(|s| format!("{}.{}", s.network, self.ordinal)),
                ),
                ..PodStatus::default()
            }),
        }))
    }

    fn label_pod(&self, _: &str, labels: &[(&str, &str)]) -> PortResult<()> {
        self.up()?;
        self.world.with(|state| {
            for (key, value) in labels {
                let unit = state.unit(self.ordinal);
                unit.labels.insert((*key).into(), (*value).into());
            }
            state.effect("label pod");
        });
        Ok(())
    }

    fn service(&self, name: &str) -> PortResult<Option<Service>> {
        self.up()?;
        Ok(self.world.with(|state| {
            state.service_looks.push(name.to_owned());
            if name == format!("{APP}-endpoints") {
                let names = Names::new(APP, MODEL);
                return state.headless.then(|| services::headless(&names, None));
            }
            state.services.get(name).cloned()
        }))
    }

    fn apply_service(&self, service: &Service, _: &Names) -> PortResult<()> {
        self.up()?;
        let name = service.metadata.name.clone().unwrap_or_default();
        self.world.with(|state| {
            if name == format!("{APP}-endpoints") {
                state.headless = true;
            } else {
                let mut service = service.clone();
                state.give_port(&name, &mut service);
                state.services.insert(name.clone(), service);
            }
            state.effect(format!("apply Service {name}"));
        });
        Ok(())
    }

    fn release_service(&self, name: &str, _: &Names) -> PortResult<()> {
        self.up()?;
        self.world
            .with(|state| state.effect(format!("release Service {name}")));
        Ok(())
    }

    fn delete_service(&self, name: &str, _: &Names) -> PortResult<()> {
        self.up()?;
        self.world.with(|state| {
            state.services.remove(name);
            state.effect(format!("delete Service {name}"));
        });
        Ok(())
    }

    fn hosts(&self, app: &str) -> PortResult<BTreeMap<String, String>> {
        self.up()?;
        Ok(self.world.with(|state| {
            let here = |n: &u32| state.units.contains_key(n);
            let nodes = state.nodes.iter().filter(|(n, _)| here(n));
            nodes
                .map(|(n, address)| (format!("{app}-{n}"), address.clone()))
                .collect()
        }))
    }

    fn endpoints(&self, name: &str) -> PortResult<Option<Registered>> {
        self.up()?;
        assert!(name.ends_with("-config"), "{name}");
        Ok(self.world.with(|state| state.registered.clone()))
    }

    fn sync_key(&self, name: &str) -> PortResult<Option<SyncKey>> {
        self.up()?;
        assert_eq!(name, format!("patroni-{APP}-sync"));
        Ok(self.world.with(|state| {
            // Where nobody leads, one of those that may.
            let may_lead = || state.synchronous.first().copied();
            let leader = format!("{APP}-{}", state.holder.or_else(may_lead)?);
            let mut members = state.synchronous_standbys();
            members.remove(&leader);
            members.extend(state.reminded.then(|| leader.clone()));
            Some(SyncKey {
                leader,
                members,
                version: "7".into(),
            })
        }))
    }

    fn write_sync_key(&self, _: &str, key: &SyncKey) -> PortResult<()> {
        self.up()?;
        self.world.with(|state| {
            let mut others = key.members.clone();
            assert!(others.remove(&key.leader), "a difference for Patroni");
            let now = state.synchronous_standbys();
            assert_eq!(others, now, "nobody else may be promoted than before");
            assert_eq!(key.version, "7");
            state.reminded = true;
            state.effect("remind Patroni");
        });
        Ok(())
    }

    fn delete_registration(&self, name: &str, _: &Names) -> PortResult<()> {
        self.up()?;
        self.world.with(|state| {
            if name.ends_with("-config") {
                state.registered = None;
            }
            state.effect(format!("delete {name}"));
        });
        Ok(())
    }

    fn stateful_set_created(&self, _: &str) -> PortResult<Option<String>> {
        self.up()?;
        Ok(Some(self.world.with(|state| state.stateful_set.clone())))
    }

    fn rolling_update(&self, _: &str) -> PortResult<Option<RollingUpdate>> {
        self.up()?;
        Ok(self.world.with(|state| {
            let pods = state.units.iter();
            let pods = pods.map(|(ordinal, unit)| (*ordinal, unit.template.clone()));
            let strays = state
                .strays
                .iter()
                .map(|ordinal| (*ordinal, "rev-0".to_owned()));
            Some(RollingUpdate {
                partition: state.partition,
                guarded: state.guarded,
                wanted: state.template.clone(),
                pods: pods
                    .chain(strays)
                    .map(|(ordinal, template)| (format!("{APP}-{ordinal}"), template))
                    .collect(),
            })
        }))
    }

    fn set_partition(&self, _: &str, ordinal: u32) -> PortResult<()> {
        self.up()?;
        self.world.with(|state| {
            state.partition = ordinal;
            state.effect(format!("partition {ordinal}"));
        });
        Ok(())
    }

    fn guard_partition(&self, _: &str, ordinal: u32, guard: bool) -> PortResult<()> {
        self.up()?;
        self.world.with(|state| {
            (state.partition, state.guarded) = (ordinal, guard);
            state.effect(format!("guard {ordinal} {guard}"));
        });
        Ok(())
    }

    fn node(&self, _: &str) -> PortResult<Option<NodeSize>> {
        self.up()?;
        Ok(Some(NodeSize {
            cpu: "4".into(),
            memory: "8Gi".into(),
        }))
    }

    fn adopt(&self, _: &str, _: &str, _: &[String]) -> PortResult<usize> {
        self.up()?;
        self.world.with(|state| {
            if std::mem::replace(&mut state.adopted, true) {
                return Ok(0);
            }
            state.effect("adopt");
            Ok(1)
        })
    }

    fn patroni_access_stands(&self, _: &Names, _: &Member) -> PortResult<bool> {
        self.up()?;
        Ok(true)
    }

    fn patroni_access(&self, _: &Names, _: &Member) -> PortResult<Option<Access>> {
        self.up()?;
        self.world.with(|state| state.effect("account"));
        Ok(Some(Access {
            kubeconfig: "a token".to_owned().into(),
            authority: "an authority".to_owned(),
        }))
    }
}

impl State {
    /// A Service of that type gets a port on the nodes, and keeps it.
    pub fn give_port(&mut self, name: &str, service: &mut Service) {
        let had = self.services.get(name).and_then(services::node_port);
        let Some(spec) = &mut service.spec else {
            return;
        };
        if self.no_node_ports || spec.type_.as_deref() != Some("NodePort") {
            return;
        }
        for port in spec.ports.iter_mut().flatten() {
            port.node_port = Some(had.map_or_else(
                || {
                    self.node_port += 1;
                    self.node_port
                },
                i32::from,
            ));
        }
    }
}

/// The Services that lead to members, by kind.
pub fn leads_to(services: &BTreeMap<String, Service>, kind: ServiceKind) -> bool {
    services.contains_key(&format!("{APP}-{kind}"))
}
