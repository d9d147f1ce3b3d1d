//! Which objects a list or watch is about: label selectors and field selectors.

pub(crate) mod field;
pub(crate) mod label;

/// Whether an object has all the labels of a Service's selector.
pub(crate) fn matches_labels(selector: &serde_json::Value, object: &serde_json::Value) -> bool {
    let labels = crate::json::get(object, &["metadata", "labels"]);
    selector.as_object().is_some_and(|wanted| {
        wanted
            .iter()
            .all(|(key, value)| labels.and_then(|l| l.get(key)) == Some(value))
    })
}
