//! The two Services that lead clients to the primary and to the replicas, and the headless one that
//! Juju makes, for when somebody has deleted it.

use std::collections::BTreeMap;

use cluster_plan::names::{Names, PATRONI_PORT, POSTGRESQL_PORT, ServiceKind};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::ports::role_label;

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

/// A Service as it should be. Its owners are those of the pods, so that it goes with them.
#[must_use]
pub fn service(
    names: &Names,
    kind: ServiceKind,
    leader_label: &'static str,
    owners: Option<Vec<OwnerReference>>,
) -> Service {
    let port = |name: &str, number: u16| ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(number),
        ..ServicePort::default()
    };
    Service {
        metadata: ObjectMeta {
            name: Some(names.service(kind)),
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
            ports: Some(vec![
                port("api", PATRONI_PORT),
                port("database", POSTGRESQL_PORT),
            ]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
