//! What is refused of an object: a part of what the real server checks, of what clients of a
//! database cluster could get wrong.

use serde_json::{Value, json};

use crate::failure::{Cause, Failure, Served};
use crate::json as field;
use crate::resource::Resource;

const LABEL_KEY: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const SET_SPEC: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";

/// Refuses an object that is not acceptable, as new or as the successor of another.
pub(crate) fn check(resource: &Resource, live: Option<&Value>, object: &Value) -> Served<()> {
    let mut causes = labels(object);
    match resource.plural {
        "services" => causes.extend(service_ports(object)),
        "statefulsets" => causes.extend(stateful_set(live, object)),
        "rolebindings" | "clusterrolebindings" => causes.extend(binding(live, object)),
        "pods" | "endpoints" => {}
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
    match live {
        Some(live) if fixed(live) != fixed(object) => vec![Cause::forbidden("spec", SET_SPEC)],
        _ => Vec::new(),
    }
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
