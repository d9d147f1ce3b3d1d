//! One request over one connection to the unix socket.

use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::Error;

/// Longest answer that is taken: files of charms are configuration, not data.
const LONGEST_ANSWER: usize = 256 << 20;
/// Longest path that fits into a socket's address.
const LONGEST_PATH: usize = 100;

/// Connects; a path too long for a socket's address goes through the directory's descriptor.
pub(crate) async fn connect(path: &Path) -> Result<UnixStream, Error> {
    let unreachable = |source: std::io::Error| Error::Unreachable {
        path: path.to_owned(),
        source: source.into(),
    };
    if path.as_os_str().len() <= LONGEST_PATH {
        return UnixStream::connect(path).await.map_err(unreachable);
    }
    use std::os::fd::AsRawFd;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return UnixStream::connect(path).await.map_err(unreachable);
    };
    let directory = std::fs::File::open(parent).map_err(unreachable)?;
    let short: PathBuf = format!("/proc/self/fd/{}", directory.as_raw_fd()).into();
    UnixStream::connect(short.join(name))
        .await
        .map_err(unreachable)
}

/// A request to be sent.
pub(crate) struct Request<'a> {
    pub method: &'a str,
    pub path: String,
    pub accept: Option<&'a str>,
    pub content_type: &'a str,
    pub body: Vec<u8>,
}

impl<'a> Request<'a> {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        let content_type = "application/json";
        Self {
            method: "GET",
            path: path.into(),
            accept: None,
            content_type,
            body: Vec::new(),
        }
    }

    pub(crate) fn post(path: &'a str, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        let content_type = "application/json";
        Self {
            method: "POST",
            path: path.to_owned(),
            accept: None,
            content_type,
            body,
        }
    }
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

pub(crate) async fn send(socket: &Path, request: Request<'_>) -> Result<Response, Error> {
    type Source = Box<dyn std::error::Error + Send + Sync>;
    let unreachable = |source: Source| Error::Unreachable {
        path: socket.to_owned(),
        source,
    };
    let stream = connect(socket).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| unreachable(e.into()))?;
    let driver = tokio::spawn(connection);
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
        .map_err(|e| Error::Malformed(e.to_string()))?;
    let response = sender
        .send_request(http)
        .await
        .map_err(|e| unreachable(e.into()))?;
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
        .map_err(unreachable)?
        .to_bytes();
    drop(sender);
    driver.abort();
    Ok(Response {
        status,
        content_type,
        body,
    })
}

impl Response {
    /// The envelope; an error envelope becomes an error.
    pub(crate) fn envelope(&self) -> Result<Envelope, Error> {
        let envelope: Envelope = serde_json::from_slice(&self.body).map_err(|_| {
            Error::Malformed(format!("status {} and no JSON envelope", self.status))
        })?;
        if envelope.type_ != "error" {
            return Ok(envelope);
        }
        let text = |key: &str| {
            envelope
                .result
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        Err(Error::Api {
            status: self.status,
            kind: text("kind"),
            message: text("message"),
        })
    }

    pub(crate) fn result<T: DeserializeOwned>(&self) -> Result<T, Error> {
        from_value(self.envelope()?.result)
    }
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
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    text
}
