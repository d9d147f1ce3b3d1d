//! Answers: the envelope of every JSON endpoint.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;

use crate::services::Refused;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Envelope<T> {
    #[serde(rename = "type")]
    kind: &'static str,
    status_code: u16,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<T>,
}

#[derive(Serialize)]
struct Problem<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
}

fn send<T: Serialize>(
    kind: &'static str,
    status: u16,
    change: Option<String>,
    result: Option<T>,
) -> Response {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let words = code.canonical_reason().unwrap_or_default();
    let envelope = Envelope {
        kind,
        status_code: code.as_u16(),
        status: words,
        change,
        result,
    };
    let body = serde_json::to_vec(&envelope).unwrap_or_default();
    (code, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The result of what is done.
pub(super) fn sync(result: impl Serialize) -> Response {
    send("sync", 200, None, Some(result))
}

/// The same with another status.
pub(super) fn sync_status(status: u16, result: impl Serialize) -> Response {
    send("sync", status, None, Some(result))
}

/// It is done, and there is nothing to say.
pub(super) fn done() -> Response {
    send::<()>("sync", 200, None, None)
}

/// It goes on as a change.
pub(super) fn background(change: u64, result: Option<Value>) -> Response {
    send("async", 202, Some(change.to_string()), result)
}

/// It cannot be.
pub(super) fn error(status: u16, message: &str) -> Response {
    send(
        "error",
        status,
        None,
        Some(Problem {
            message,
            kind: None,
        }),
    )
}

/// It cannot be, for a reason that programs know.
pub(super) fn error_kind(status: u16, message: &str, kind: &str) -> Response {
    send(
        "error",
        status,
        None,
        Some(Problem {
            message,
            kind: Some(kind),
        }),
    )
}

pub(super) fn refused((status, message): Refused) -> Response {
    match message.as_str() {
        "no default services" => error_kind(status, &message, "no-default-services"),
        _ => error(status, &message),
    }
}

/// Reads the first JSON value of a body; what follows it does not count. `what` is how the
/// endpoint calls it.
pub(super) fn body<T: serde::de::DeserializeOwned>(
    bytes: &[u8],
    what: &str,
) -> Result<T, Box<Response>> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<T>();
    let why = match values.next() {
        Some(Ok(value)) => return Ok(value),
        Some(Err(why)) => why.to_string(),
        None => "EOF".to_owned(),
    };
    Err(Box::new(error(
        400,
        &format!("cannot decode {what}: {why}"),
    )))
}

pub(super) const BODY: &str = "request body";
pub(super) const DATA: &str = "data from request body";
