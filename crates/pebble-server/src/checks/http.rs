//! The GET of an HTTP check: redirects are followed, anything but 2xx in the end is a failure.

use std::collections::BTreeMap;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, Uri, header};
use hyper_util::rt::TokioIo;

use super::probe::dial;

const REDIRECTS: usize = 10;
/// How much of a refusal's body is told.
const TOLD_BYTES: usize = 512;
const TOLD_LINES: usize = 5;

/// GETs a URL.
pub(super) async fn get(url: &str, headers: &BTreeMap<String, String>) -> Result<(), String> {
    let failed = |why: &str| format!("Get \"{url}\": {why}");
    let mut target: Uri = url.parse().map_err(|_| failed("invalid URL"))?;
    for _ in 0..=REDIRECTS {
        let response = one(&target, headers).await.map_err(|why| failed(&why))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let location = response
            .headers()
            .get(header::LOCATION)
            .and_then(|v| v.to_str().ok());
        let Some(location) = location.filter(|_| status.is_redirection()) else {
            let body = told(response.into_body()).await;
            let text = format!("non-2xx status code {}", status.as_u16());
            return Err(if body.is_empty() {
                text
            } else {
                format!("{text}; {body}")
            });
        };
        target = redirected(&target, location).ok_or_else(|| failed("bad redirect"))?;
    }
    Err(failed("stopped after 10 redirects"))
}

fn redirected(from: &Uri, location: &str) -> Option<Uri> {
    if location.contains("://") {
        return location.parse().ok();
    }
    let authority = from.authority()?;
    let path = if location.starts_with('/') {
        location.to_owned()
    } else {
        let base = from.path().rsplit_once('/').map_or("", |(base, _)| base);
        format!("{base}/{location}")
    };
    format!(
        "{}://{authority}{path}",
        from.scheme_str().unwrap_or("http")
    )
    .parse()
    .ok()
}

async fn one(
    target: &Uri,
    headers: &BTreeMap<String, String>,
) -> Result<Response<Incoming>, String> {
    match target.scheme_str() {
        Some("http") => {}
        Some("https") => return Err("https is not supported by this server's checks".to_owned()),
        other => {
            return Err(format!(
                "unsupported protocol scheme \"{}\"",
                other.unwrap_or_default()
            ));
        }
    }
    let authority = target.authority().ok_or("no Host in request URL")?;
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let stream = dial(host, authority.port_u16().unwrap_or(80)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let path = target.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::get(path)
        .header(header::HOST, authority.as_str())
        .header(header::USER_AGENT, "Go-http-client/1.1");
    for (name, value) in headers
        .iter()
        .filter(|(name, _)| !name.eq_ignore_ascii_case("host"))
    {
        request = request.header(name, value);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await;
    if response.is_err() {
        connection.abort();
    }
    response.map_err(|error| {
        if error.is_incomplete_message() {
            "EOF".to_owned()
        } else {
            error.to_string()
        }
    })
}

async fn told(mut body: Incoming) -> String {
    let mut bytes: Vec<u8> = Vec::new();
    while bytes.len() <= TOLD_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
    }
    let cut = bytes.len() > TOLD_BYTES;
    bytes.truncate(TOLD_BYTES);
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.trim().lines().collect();
    let mut told: Vec<&str> = lines.iter().take(TOLD_LINES).copied().collect();
    if cut || lines.len() > TOLD_LINES {
        told.push("(...)");
    }
    told.join("\n")
}
