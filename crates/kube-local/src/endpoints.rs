//! The controller of Endpoints: for each Service with a selector, the addresses of its pods.
//! Endpoints of Services without a selector, which Patroni keeps itself, are never touched.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::json as field;
use crate::resource;
use crate::selector::matches_labels;
use crate::server::Inner;
use crate::store::Tx;

/// Follows every change of a Service or a pod until the server is gone.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut latest = inner.store.subscribe();
    let mut seen = 0;
    loop {
        let relevant = match inner.store.since(seen, usize::MAX) {
            Ok(changes) => {
                seen = changes.last().map_or(seen, |change| change.revision);
                changes
                    .iter()
                    .any(|change| ["services", "pods"].contains(&change.resource.plural))
            }
            Err(oldest) => {
                seen = oldest;
                true
            }
        };
        if relevant {
            inner.store.transact(reconcile);
        }
        if latest.changed().await.is_err() {
            return;
        }
    }
}

fn reconcile(tx: &mut Tx<'_>) {
    let all = |plural: &str| -> Vec<Arc<Value>> {
        let kind = resource::by_plural(plural);
        kind.map_or_else(Vec::new, |kind| tx.list(kind, None).cloned().collect())
    };
    let changed = wanted(&all("services"), &all("pods"), &all("endpoints"));
    let Some(kind) = resource::by_plural("endpoints") else {
        return;
    };
    for mut object in changed {
        field::default(
            &mut object,
            &["metadata", "uid"],
            uuid::Uuid::new_v4().to_string(),
        );
        let now = crate::defaults::now();
        field::default(&mut object, &["metadata", "creationTimestamp"], now);
        tx.put(kind, object);
    }
}

/// The Endpoints that should be otherwise, as they should be; those that are there already keep
/// their version.
pub(crate) fn wanted(
    services: &[Arc<Value>],
    pods: &[Arc<Value>],
    endpoints: &[Arc<Value>],
) -> Vec<Value> {
    let place = |object: &Value| {
        let text = |key| field::text(object, &["metadata", key]).to_owned();
        (text("namespace"), text("name"))
    };
    let selecting = services.iter().filter(|service| {
        field::get(service, &["spec", "selector"]).is_some_and(|s| !field::is_empty(s))
    });
    let mut changed = Vec::new();
    for service in selecting {
        let (namespace, name) = place(service);
        let selector = field::part(service, &["spec", "selector"]);
        let members: Vec<Arc<Value>> = pods
            .iter()
            .filter(|pod| field::text(pod, &["metadata", "namespace"]) == namespace)
            .filter(|pod| matches_labels(&selector, pod))
            .filter(|pod| !field::text(pod, &["status", "podIP"]).is_empty())
            .filter(|pod| field::text(pod, &["metadata", "deletionTimestamp"]).is_empty())
            .cloned()
            .collect();
        let subsets = subsets(service, &members);
        let current = endpoints.iter().find(|one| place(one) == place(service));
        let same = current.is_some_and(|object| {
            object.get("subsets").cloned().unwrap_or_else(|| json!([])) == subsets
        });
        if same {
            continue;
        }
        let mut object = current.map_or_else(
            || {
                json!({
                    "apiVersion": "v1", "kind": "Endpoints",
                    "metadata": {"name": name, "namespace": namespace},
                })
            },
            |object| (**object).clone(),
        );
        // They go with their Service, by the same means as any other owned object.
        let owner = json!([{
            "apiVersion": "v1", "kind": "Service", "name": name,
            "uid": field::text(service, &["metadata", "uid"]),
        }]);
        field::set(&mut object, &["metadata", "ownerReferences"], owner);
        field::carry(service, &mut object, &["metadata", "labels"]);
        field::set(&mut object, &["subsets"], subsets);
        changed.push(object);
    }
    changed
}

fn subsets(service: &Value, pods: &[Arc<Value>]) -> Value {
    let publish = field::get(service, &["spec", "publishNotReadyAddresses"])
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let name = field::text(service, &["metadata", "name"]);
    let address = |pod: &Arc<Value>| {
        let mut address = json!({
            "ip": field::text(pod, &["status", "podIP"]),
            "targetRef": {
                "kind": "Pod",
                "name": field::text(pod, &["metadata", "name"]),
                "namespace": field::text(pod, &["metadata", "namespace"]),
                "uid": field::text(pod, &["metadata", "uid"]),
            },
        });
        let node = field::text(pod, &["spec", "nodeName"]);
        if !node.is_empty() {
            field::set(&mut address, &["nodeName"], node);
        }
        let hostname = field::text(pod, &["spec", "hostname"]);
        if !hostname.is_empty() && field::text(pod, &["spec", "subdomain"]) == name {
            field::set(&mut address, &["hostname"], hostname);
        }
        address
    };
    let ready = |pod: &&Arc<Value>| publish || is_ready(pod);
    let addresses: Vec<Value> = pods.iter().filter(ready).map(address).collect();
    let others: Vec<Value> = pods.iter().filter(|pod| !ready(pod)).map(address).collect();
    if addresses.is_empty() && others.is_empty() {
        return json!([]);
    }
    let ports: Vec<Value> = field::list(service, &["spec", "ports"])
        .iter()
        .filter_map(|port| {
            let number = target(port, pods)?;
            let protocol = field::part(port, &["protocol"]);
            let mut one = json!({"port": number, "protocol": protocol});
            if let Some(name) = port.get("name") {
                field::set(&mut one, &["name"], name.clone());
            }
            Some(one)
        })
        .collect();
    let mut subset = json!({});
    for (key, list) in [
        ("addresses", addresses),
        ("notReadyAddresses", others),
        ("ports", ports),
    ] {
        if !list.is_empty() {
            field::set(&mut subset, &[key], list);
        }
    }
    json!([subset])
}

fn is_ready(pod: &Value) -> bool {
    field::list(pod, &["status", "conditions"])
        .iter()
        .any(|condition| {
            field::text(condition, &["type"]) == "Ready"
                && field::text(condition, &["status"]) == "True"
        })
}

/// The pods' number of a Service's port; a named one is looked up in the first pod.
fn target(port: &Value, pods: &[Arc<Value>]) -> Option<Value> {
    let wanted = port.get("targetPort").or_else(|| port.get("port"))?;
    let Some(name) = wanted.as_str() else {
        return Some(wanted.clone());
    };
    let containers = field::list(pods.first()?, &["spec", "containers"]);
    let mut ports = containers.iter().flat_map(|c| field::list(c, &["ports"]));
    let found = ports.find(|port| field::text(port, &["name"]) == name)?;
    found.get("containerPort").cloned()
}
