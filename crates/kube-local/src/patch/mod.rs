//! The four ways in which a client may describe a change of an object.

pub(crate) mod fieldset;
mod schema;
mod strategic;

use serde_json::Value;

use crate::failure::{Failure, Served};

/// The media types of patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchType {
    pub(crate) fn from_media_type(text: &str) -> Served<Self> {
        match text.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ => Err(Failure::unsupported_media(
                "application/json-patch+json, application/merge-patch+json, \
                 application/strategic-merge-patch+json, application/apply-patch+yaml",
            )),
        }
    }
}

/// The object after a JSON patch (RFC 6902).
pub(crate) fn json(mut object: Value, patch: Value) -> Served<Value> {
    let operations: json_patch::Patch = serde_json::from_value(patch)
        .map_err(|error| Failure::bad_request(format!("error decoding patch: {error}")))?;
    json_patch::patch(&mut object, &operations).map_err(|_| {
        let mut failure = Failure::new(
            422,
            "Invalid",
            "the server rejected our request due to an error in our request",
        );
        failure.details = Some(serde_json::json!({}));
        failure
    })?;
    Ok(object)
}

/// The object after a JSON merge patch (RFC 7386).
pub(crate) fn merge(mut object: Value, patch: &Value) -> Value {
    json_patch::merge(&mut object, patch);
    object
}

/// The object after a strategic merge patch.
pub(crate) fn strategic(object: Value, patch: Value, kind: &str) -> Served<Value> {
    strategic::patch(object, patch, kind)
}
