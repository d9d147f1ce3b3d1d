//! An application's objects in Kubernetes, as Juju makes them, and what the network takes from
//! Kubernetes' objects.

use std::net::Ipv4Addr;

use pod_runtime::{Names, ServicePort};
use serde_json::{Value, json};

use super::cluster::Cluster;

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
/// The container of the charm in every pod.
pub(super) const CHARM: &str = "charm";
/// The one node.
pub(super) const NODE: &str = "juju-local";

/// Creates an object; one that exists already is replaced.
pub(super) fn put(api: &Cluster, collection: &str, object: &Value) -> Value {
    let name = object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let media = "application/json";
    let (status, made) = api.call("POST", collection, media, Some(object));
    if status != 409 {
        warn_if_refused(status, &made, collection);
        return made;
    }
    let path = format!("{collection}/{name}");
    patch(api, &path, object)
}

fn patch(api: &Cluster, path: &str, change: &Value) -> Value {
    let (status, patched) = api.call("PATCH", path, "application/merge-patch+json", Some(change));
    warn_if_refused(status, &patched, path);
    patched
}

fn warn_if_refused(status: u16, answer: &Value, path: &str) {
    if status >= 400 {
        let text = text(answer, "/message");
        tracing::warn!("Kubernetes refused a change of {path}: {status} {text}");
    }
}

pub(super) fn delete(api: &Cluster, path: &str) {
    let _ = api.call(
        "DELETE",
        &format!("{path}?gracePeriodSeconds=0"),
        "application/json",
        None,
    );
}

/// The machine as a node.
pub(super) fn node(api: &Cluster) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory
        .split_whitespace()
        .nth(1)
        .unwrap_or("1048576")
        .to_owned();
    let resources =
        json!({"cpu": cores.to_string(), "memory": format!("{memory}Ki"), "pods": "110"});
    let object = json!({
        "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}},
        "status": {"allocatable": resources, "capacity": resources,
                   "conditions": [{"type": "Ready", "status": "True"}]},
    });
    put(api, "/api/v1/nodes", &object);
}

/// A model's namespace.
pub(super) fn namespace(api: &Cluster, name: &str) {
    put(
        api,
        "/api/v1/namespaces",
        &json!({"metadata": {"name": name}}),
    );
}

/// Everything of an application but its pods: the address of its Service.
pub(super) fn application(api: &Cluster, model: &str, app: &str, trust: bool) -> String {
    let core = format!("/api/v1/namespaces/{model}");
    let labels = json!({"app.kubernetes.io/name": app, "app.kubernetes.io/managed-by": "juju"});
    let selector = json!({"app.kubernetes.io/name": app});
    put(
        api,
        &format!("{core}/serviceaccounts"),
        &json!({"metadata": {"name": app, "labels": labels}}),
    );
    roles(api, model, app, trust);
    let service = json!({
        "metadata": {"name": app, "labels": labels},
        "spec": {"selector": selector, "ports": [{"name": "placeholder", "port": 65535}]},
    });
    let made = put(api, &format!("{core}/services"), &service);
    let headless = json!({
        "metadata": {"name": format!("{app}-endpoints"), "labels": labels},
        "spec": {"selector": selector, "clusterIP": "None", "publishNotReadyAddresses": true},
    });
    put(api, &format!("{core}/services"), &headless);
    made.pointer("/spec/clusterIP")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// What its pods may do: with trust everything, without it what Juju grants every application.
pub(super) fn roles(api: &Cluster, model: &str, app: &str, trust: bool) {
    let everything = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
    let rules = if trust {
        everything.clone()
    } else {
        json!([
            {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list", "patch"]},
            {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]},
        ])
    };
    let cluster = if trust {
        everything
    } else {
        json!([{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list"]}])
    };
    let name = format!("{model}-{app}");
    let subject = json!([{"kind": "ServiceAccount", "name": app, "namespace": model}]);
    let bind = |kind: &str, role: &str, name: &str| {
        json!({
            "metadata": {"name": name}, "subjects": subject,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        })
    };
    let local = format!("{RBAC}/namespaces/{model}");
    put(
        api,
        &format!("{local}/roles"),
        &json!({"metadata": {"name": app}, "rules": rules}),
    );
    put(
        api,
        &format!("{local}/rolebindings"),
        &bind("Role", app, app),
    );
    put(
        api,
        &format!("{RBAC}/clusterroles"),
        &json!({"metadata": {"name": name}, "rules": cluster}),
    );
    put(
        api,
        &format!("{RBAC}/clusterrolebindings"),
        &bind("ClusterRole", &name, &name),
    );
}

/// The `StatefulSet`, of so many pods with these containers and the charm's.
pub(super) fn stateful_set(
    api: &Cluster,
    model: &str,
    app: &str,
    replicas: u32,
    template: (u64, &[&str]),
) {
    let labels = json!({"app.kubernetes.io/name": app});
    let object = json!({
        "metadata": {"name": app, "labels": labels},
        "spec": {
            "replicas": replicas, "serviceName": format!("{app}-endpoints"),
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels},
            "template": pod_template(app, template),
        },
    });
    put(api, &stateful_sets(model), &object);
}

/// Its pods are to be of this template from now on: as soon as the rolling update reaches them.
pub(super) fn template(api: &Cluster, model: &str, app: &str, template: (u64, &[&str])) {
    let path = format!("{}/{app}", stateful_sets(model));
    let change = json!({"spec": {"template": pod_template(app, template)}});
    patch(api, &path, &change);
}

/// As Juju makes it: each change of charm or resources gives the template another number, so every
/// refresh means new pods, whatever it has changed.
fn pod_template(app: &str, (modified, containers): (u64, &[&str])) -> Value {
    let names = containers.iter().copied().chain([CHARM]);
    let containers: Vec<Value> = names
        .map(|name| json!({"name": name, "image": "local"}))
        .collect();
    json!({
        "metadata": {
            "labels": {"app.kubernetes.io/name": app},
            "annotations": {"charm.juju.is/modified-version": modified.to_string()},
        },
        "spec": {"containers": containers},
    })
}

/// The ordinal from which on pods follow the template; those below stay as they are.
pub(super) fn partition(api: &Cluster, model: &str, app: &str) -> u32 {
    let set = api.get("statefulsets", model, app).unwrap_or_default();
    set.pointer("/spec/updateStrategy/rollingUpdate/partition")
        .and_then(Value::as_u64)
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(0)
}

/// What the controller of `StatefulSets` tells of one, where that differs from what it told last.
pub(super) fn set_status(api: &Cluster, model: &str, app: &str, status: &Value) {
    let Some(told) = api.get("statefulsets", model, app) else {
        return;
    };
    let told = told.get("status").cloned().unwrap_or_default();
    let known = |(key, value): (&String, &Value)| told.get(key) == Some(value);
    if !status
        .as_object()
        .is_some_and(|status| status.iter().all(known))
    {
        let path = format!("{}/{app}/status", stateful_sets(model));
        patch(api, &path, &json!({"status": status}));
    }
}

/// The number of its pods.
pub(super) fn scale(api: &Cluster, model: &str, app: &str, replicas: usize) {
    let path = format!("{}/{app}", stateful_sets(model));
    patch(api, &path, &json!({"spec": {"replicas": replicas}}));
}

fn stateful_sets(model: &str) -> String {
    format!("/apis/apps/v1/namespaces/{model}/statefulsets")
}

/// Removes a model's namespace with all that is in it, which no controller of Kubernetes' own does
/// here.
pub(super) fn remove_namespace(api: &Cluster, model: &str) {
    let (core, apps) = ("/api/v1", "/apis/apps/v1");
    for (group, kind) in [
        (apps, "statefulsets"),
        (core, "pods"),
        (core, "services"),
        (core, "endpoints"),
        (core, "configmaps"),
        (core, "secrets"),
        (core, "serviceaccounts"),
        (core, "persistentvolumeclaims"),
        (core, "events"),
        (RBAC, "rolebindings"),
        (RBAC, "roles"),
        ("/apis/coordination.k8s.io/v1", "leases"),
        ("/apis/policy/v1", "poddisruptionbudgets"),
    ] {
        delete(api, &format!("{group}/namespaces/{model}/{kind}"));
    }
    let path = format!("/api/v1/namespaces/{model}");
    delete(api, &path);
    // A real one keeps it until somebody says that it is empty.
    if let (200, mut left) = api.call("GET", &path, "application/json", None)
        && let Some(spec) = left.get_mut("spec")
    {
        *spec = json!({"finalizers": []});
        let path = format!("{path}/finalize");
        let (status, answer) = api.call("PUT", &path, "application/json", Some(&left));
        warn_if_refused(status, &answer, &path);
    }
}

/// Removes an application's objects; what they own goes with them.
pub(super) fn remove_application(api: &Cluster, model: &str, app: &str) {
    delete(
        api,
        &format!("/apis/apps/v1/namespaces/{model}/statefulsets/{app}"),
    );
    for name in [app.to_owned(), format!("{app}-endpoints")] {
        delete(api, &format!("/api/v1/namespaces/{model}/services/{name}"));
    }
    delete(
        api,
        &format!("/api/v1/namespaces/{model}/serviceaccounts/{app}"),
    );
    for kind in ["rolebindings", "roles"] {
        delete(api, &format!("{RBAC}/namespaces/{model}/{kind}/{app}"));
    }
    for kind in ["clusterrolebindings", "clusterroles"] {
        delete(api, &format!("{RBAC}/{kind}/{model}-{app}"));
    }
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Names and Services of a model as its network needs them, whose node has the address `node`; none
/// while the API does not answer.
pub(super) fn network(
    api: &Cluster,
    model: &str,
    node: Ipv4Addr,
) -> Option<(Names, Vec<ServicePort>)> {
    let endpoints = api.list("endpoints", model)?;
    let mut names = Names::default();
    let mut ports = Vec::new();
    let domain = format!("{model}.svc.cluster.local");
    names.addresses.insert(
        "kubernetes.default.svc.cluster.local".into(),
        vec![pod_runtime::API_ADDRESS],
    );
    for service in api.list("services", model)? {
        let name = text(&service, "/metadata/name");
        let of_service = |object: &&Value| text(object, "/metadata/name") == name;
        let ready: Vec<Value> = endpoints
            .iter()
            .find(of_service)
            .and_then(|object| object.pointer("/subsets/0/addresses"))
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let address = |entry: &Value| text(entry, "/ip").parse::<Ipv4Addr>().ok();
        let addresses: Vec<Ipv4Addr> = ready.iter().filter_map(address).collect();
        let full = format!("{name}.{domain}");
        for entry in &ready {
            let Some(address) = address(entry) else {
                continue;
            };
            // As CoreDNS: a pod has a name in each Service that leads to it.
            let host = match text(entry, "/hostname") {
                "" => address.to_string().replace('.', "-"),
                host => host.to_owned(),
            };
            let full = format!("{host}.{full}");
            names.addresses.insert(full.clone(), vec![address]);
            names.reverse.entry(address).or_default().push(full);
        }
        match text(&service, "/spec/clusterIP").parse::<Ipv4Addr>() {
            Ok(cluster) => {
                names.addresses.insert(full.clone(), vec![cluster]);
                names.reverse.entry(cluster).or_default().push(full);
                let listed = service.pointer("/spec/ports").and_then(Value::as_array);
                for port in listed.into_iter().flatten() {
                    let number = |key: &str| {
                        port.get(key)
                            .and_then(Value::as_u64)
                            .and_then(|n| u16::try_from(n).ok())
                    };
                    let Some(outer) = number("port") else {
                        continue;
                    };
                    let inner = number("targetPort").unwrap_or(outer);
                    let endpoints: Vec<_> =
                        addresses.iter().map(|address| (*address, inner)).collect();
                    let on_node = number("nodePort").filter(|port| *port > 0);
                    let places = on_node.map(|port| (node, port)).into_iter();
                    for (address, port) in places.chain([(cluster, outer)]) {
                        ports.push(ServicePort {
                            address,
                            port,
                            endpoints: endpoints.clone(),
                        });
                    }
                }
            }
            Err(_) => drop(names.addresses.insert(full, addresses)),
        }
    }
    Some((names, ports))
}
