//! One request over one connection to the unix socket.

use std::fmt::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use crate::Error;

/// Longest answer that is taken: files of charms are configuration, not data.
const LONGEST_ANSWER: usize = 256 << 20;
/// Longest path that fits into a socket's address.
const LONGEST_PATH: usize = 100;

/// Connects; a path too long for a socket's address goes through the directory's descriptor.
pub(crate) async fn connect(path: &Path) -> Result<UnixStream, Error> {
    let failed = |source| Error::connect(path, source);
    if path.as_os_str().len() <= LONGEST_PATH {
        return UnixStream::connect(path).await.map_err(failed);
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return UnixStream::connect(path).await.map_err(failed);
    };
    let directory = std::fs::File::open(parent).map_err(failed)?;
    let short: PathBuf = format!("/proc/self/fd/{}", directory.as_raw_fd()).into();
    UnixStream::connect(short.join(name)).await.map_err(failed)
}

/// A request to be sent.
pub(crate) struct Request<'a> {
    pub method: &'a str,
    pub path: String,
    pub accept: Option<&'a str>,
    pub content_type: &'a str,
    pub body: Vec<u8>,
}

impl Request<'_> {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: "GET",
            path: path.into(),
            accept: None,
            content_type: "application/json",
            body: Vec::new(),
        }
    }

    pub(crate) fn post(path: impl Into<String>, body: &Value) -> Self {
        Self {
            method: "POST",
            body: body.to_string().into_bytes(),
            ..Self::get(path)
        }
    }
}

/// What moves a connection's bytes; the connection ends with it.
pub(crate) struct Driver(JoinHandle<Result<(), hyper::Error>>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends a request: the answer's head, its body to be read while the driver lives.
pub(crate) async fn open(
    socket: &Path,
    request: Request<'_>,
) -> Result<(hyper::Response<Incoming>, Driver), Error> {
    let stream = connect(socket).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| Error::broken(socket, e))?;
    let driver = Driver(tokio::spawn(connection));
    let mut builder = hyper::Request::builder()
        .method(request.method)
        .uri(&request.path)
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, request.content_type);
    if let Some(accept) = request.accept {
        builder = builder.header("Accept", accept);
    }
    let http = builder
        .body(Full::new(Bytes::from(request.body)))
        .map_err(|e| Error::Argument(e.to_string()))?;
    let response = sender
        .send_request(http)
        .await
        .map_err(|e| Error::broken(socket, e))?;
    Ok((response, driver))
}

/// Sends a request: the whole answer.
pub(crate) async fn send(socket: &Path, request: Request<'_>) -> Result<Response, Error> {
    let (response, _driver) = open(socket, request).await?;
    collect(socket, response).await
}

pub(crate) async fn collect(
    socket: &Path,
    response: hyper::Response<Incoming>,
) -> Result<Response, Error> {
    let status = response.status().as_u16();
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let body = Limited::new(response.into_body(), LONGEST_ANSWER)
        .collect()
        .await
        .map_err(|e| Error::broken(socket, e))?
        .to_bytes();
    Ok(Response {
        status,
        content_type,
        body,
    })
}

/// An answer.
pub(crate) struct Response {
    pub status: u16,
    pub content_type: String,
    pub body: Bytes,
}

/// The envelope around each JSON answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Envelope {
    #[serde(rename = "type", default)]
    pub type_: String,
    #[serde(default)]
    pub change: String,
    #[serde(default)]
    pub result: Value,
}

impl Response {
    /// The envelope; an error envelope becomes an error.
    pub(crate) fn envelope(&self) -> Result<Envelope, Error> {
        envelope(self.status, &self.body)
    }

    pub(crate) fn result<T: DeserializeOwned>(&self) -> Result<T, Error> {
        from_value(self.envelope()?.result)
    }
}

pub(crate) fn envelope(status: u16, body: &[u8]) -> Result<Envelope, Error> {
    let envelope: Envelope = serde_json::from_slice(body)
        .map_err(|_| Error::Malformed(format!("status {status} and no JSON envelope")))?;
    if envelope.type_ != "error" {
        return Ok(envelope);
    }
    let text = |key: &str| {
        let value = envelope.result.get(key).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    Err(Error::Api {
        status,
        kind: text("kind"),
        message: text("message"),
    })
}

pub(crate) fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| Error::Malformed(error.to_string()))
}

/// A query string of these pairs.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(key);
        text.push('=');
        escape(&mut text, value);
    }
    text
}

/// A path whose last segments are these words, whatever is in them.
pub(crate) fn path(base: &str, words: &[&str]) -> String {
    let mut text = base.to_owned();
    for word in words {
        text.push('/');
        escape(&mut text, word);
    }
    text
}

fn escape(text: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

/// A duration as Pebble reads it.
pub(crate) fn duration(value: std::time::Duration) -> String {
    format!("{}ms", value.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_an_address_cannot_change_it() {
        assert_eq!(path("/v1/changes", &["../x?y"]), "/v1/changes/..%2Fx%3Fy");
        assert_eq!(
            query(&[("path", "/a b&c=ü")]),
            "?path=%2Fa%20b%26c%3D%C3%BC"
        );
    }

    #[test]
    fn errors_carry_status_kind_and_words_and_a_missing_result_is_fine() {
        let body = br#"{"type":"error","status-code":404,"status":"Not Found",
            "result":{"message":"stat /x: no such file or directory","kind":"not-found"}}"#;
        let error = envelope(404, body).unwrap_err();
        assert!(error.is_not_found(), "{error}");
        assert!(error.to_string().contains("stat /x"), "{error}");
        let body = br#"{"type":"async","status-code":202,"change":"7","maintenance":{}}"#;
        let envelope = envelope(202, body).unwrap();
        assert_eq!(
            (envelope.change.as_str(), envelope.result),
            ("7", Value::Null)
        );
    }
}
