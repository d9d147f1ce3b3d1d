//! Field selectors: the few fields Kubernetes lets lists be restricted by.

use serde_json::Value;

use crate::{
    failure::{Failure, Served},
    json,
    resource::Resource,
};

/// A conjunction of comparisons of fields with texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    /// Reads the text of a `fieldSelector` query parameter.
    pub(crate) fn parse(text: &str, resource: &Resource) -> Served<Self> {
        let mut terms = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let (field, value, equal) = split(part).ok_or_else(|| {
                Failure::bad_request(format!(
                    "invalid selector: '{part}'; can't understand '{part}'"
                ))
            })?;
            if !known(resource, field) {
                let text = if own_fields(resource).is_empty() {
                    format!(
                        "\"{field}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    )
                } else {
                    format!("field label not supported: {field}")
                };
                return Err(Failure::bad_request(text));
            }
            terms.push(Term {
                field: field.to_owned(),
                value: value.to_owned(),
                equal,
            });
        }
        Ok(Self(terms))
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|term| {
            let path: Vec<&str> = term.field.split('.').collect();
            (json::text(object, &path) == term.value) == term.equal
        })
    }
}

fn split(part: &str) -> Option<(&str, &str, bool)> {
    if let Some((field, value)) = part.split_once("!=") {
        return Some((field.trim(), value.trim(), false));
    }
    let (field, value) = part.split_once("==").or_else(|| part.split_once('='))?;
    Some((field.trim(), value.trim(), true))
}

fn known(resource: &Resource, field: &str) -> bool {
    matches!(field, "metadata.name" | "metadata.namespace") || own_fields(resource).contains(&field)
}

/// The fields that a kind can be selected by beside its name and namespace.
fn own_fields(resource: &Resource) -> &'static [&'static str] {
    match resource.plural {
        "pods" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        "services" => &["spec.clusterIP", "spec.type"],
        "secrets" => &["type"],
        "namespaces" => &["status.phase"],
        "nodes" => &["spec.unschedulable"],
        "events" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource;

    #[test]
    fn pods_are_selected_by_name_phase_and_node() {
        let pods = resource::by_plural("pods").unwrap();
        let pod = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}});
        for (selector, expected) in [
            ("metadata.name=a", true),
            ("metadata.name==a,status.phase!=Failed", true),
            ("spec.nodeName=other", false),
            ("spec.nodeName!=", true),
        ] {
            assert_eq!(
                FieldSelector::parse(selector, pods).unwrap().matches(&pod),
                expected,
                "{selector}"
            );
        }
    }

    #[test]
    fn a_field_that_cannot_be_selected_by_is_a_bad_request() {
        let pods = resource::by_plural("pods").unwrap();
        assert_eq!(
            FieldSelector::parse("spec.hostname=a", pods)
                .unwrap_err()
                .code,
            400
        );
        assert_eq!(
            FieldSelector::parse("nonsense", pods).unwrap_err().code,
            400
        );
    }
}
