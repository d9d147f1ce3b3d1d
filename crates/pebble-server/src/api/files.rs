//! Files: listed, read and written as multipart bodies, made, removed.

use std::collections::BTreeMap;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::query::Params;
use super::{BODY, reply};
use crate::files::multipart::{Multipart, parameter};
use crate::files::{self, Beside, Failure, Item, Outcome};

const CHUNK: usize = 128 << 10;

pub(super) async fn get(headers: HeaderMap, params: Params) -> Response {
    match params.one("action") {
        "list" => list(&params).await,
        "read" => read(&headers, &params),
        other => reply::error(400, &format!("invalid action \"{other}\"")),
    }
}

/// File systems may be slow: their work is done aside.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

async fn list(params: &Params) -> Response {
    let (path, pattern) = (
        params.one("path").to_owned(),
        params.one("pattern").to_owned(),
    );
    if path.is_empty() {
        return reply::error(400, "must specify path");
    }
    let itself = match params.one("itself") {
        "" | "false" => false,
        "true" => true,
        _ => return reply::error(400, "itself parameter must be \"true\" or \"false\""),
    };
    match aside(move || files::list(&path, itself, &pattern)).await {
        Some(Ok(found)) => reply::sync(found),
        Some(Err(why)) => reply::error_kind(why.status(), &why.message, why.kind),
        None => reply::error(500, "internal server error"),
    }
}

/// Where the reading of files stands.
struct Reading {
    boundary: String,
    left: std::vec::IntoIter<String>,
    open: Option<(String, tokio::fs::File)>,
    outcomes: Vec<Outcome>,
    ended: bool,
}

impl Reading {
    /// The next bytes of the body; none at its end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some((path, mut file)) = self.open.take() {
                let mut chunk = vec![0; CHUNK];
                let result = match file.read(&mut chunk).await {
                    Ok(0) => Ok(()),
                    Ok(count) => {
                        self.open = Some((path, file));
                        chunk.truncate(count);
                        return Some(chunk.into());
                    }
                    Err(error) => Err(Failure::generic(format!("read {path}: {error}"))),
                };
                self.outcomes.push(Outcome::new(&path, result));
                return Some(Bytes::from_static(b"\r\n"));
            }
            let Some(path) = self.left.next() else { break };
            let target = path.clone();
            match aside(move || files::open(&target)).await {
                Some(Ok(file)) => {
                    let name = path.replace('\\', "\\\\").replace('"', "\\\"");
                    let head = format!(
                        "--{}\r\nContent-Disposition: form-data; name=\"files\"; \
                         filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n",
                        self.boundary
                    );
                    self.open = Some((path, tokio::fs::File::from_std(file)));
                    return Some(head.into());
                }
                Some(Err(why)) => self.outcomes.push(Outcome::new(&path, Err(why))),
                None => {}
            }
        }
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        let answer = reply::sync(&self.outcomes);
        let answer = axum::body::to_bytes(answer.into_body(), BODY)
            .await
            .unwrap_or_default();
        let mut part = format!(
            "--{0}\r\nContent-Disposition: form-data; name=\"response\"\r\nContent-Type: \
             application/json\r\n\r\n",
            self.boundary
        )
        .into_bytes();
        part.extend_from_slice(&answer);
        part.extend_from_slice(format!("\r\n--{}--\r\n", self.boundary).as_bytes());
        Some(part.into())
    }
}

fn read(headers: &HeaderMap, params: &Params) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accept != Some("multipart/form-data") {
        return reply::error(400, "must accept multipart/form-data");
    }
    let paths: Vec<String> = params.all("path").map(str::to_owned).collect();
    if paths.is_empty() {
        return reply::error(400, "must specify one or more paths");
    }
    let random = || uuid::Uuid::new_v4().simple().to_string();
    let mut boundary = random() + &random();
    boundary.truncate(60);
    let kind = format!("multipart/form-data; boundary={boundary}");
    let reading = Reading {
        boundary,
        left: paths.into_iter(),
        open: None,
        outcomes: Vec::new(),
        ended: false,
    };
    let chunks = stream::unfold(reading, |mut reading| async move {
        let chunk = reading.next().await?;
        Some((Ok::<_, std::io::Error>(chunk), reading))
    });
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(chunks)).into_response()
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    action: String,
    files: Option<Vec<Item>>,
    dirs: Option<Vec<Item>>,
    paths: Option<Vec<Item>>,
}

pub(super) async fn post(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let kind = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default();
    let media = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match media.as_str() {
        "multipart/form-data" => {
            let boundary = parameter(kind, "boundary").unwrap_or_default();
            if boundary.len() < 32 {
                super::skip(body).await;
                return reply::error(400, &format!("invalid boundary \"{boundary}\""));
            }
            let mut body = Multipart::new(body, &boundary);
            let written = write(&mut body).await;
            // A client that is still sending would not read the answer.
            body.skip_rest().await;
            match written {
                Ok(outcomes) => reply::sync(outcomes),
                Err(why) => reply::error(400, &why),
            }
        }
        "application/json" => match axum::body::to_bytes(body, BODY).await {
            Ok(bytes) => make_or_remove(&bytes).await,
            Err(error) => reply::error(400, &format!("cannot decode request body: {error}")),
        },
        media if media.contains('/') => {
            super::skip(body).await;
            reply::error(400, &format!("invalid media type \"{media}\""))
        }
        _ => {
            super::skip(body).await;
            reply::error(400, &format!("invalid Content-Type \"{kind}\""))
        }
    }
}

/// What is done to a file or directory.
type Work = fn(&Item) -> Result<(), Failure>;

async fn make_or_remove(bytes: &Bytes) -> Response {
    let asked: Asked = match reply::body(bytes, reply::BODY) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let (items, work) = match asked.action.as_str() {
        "make-dirs" => (asked.dirs.unwrap_or_default(), files::make_dir as Work),
        "remove" => (asked.paths.unwrap_or_default(), files::remove as Work),
        "write" => return reply::error(400, "must use multipart with \"write\" action"),
        other => return reply::error(400, &format!("invalid action \"{other}\"")),
    };
    if items.is_empty() {
        let what = if asked.action == "remove" {
            "paths"
        } else {
            "directories"
        };
        return reply::error(400, &format!("must specify one or more {what}"));
    }
    let all = move || -> Vec<Outcome> {
        items
            .iter()
            .map(|item| Outcome::new(&item.path, work(item)))
            .collect()
    };
    match aside(all).await {
        Some(outcomes) => reply::sync(outcomes),
        None => reply::error(500, "internal server error"),
    }
}

/// Writes the files of a body, each as it comes.
async fn write(body: &mut Multipart) -> Result<Vec<Outcome>, String> {
    let head = body
        .next()
        .await
        .map_err(|why| format!("cannot read request metadata: {why}"))?;
    let head = head.ok_or("cannot read request metadata: EOF")?;
    if head.name != "request" {
        return Err(format!(
            "metadata field name must be \"request\", got \"{}\"",
            head.name
        ));
    }
    let text = body
        .text()
        .await
        .map_err(|why| format!("cannot read request metadata: {why}"))?;
    let asked: Asked = serde_json::from_slice(&text)
        .map_err(|why| format!("cannot decode request metadata: {why}"))?;
    if asked.action != "write" {
        return Err(format!(
            "multipart action must be \"write\", got \"{}\"",
            asked.action
        ));
    }
    let items = asked.files.unwrap_or_default();
    if items.is_empty() {
        return Err("must specify one or more files".to_owned());
    }
    let mut done: BTreeMap<String, Result<(), Failure>> = BTreeMap::new();
    let mut number = 0;
    loop {
        let failed = |why: String| format!("cannot read file part {number}: {why}");
        let Some(head) = body.next().await.map_err(failed)? else {
            break;
        };
        if head.name != "files" {
            return Err(format!(
                "field name must be \"files\", got \"{}\"",
                head.name
            ));
        }
        let item = items.iter().find(|item| item.path == head.filename);
        let item = item.ok_or_else(|| format!("no metadata for path \"{}\"", head.filename))?;
        let result = write_one(body, item).await.map_err(failed)?;
        done.insert(item.path.clone(), result);
        number += 1;
    }
    let mut outcome = |item: &Item| {
        let missing = || {
            Err(Failure::generic(format!(
                "no file content for path \"{}\"",
                item.path
            )))
        };
        Outcome::new(&item.path, done.remove(&item.path).unwrap_or_else(missing))
    };
    Ok(items.iter().map(&mut outcome).collect())
}

/// Writes one file: the outer error is the body's, the inner one the file's.
async fn write_one(body: &mut Multipart, item: &Item) -> Result<Result<(), Failure>, String> {
    let wanted = item.clone();
    let created = aside(move || Beside::create(&wanted)).await;
    let (beside, file) = match created {
        Some(Ok(created)) => created,
        Some(Err(why)) => return Ok(Err(why)),
        None => return Err("internal server error".to_owned()),
    };
    let mut file = tokio::fs::File::from_std(file);
    while let Some(chunk) = body.chunk().await? {
        if let Err(error) = file.write_all(&chunk).await {
            return Ok(Err(beside.failed(&error)));
        }
    }
    if let Err(error) = file.flush().await {
        return Ok(Err(beside.failed(&error)));
    }
    let file = file.into_std().await;
    let finished = aside(move || beside.finish(&file)).await;
    Ok(finished.unwrap_or_else(|| Err(Failure::generic("internal server error"))))
}
