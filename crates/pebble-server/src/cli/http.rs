//! A client of the socket without a runtime: `notify` must start in no time.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;

/// A silent server is given up after so long, unless the answer may take its time.
const LIMIT: Duration = Duration::from_mins(1);

/// An answer's head, and its body to be read.
pub(super) struct Answer {
    pub status: u16,
    pub content_type: String,
    body: BufReader<UnixStream>,
    chunked: bool,
    /// What is left of the body, or of a chunk.
    left: usize,
    ended: bool,
}

fn text(error: &io::Error) -> String {
    crate::process::go_error(error)
}

/// A request's body with its type.
pub(super) type Content<'a> = Option<(&'a str, &'a [u8])>;

/// Sends a request. Without a limit the answer may take for ever.
pub(super) fn send(
    method: &str,
    path: &str,
    content: Content<'_>,
    limit: Option<Duration>,
) -> Result<Answer, String> {
    let (_, socket) = crate::run::places();
    let failed = |error: io::Error| {
        format!(
            "cannot communicate with server on {}: {}",
            socket.display(),
            text(&error)
        )
    };
    let mut stream = UnixStream::connect(&socket).map_err(failed)?;
    stream.set_read_timeout(limit).map_err(failed)?;
    let accept = if path.contains("action=read") {
        "multipart/form-data"
    } else {
        "*/*"
    };
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: {accept}\r\n"
    );
    if let Some((kind, body)) = content {
        let _ = write!(
            request,
            "Content-Type: {kind}\r\nContent-Length: {}\r\n",
            body.len()
        );
    }
    request += "\r\n";
    stream.write_all(request.as_bytes()).map_err(failed)?;
    stream
        .write_all(content.map_or(&[], |(_, body)| body))
        .map_err(failed)?;
    head(stream).map_err(failed)
}

fn head(stream: UnixStream) -> io::Result<Answer> {
    let mut body = BufReader::new(stream);
    let mut line = String::new();
    body.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("malformed HTTP response"))?;
    let (mut content_type, mut chunked, mut left) = (String::new(), false, usize::MAX);
    loop {
        line.clear();
        body.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-type" => value.clone_into(&mut content_type),
            "content-length" => left = value.parse().unwrap_or(usize::MAX),
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            _ => {}
        }
    }
    if chunked {
        left = 0;
    }
    Ok(Answer {
        status,
        content_type,
        body,
        chunked,
        left,
        ended: false,
    })
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunked && self.left == 0 && !self.ended {
            let mut line = String::new();
            self.body.read_line(&mut line)?;
            if line.trim().is_empty() {
                line.clear();
                self.body.read_line(&mut line)?;
            }
            self.left = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
            self.ended = self.left == 0;
        }
        let most = buffer.len().min(self.left);
        let Some(place) = buffer.get_mut(..most).filter(|place| !place.is_empty()) else {
            return Ok(0);
        };
        let count = self.body.read(place)?;
        self.left -= count;
        self.ended = self.ended || count == 0;
        Ok(count)
    }
}

impl Answer {
    /// The envelope of the answer, or the error that it tells.
    pub fn envelope(mut self) -> Result<Value, String> {
        let mut body = String::new();
        self.read_to_string(&mut body)
            .map_err(|error| text(&error))?;
        let value: Value = serde_json::from_str(&body)
            .map_err(|error| format!("cannot decode the server's answer: {error}"))?;
        if value.get("type").and_then(Value::as_str) == Some("error") {
            let message = value.pointer("/result/message").and_then(Value::as_str);
            return Err(message.unwrap_or("server error").to_owned());
        }
        Ok(value)
    }
}

/// GETs a result.
pub(super) fn get(path: &str) -> Result<Value, String> {
    let mut envelope = send("GET", path, None, Some(LIMIT))?.envelope()?;
    Ok(envelope
        .get_mut("result")
        .map(Value::take)
        .unwrap_or_default())
}

/// POSTs JSON: the envelope of the answer.
pub(super) fn post(path: &str, body: &Value) -> Result<Value, String> {
    let body = body.to_string();
    send(
        "POST",
        path,
        Some(("application/json", body.as_bytes())),
        Some(LIMIT),
    )?
    .envelope()
}

/// Waits for the change of an asynchronous answer, however long it takes: the change.
pub(super) fn wait(envelope: &Value) -> Result<Value, String> {
    let id = envelope
        .get("change")
        .and_then(Value::as_str)
        .unwrap_or_default();
    loop {
        let path = format!("/v1/changes/{id}/wait?timeout=30s");
        let answer = send("GET", &path, None, Some(LIMIT))?;
        if answer.status == 504 {
            continue;
        }
        let mut envelope = answer.envelope()?;
        let change = envelope
            .get_mut("result")
            .map(Value::take)
            .unwrap_or_default();
        return match change.get("err").and_then(Value::as_str) {
            Some(error) => Err(error.to_owned()),
            None => Ok(change),
        };
    }
}

/// Encodes a value for a query.
pub(super) fn encode(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
