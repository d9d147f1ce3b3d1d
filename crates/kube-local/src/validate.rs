//! What is refused of an object: a part of what the real server checks, of what clients of a
//! database cluster could get wrong.

use serde_json::{Value, json};

use crate::failure::{Cause, Failure, Served};
use crate::json as field;
use crate::resource::Resource;

const LABEL_KEY: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const POD_SPEC: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const SET_SPEC: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

/// Refuses an object that is not acceptable, as new or as the successor of another.
pub(crate) fn check(resource: &Resource, live: Option<&Value>, object: &Value) -> Served<()> {
    let mut causes = labels(object);
    match resource.plural {
        "services" => {
            causes.extend(service_ports(object));
            causes.extend(service_address(live, object));
        }
        "pods" => causes.extend(pod(live, object)),
        "statefulsets" => causes.extend(stateful_set(live, object)),
        "rolebindings" | "clusterrolebindings" => causes.extend(binding(live, object)),
        "endpoints" => causes.extend(endpoints(object)),
        _ => {}
    }
    if causes.is_empty() {
        return Ok(());
    }
    let name = field::text(object, &["metadata", "name"]);
    Err(Failure::invalid(resource, name, &causes))
}

fn is_label(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.chars().all(|c| plain(c) || "-_.".contains(c))
        && text.starts_with(plain)
        && text.ends_with(plain)
}

fn labels(object: &Value) -> Vec<Cause> {
    let labels = field::part(object, &["metadata", "labels"]);
    let mut causes = Vec::new();
    for (key, value) in labels.as_object().into_iter().flatten() {
        let name = key.rsplit('/').next().unwrap_or_default();
        if !is_label(name) {
            causes.push(Cause::invalid("metadata.labels", &json!(key), LABEL_KEY));
        }
        let text = value.as_str().unwrap_or_default();
        if !text.is_empty() && !is_label(text) {
            causes.push(Cause::invalid("metadata.labels", value, LABEL_VALUE));
        }
    }
    causes
}

fn service_ports(object: &Value) -> Vec<Cause> {
    let ports = field::list(object, &["spec", "ports"]);
    let headless = field::text(object, &["spec", "clusterIP"]) == "None";
    if ports.is_empty() && !headless {
        return vec![Cause::required("spec.ports", "")];
    }
    let mut causes = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let at = |key: &str| format!("spec.ports[{index}].{key}");
        if ports.len() > 1 && field::text(port, &["name"]).is_empty() {
            causes.push(Cause::required(at("name"), ""));
        }
        for key in ["port", "targetPort"] {
            let range = "must be between 1 and 65535, inclusive";
            if field::number(port, &[key]).is_some_and(|n| !(1..=65535).contains(&n)) {
                causes.push(Cause::invalid(at(key), &field::part(port, &[key]), range));
            }
        }
        let inner = field::text(object, &["spec", "type"]) == "ClusterIP";
        if inner && field::number(port, &["nodePort"]).is_some_and(|n| n > 0) {
            let why = "may not be used when `type` is 'ClusterIP'";
            causes.push(Cause::forbidden(at("nodePort"), why));
        }
    }
    causes
}

fn endpoints(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (index, subset) in field::list(object, &["subsets"]).iter().enumerate() {
        let at = format!("subsets[{index}]");
        let lists = ["addresses", "notReadyAddresses"];
        if lists
            .iter()
            .all(|list| field::list(subset, &[list]).is_empty())
        {
            let what = "must specify `addresses` or `notReadyAddresses`";
            causes.push(Cause::required(at, what));
            continue;
        }
        for list in lists {
            for (place, address) in field::list(subset, &[list]).iter().enumerate() {
                let at = format!("{at}.{list}[{place}].ip");
                let ip = field::part(address, &["ip"]);
                let text = ip.as_str().unwrap_or_default();
                if text.parse::<std::net::IpAddr>().is_err() {
                    let long = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
                    causes.push(Cause::invalid(&at, &ip, long));
                    causes.push(Cause::invalid(&at, &ip, "must be a valid IP address"));
                }
            }
        }
        for (place, port) in field::list(subset, &["ports"]).iter().enumerate() {
            let number = field::part(port, &["port"]);
            if number.as_i64().is_none_or(|n| !(1..=65535).contains(&n)) {
                let range = "must be between 1 and 65535, inclusive";
                let at = format!("{at}.ports[{place}].port");
                causes.push(Cause::invalid(at, &number, range));
            }
        }
    }
    causes
}

fn stateful_set(live: Option<&Value>, object: &Value) -> Vec<Cause> {
    let fixed = |object: &Value| {
        let mut spec = field::part(object, &["spec"]);
        for key in [
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
        ] {
            field::take(&mut spec, &[key]);
        }
        spec
    };
    let mut causes = Vec::new();
    let labels = field::part(object, &["spec", "template", "metadata", "labels"]);
    let wanted = field::part(object, &["spec", "selector", "matchLabels"]);
    let mut wanted = wanted.as_object().into_iter().flatten();
    if !wanted.all(|(key, value)| labels.get(key) == Some(value)) {
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            &labels,
            why,
        ));
    }
    causes.extend(containers(object, &["spec", "template", "spec"]));
    if live.is_some_and(|live| fixed(live) != fixed(object)) {
        causes.push(Cause::forbidden("spec", SET_SPEC));
    }
    causes
}

/// A pod has containers, each with a name and an image.
fn containers(object: &Value, at: &[&str]) -> Vec<Cause> {
    let list = [at, &["containers"]].concat();
    let path = list.join(".");
    let found = field::list(object, &list);
    if found.is_empty() {
        return vec![Cause::required(path, "")];
    }
    let mut causes = Vec::new();
    for (index, container) in found.iter().enumerate() {
        for key in ["name", "image"] {
            if field::text(container, &[key]).is_empty() {
                causes.push(Cause::required(format!("{path}[{index}].{key}"), ""));
            }
        }
    }
    causes
}

fn pod(live: Option<&Value>, object: &Value) -> Vec<Cause> {
    let mut causes = containers(object, &["spec"]);
    let fixed = |object: &Value| {
        let mut spec = field::part(object, &["spec"]);
        for key in [
            "activeDeadlineSeconds",
            "tolerations",
            "terminationGracePeriodSeconds",
        ] {
            field::take(&mut spec, &[key]);
        }
        for list in ["containers", "initContainers"] {
            for container in field::list_mut(&mut spec, &[list]) {
                field::take(container, &["image"]);
            }
        }
        spec
    };
    if live.is_some_and(|live| fixed(live) != fixed(object)) {
        causes.push(Cause::forbidden("spec", POD_SPEC));
    }
    causes
}

fn service_address(live: Option<&Value>, object: &Value) -> Option<Cause> {
    let before = field::text(live?, &["spec", "clusterIP"]);
    let now = field::text(object, &["spec", "clusterIP"]);
    let changed = before != now && !before.is_empty();
    changed.then(|| {
        let why = "may not change once set";
        Cause::invalid("spec.clusterIPs[0]", &json!([now]), why)
    })
}

fn binding(live: Option<&Value>, object: &Value) -> Vec<Cause> {
    let role = field::part(object, &["roleRef"]);
    let changed = live.is_some_and(|live| field::part(live, &["roleRef"]) != role);
    if !changed {
        return Vec::new();
    }
    // The fields in Go's words and order.
    let part = |key| json!(field::text(&role, &[key])).to_string();
    let (group, kind, name) = (part("apiGroup"), part("kind"), part("name"));
    let shown = format!("{{\"APIGroup\":{group},\"Kind\":{kind},\"Name\":{name}}}");
    vec![Cause {
        reason: "FieldValueInvalid",
        message: format!("Invalid value: {shown}: cannot change roleRef"),
        field: "roleRef".to_owned(),
    }]
}
