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

/// The patch that a body holds; a failure is told as the real server, a Go program, tells it.
pub(crate) fn read(kind: PatchType, body: &[u8]) -> Served<Value> {
    let decoding = if kind == PatchType::Strategic {
        ""
    } else {
        "error decoding patch: "
    };
    let wrong = |why: String| Failure::bad_request(format!("{decoding}{why}"));
    let patch: Value = serde_json::from_slice(body).map_err(|error| {
        let at = error.column().saturating_sub(1);
        match body
            .get(at)
            .filter(|_| error.is_syntax() && error.line() == 1)
        {
            Some(byte) => {
                let found = char::from(*byte);
                wrong(format!(
                    "invalid character '{found}' looking for beginning of value"
                ))
            }
            None => wrong("unexpected end of JSON input".to_owned()),
        }
    })?;
    if kind == PatchType::Json && !patch.is_array() {
        let what = "object into Go value of type []handlers.jsonPatchOp";
        return Err(wrong(format!("json: cannot unmarshal {what}")));
    }
    Ok(patch)
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
