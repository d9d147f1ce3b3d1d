//! What Patroni keeps in the Kubernetes API.

use k8s_openapi::api::core::v1::{Endpoints, Pod};
use kube::api::{ListParams, PartialObjectMeta};
use kube::{Api, Client, Resource, ResourceExt};
use patroni::{Object, Objects};

use super::PortResult;
use super::kubernetes::bounded;

/// The objects of the cluster of this scope, pods and Endpoints side by side.
pub(super) async fn objects(client: Client, namespace: &str, scope: &str) -> PortResult<Objects> {
    let selector = super::patroni_labels(scope).map(|(key, value)| format!("{key}={value}"));
    let selector = ListParams::default().labels(&selector.join(","));
    bounded("read what Patroni keeps", client, async |client| {
        let pods = Api::<Pod>::namespaced(client.clone(), namespace);
        let endpoints = Api::<Endpoints>::namespaced(client, namespace);
        let (pods, endpoints) = tokio::try_join!(
            pods.list_metadata(&selector),
            endpoints.list_metadata(&selector)
        )?;
        Ok(Objects {
            pods: pods.into_iter().map(object).collect(),
            endpoints: endpoints.into_iter().map(object).collect(),
        })
    })
    .await
}

fn object<K: Resource>(found: PartialObjectMeta<K>) -> Object {
    Object {
        name: found.name_any(),
        annotations: found.metadata.annotations.unwrap_or_default(),
    }
}
