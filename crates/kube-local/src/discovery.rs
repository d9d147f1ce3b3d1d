//! What the server serves, told as Kubernetes tells it: by it kubectl knows which paths there are.

use serde_json::{Value, json};

use crate::resource::{self, RESOURCES, Resource};

/// Who has a short name.
const SHORT: [(&str, &str); 13] = [
    ("configmaps", "cm"),
    ("endpoints", "ep"),
    ("events", "ev"),
    ("namespaces", "ns"),
    ("nodes", "no"),
    ("persistentvolumeclaims", "pvc"),
    ("persistentvolumes", "pv"),
    ("pods", "po"),
    ("serviceaccounts", "sa"),
    ("services", "svc"),
    ("deployments", "deploy"),
    ("statefulsets", "sts"),
    ("poddisruptionbudgets", "pdb"),
];
/// What `kubectl get all` shows.
const OF_ALL: [&str; 4] = ["pods", "services", "deployments", "statefulsets"];
const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// The document at this path, if it is one of these.
pub(crate) fn document(path: &str) -> Option<Value> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        ["api", version] => resources("", version),
        ["apis"] => {
            let groups: Vec<Value> = groups().into_iter().map(group).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["apis", name] if groups().contains(name) => {
            let mut group = group(name);
            crate::json::set(&mut group, &["kind"], "APIGroup");
            crate::json::set(&mut group, &["apiVersion"], "v1");
            Some(group)
        }
        ["apis", name, version] => resources(name, version),
        _ => None,
    }
}

/// All but the core group.
fn groups() -> Vec<&'static str> {
    let mut names: Vec<&str> = RESOURCES.iter().map(|one| one.group).collect();
    names.retain(|name| !name.is_empty());
    names.dedup();
    names
}

fn group(name: &str) -> Value {
    let version = json!({"groupVersion": resource::group_version(name, "v1"), "version": "v1"});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn resources(group: &str, version: &str) -> Option<Value> {
    let of = |one: &&Resource| one.group == group && one.version == version;
    let all: Vec<Value> = RESOURCES.iter().filter(of).flat_map(entries).collect();
    (!all.is_empty()).then(|| {
        let mut list = json!({
            "kind": "APIResourceList", "resources": all,
            "groupVersion": resource::group_version(group, version),
        });
        // The core group's says no version of its own.
        if !group.is_empty() {
            crate::json::set(&mut list, &["apiVersion"], "v1");
        }
        list
    })
}

fn entries(one: &'static Resource) -> Vec<Value> {
    let verbs: Vec<&str> = VERBS
        .into_iter()
        .filter(|verb| !one.review || *verb == "create")
        // Namespaces go one by one.
        .filter(|verb| one.plural != "namespaces" || *verb != "deletecollection")
        .collect();
    let mut whole = json!({
        "name": one.plural, "singularName": one.kind.to_lowercase(),
        "namespaced": one.namespaced, "kind": one.kind, "verbs": verbs,
    });
    if let Some((_, short)) = SHORT.iter().find(|(plural, _)| *plural == one.plural) {
        crate::json::set(&mut whole, &["shortNames"], json!([short]));
    }
    if OF_ALL.contains(&one.plural) {
        crate::json::set(&mut whole, &["categories"], json!(["all"]));
    }
    let parts = one.subresources.iter().filter_map(|part| {
        let verbs = match *part {
            "status" => json!(["get", "patch", "update"]),
            "finalize" => json!(["update"]),
            "token" => json!(["create"]),
            // Not served.
            _ => return None,
        };
        let mut entry = json!({
            "name": format!("{}/{part}", one.plural), "singularName": "",
            "namespaced": one.namespaced, "kind": one.kind, "verbs": verbs,
        });
        if *part == "token" {
            crate::json::set(&mut entry, &["group"], "authentication.k8s.io");
            crate::json::set(&mut entry, &["version"], "v1");
            crate::json::set(&mut entry, &["kind"], "TokenRequest");
        }
        Some(entry)
    });
    std::iter::once(whole).chain(parts).collect()
}
