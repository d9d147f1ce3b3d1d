//! The two Services that lead clients to the primary and to the replicas, those that do so from
//! outside Kubernetes, and the headless one that Juju makes, for when somebody has deleted it.

use std::collections::BTreeMap;

use cluster_plan::names::{Names, PATRONI_PORT, POSTGRESQL_PORT, ServiceKind};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::ports::{patroni_labels, role_label};

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// The headless Service as Juju makes it. Juju does not look after it once the application stands.
#[must_use]
pub fn headless(names: &Names, owners: Option<Vec<OwnerReference>>) -> Service {
    let label = ("app.kubernetes.io/name", names.app());
    Service {
        metadata: ObjectMeta {
            name: Some(names.headless()),
            namespace: Some(names.model().to_owned()),
            labels: Some(map(&[label, ("app.kubernetes.io/managed-by", "juju")])),
            owner_references: owners,
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            selector: Some(map(&[label])),
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// The Service of Patroni's configuration, as Patroni itself makes it: it leads nowhere.
#[must_use]
pub fn registration(names: &Names, owners: Option<Vec<OwnerReference>>) -> Service {
    Service {
        metadata: ObjectMeta {
            name: Some(names.config()),
            namespace: Some(names.model().to_owned()),
            labels: Some(map(&patroni_labels(&names.scope()))),
            owner_references: owners,
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// A Service as it should be. Its owners are those of the pods, so that it goes with them.
#[must_use]
pub fn service(
    names: &Names,
    kind: ServiceKind,
    leader_label: &'static str,
    owners: Option<Vec<OwnerReference>>,
) -> Service {
    let ports = vec![port("api", PATRONI_PORT), port("database", POSTGRESQL_PORT)];
    leading(
        names,
        (kind, leader_label),
        names.service(kind),
        owners,
        ports,
    )
}

/// The Service that leads there from outside Kubernetes, by a port of every node: to the database
/// alone.
#[must_use]
pub fn external(
    names: &Names,
    kind: ServiceKind,
    leader_label: &'static str,
    owners: Option<Vec<OwnerReference>>,
) -> Service {
    let ports = vec![port("database", POSTGRESQL_PORT)];
    let name = names.external_service(kind);
    let mut service = leading(names, (kind, leader_label), name, owners, ports);
    if let Some(spec) = &mut service.spec {
        spec.type_ = Some(NODE_PORT.to_owned());
    }
    service
}

const NODE_PORT: &str = "NodePort";

/// Whether a Service leads from outside as it should.
#[must_use]
pub fn fits_external(
    current: &Service,
    names: &Names,
    kind: ServiceKind,
    leader_label: &'static str,
) -> bool {
    let typed = |service: &Service| service.spec.as_ref().and_then(|spec| spec.type_.clone());
    let wanted = external(names, kind, leader_label, None);
    leads_alike(current, &wanted) && typed(current) == typed(&wanted)
}

/// Whether two Services have the same ports and lead to the same pods.
#[must_use]
pub fn leads_alike(one: &Service, other: &Service) -> bool {
    let (Some(one), Some(other)) = (&one.spec, &other.spec) else {
        return false;
    };
    let ports = |spec: &ServiceSpec| -> Vec<(Option<String>, i32)> {
        let ports = spec.ports.iter().flatten();
        ports.map(|port| (port.name.clone(), port.port)).collect()
    };
    one.selector == other.selector && ports(one) == ports(other)
}

/// The port of a Service on every node, once it has one.
#[must_use]
pub fn node_port(service: &Service) -> Option<u16> {
    let ports = service.spec.as_ref()?.ports.as_ref()?;
    let port = ports.first()?.node_port?;
    u16::try_from(port).ok().filter(|port| *port > 0)
}

fn port(name: &str, number: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(number),
        ..ServicePort::default()
    }
}

fn leading(
    names: &Names,
    (kind, leader_label): (ServiceKind, &'static str),
    name: String,
    owners: Option<Vec<OwnerReference>>,
    ports: Vec<ServicePort>,
) -> Service {
    Service {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(names.model().to_owned()),
            labels: Some(map(&[("app.kubernetes.io/name", names.app())])),
            owner_references: owners,
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            selector: Some(map(&[
                ("app.kubernetes.io/name", names.app()),
                ("cluster-name", &names.scope()),
                ("role", role_label(kind, leader_label)),
            ])),
            ports: Some(ports),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
