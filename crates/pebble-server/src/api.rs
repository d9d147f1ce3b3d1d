//! The HTTP API: routes, who may use them, and the envelope of each answer.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::connect_info::Connected;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::IncomingStream;
use axum::{Router, middleware};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, UnixListener};

use crate::daemon::{Daemon, Notice};
use crate::services::{Refused, duration};
use crate::{checks, exec, files, services};

type App = State<Arc<Daemon>>;
type Params = Query<Vec<(String, String)>>;

/// Who is at the other end of the socket.
#[derive(Debug, Clone, Copy)]
struct Peer(Option<u32>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok().map(|peer| peer.uid()))
    }
}

impl Peer {
    fn is_admin(self) -> bool {
        self.0.is_some_and(|uid| uid == 0 || uid == nix::unistd::Uid::current().as_raw())
    }
}

/// Listens on the socket, and on TCP where asked for.
pub(crate) async fn listen(daemon: &Arc<Daemon>) -> Result<(), String> {
    let path = std::env::var("PEBBLE_SOCKET")
        .unwrap_or_else(|_| format!("{}/.pebble.socket", daemon.directory.display()));
    if std::os::unix::net::UnixStream::connect(&path).is_ok() {
        return Err(format!("socket \"{path}\" already in use"));
    }
    let _ = std::fs::remove_file(&path);
    let socket = UnixListener::bind(&path).map_err(|e| format!("cannot listen on {path}: {e}"))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))
        .map_err(|error| error.to_string())?;
    let app = router(daemon.clone());
    tokio::spawn(async move {
        axum::serve(socket, app.into_make_service_with_connect_info::<Peer>()).await
    });
    if let Some(address) = &daemon.http {
        let address = match address.strip_prefix(':') {
            Some(port) => format!("0.0.0.0:{port}"),
            None => address.clone(),
        };
        let listener = TcpListener::bind(&address)
            .await
            .map_err(|error| format!("cannot listen on {address}: {error}"))?;
        let open = Router::new()
            .route("/v1/system-info", get(system_info))
            .route("/v1/health", get(health))
            .fallback(unknown)
            .with_state(daemon.clone());
        tokio::spawn(async move { axum::serve(listener, open).await });
    }
    Ok(())
}

fn router(daemon: Arc<Daemon>) -> Router {
    let admin = Router::new()
        .route("/v1/plan", get(plan))
        .route("/v1/layers", axum::routing::post(layers))
        .route("/v1/files", get(read_files).post(write_files))
        .route("/v1/exec", axum::routing::post(run_exec))
        .route("/v1/tasks/{task}/websocket/{id}", get(websocket))
        .route("/v1/signals", axum::routing::post(signals))
        .route_layer(middleware::from_fn(admins_only));
    let user = Router::new()
        .route("/v1/changes", get(changes))
        .route("/v1/changes/{id}", get(change).post(abort_change))
        .route("/v1/changes/{id}/wait", get(wait_change))
        .route("/v1/services", get(list_services).post(post_services))
        .route("/v1/logs", get(logs))
        .route("/v1/checks", get(list_checks).post(post_checks))
        .route("/v1/notices", get(notices).post(post_notices))
        .route("/v1/notices/{id}", get(notice))
        .route("/v1/identities", get(identities));
    Router::new()
        .route("/v1/system-info", get(system_info))
        .route("/v1/health", get(health))
        .merge(user)
        .merge(admin)
        .fallback(unknown)
        .method_not_allowed_fallback(|request: Request| async move {
            error(405, &format!("method \"{}\" not allowed", request.method()), None)
        })
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(daemon)
}

async fn admins_only(peer: ConnectInfo<Peer>, request: Request, next: Next) -> Response {
    if peer.0.is_admin() {
        return next.run(request).await;
    }
    denied()
}

fn denied() -> Response {
    error(401, "access denied", Some("login-required"))
}

fn envelope(status: u16, body: Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn sync(result: Value) -> Response {
    sync_status(200, result)
}

fn sync_status(status: u16, result: Value) -> Response {
    let words = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("");
    let mut body = json!({"type": "sync", "status-code": status, "status": words});
    if let (false, Some(map)) = (result.is_null(), body.as_object_mut()) {
        map.insert("result".into(), result);
    }
    envelope(status, body)
}

fn background(change: u64, result: Value) -> Response {
    let mut body = json!({
        "type": "async", "status-code": 202, "status": "Accepted", "change": change.to_string(),
    });
    if let (false, Some(map)) = (result.is_null(), body.as_object_mut()) {
        map.insert("result".into(), result);
    }
    envelope(202, body)
}

fn error(status: u16, message: &str, kind: Option<&str>) -> Response {
    let words = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("");
    let mut result = json!({"message": message});
    if let (Some(kind), Some(map)) = (kind, result.as_object_mut()) {
        map.insert("kind".into(), json!(kind));
    }
    let body = json!({
        "type": "error", "status-code": status, "status": words, "result": result,
    });
    envelope(status, body)
}

fn refused((status, message): Refused) -> Response {
    let kind = (message == "no default services").then_some("no-default-services");
    error(status, &message, kind)
}

fn body<T: serde::de::DeserializeOwned>(bytes: &Bytes) -> Result<T, Box<Response>> {
    // Only the first JSON value counts, as in Pebble.
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<T>();
    match values.next() {
        Some(Ok(value)) => Ok(value),
        Some(Err(why)) => {
            Err(Box::new(error(400, &format!("cannot decode request body: {why}"), None)))
        }
        None => Err(Box::new(error(400, "cannot decode request body: EOF", None))),
    }
}

/// The values of a list parameter, which may be repeated or separated by commas.
fn list(params: &[(String, String)], key: &str) -> Vec<String> {
    let values = params.iter().filter(|(name, _)| name == key);
    let split = values.flat_map(|(_, value)| value.split(','));
    split.map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

fn one<'a>(params: &'a [(String, String)], key: &str) -> &'a str {
    params.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
}

async fn unknown() -> Response {
    error(404, "invalid API endpoint requested", None)
}

async fn system_info(State(daemon): App) -> Response {
    let mut info = json!({"boot-id": daemon.boot_id, "version": "v1.26.0-local"});
    if let (Some(address), Some(map)) = (&daemon.http, info.as_object_mut()) {
        map.insert("http-address".into(), json!(address));
    }
    sync(info)
}

async fn health(State(daemon): App, Query(params): Params) -> Response {
    let level = one(&params, "level");
    if !["", "alive", "ready"].contains(&level) {
        return error(400, "level must be \"alive\" or \"ready\"", None);
    }
    let names = list(&params, "names");
    let counts = |name: &String, check: &checks::Runtime| {
        (names.is_empty() || names.contains(name))
            && (level.is_empty()
                || check.level() == level
                || (level == "ready" && check.level() == "alive"))
    };
    let state = daemon.state();
    let down = state.checks.iter().any(|(n, c)| counts(n, c) && c.down && c.change.is_some());
    drop(state);
    sync_status(if down { 502 } else { 200 }, json!({"healthy": !down}))
}

async fn changes(State(daemon): App, Query(params): Params) -> Response {
    let select = one(&params, "select");
    let service = one(&params, "for");
    if !["", "all", "in-progress", "ready"].contains(&select) {
        return error(400, "select should be one of: all,in-progress,ready", None);
    }
    let state = daemon.state();
    let wanted = state.changes.values().filter(|change| {
        let fits = match select {
            "all" => true,
            "ready" => change.ended.is_some(),
            _ => change.ended.is_none(),
        };
        fits && (service.is_empty() || change.services.iter().any(|name| name == service))
    });
    sync(wanted.map(crate::daemon::Change::json).collect())
}

fn change_json(daemon: &Daemon, id: &str) -> Result<(Value, bool), Box<Response>> {
    let state = daemon.state();
    let change = id.parse().ok().and_then(|id: u64| state.changes.get(&id));
    match change {
        Some(change) => Ok((change.json(), change.ended.is_some())),
        None => Err(Box::new(error(404, &format!("cannot find change with id \"{id}\""), None))),
    }
}

async fn change(State(daemon): App, Path(id): Path<String>) -> Response {
    change_json(&daemon, &id).map_or_else(|response| *response, |(value, _)| sync(value))
}

async fn abort_change(State(daemon): App, peer: ConnectInfo<Peer>, Path(id): Path<String>) -> Response {
    if !peer.0.is_admin() {
        return denied();
    }
    match change_json(&daemon, &id) {
        Err(response) => *response,
        Ok((_, true)) => {
            error(400, &format!("cannot abort change {id} with nothing pending"), None)
        }
        Ok((value, false)) => sync(value),
    }
}

async fn wait_change(State(daemon): App, Path(id): Path<String>, Query(params): Params) -> Response {
    let text = one(&params, "timeout");
    let limit = match text {
        "" => None,
        text => match duration(text) {
            Some(limit) => Some(limit).filter(|limit| !limit.is_zero()),
            None => return error(400, &format!("invalid timeout: \"{text}\""), None),
        },
    };
    let mut version = daemon.version.subscribe();
    let ended = async {
        loop {
            match change_json(&daemon, &id) {
                Err(response) => return *response,
                Ok((value, true)) => return sync(value),
                Ok((_, false)) => {}
            }
            if version.changed().await.is_err() {
                return error(500, "request cancelled", None);
            }
        }
    };
    match limit {
        None => ended.await,
        Some(limit) => tokio::time::timeout(limit, ended).await.unwrap_or_else(|_| {
            error(504, &format!("timed out waiting for change after {text}"), None)
        }),
    }
}

async fn list_services(State(daemon): App, Query(params): Params) -> Response {
    let names = list(&params, "names");
    let state = daemon.state();
    let wanted =
        state.plan.services.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
    let values = wanted.map(|(name, service)| {
        let runtime = state.services.get(name);
        let startup = if service.startup == "enabled" { "enabled" } else { "disabled" };
        let mut value = json!({
            "name": name,
            "startup": startup,
            "current": runtime.map_or("inactive", services::Runtime::word),
        });
        if let (Some(since), Some(map)) =
            (runtime.and_then(|r| r.since.clone()), value.as_object_mut())
        {
            map.insert("current-since".into(), json!(since));
        }
        value
    });
    sync(values.collect())
}

#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    action: String,
    #[serde(default)]
    services: Option<Vec<String>>,
    #[serde(default)]
    checks: Option<Vec<String>>,
    #[serde(default)]
    signal: String,
}

async fn post_services(State(daemon): App, peer: ConnectInfo<Peer>, bytes: Bytes) -> Response {
    if !peer.0.is_admin() {
        return denied();
    }
    let action: Action = match body(&bytes) {
        Ok(action) => action,
        Err(response) => return *response,
    };
    match services::request(&daemon, &action.action, &action.services.unwrap_or_default()) {
        Ok(change) => background(change, Value::Null),
        Err(why) => refused(why),
    }
}

async fn signals(State(daemon): App, bytes: Bytes) -> Response {
    let action: Action = match body(&bytes) {
        Ok(action) => action,
        Err(response) => return *response,
    };
    match services::signal(&daemon, &action.signal, &action.services.unwrap_or_default()) {
        Ok(()) => sync(json!(true)),
        Err(why) => refused(why),
    }
}

async fn plan(State(daemon): App, Query(params): Params) -> Response {
    let format = one(&params, "format");
    if format != "yaml" {
        return error(400, &format!("invalid format \"{format}\""), None);
    }
    match serde_yaml::to_string(&daemon.state().plan) {
        Ok(text) => sync(json!(text)),
        Err(why) => error(500, &why.to_string(), None),
    }
}

#[derive(Deserialize)]
struct AddLayer {
    #[serde(default)]
    action: String,
    #[serde(default)]
    combine: bool,
    #[serde(default)]
    label: String,
    #[serde(default)]
    format: String,
    #[serde(default)]
    layer: String,
}

async fn layers(State(daemon): App, bytes: Bytes) -> Response {
    let add: AddLayer = match body(&bytes) {
        Ok(add) => add,
        Err(response) => return *response,
    };
    if add.action != "add" {
        return error(400, &format!("invalid action \"{}\"", add.action), None);
    }
    if add.label.is_empty() {
        return error(400, "label must be set", None);
    }
    if add.format != "yaml" {
        return error(400, &format!("invalid format \"{}\"", add.format), None);
    }
    match services::add_layer(&daemon, &add.label, &add.layer, add.combine) {
        Ok(()) => sync(json!(true)),
        Err(why) => refused(why),
    }
}

async fn read_files(State(_): App, headers: HeaderMap, Query(params): Params) -> Response {
    match one(&params, "action") {
        "list" => {
            let path = one(&params, "path");
            if path.is_empty() {
                return error(400, "must specify path", None);
            }
            let pattern = Some(one(&params, "pattern")).filter(|text| !text.is_empty());
            match files::list(path, one(&params, "itself") == "true", pattern) {
                Ok(found) => sync(json!(found)),
                Err(why) => error(why.status(), &why.message, Some(why.kind)),
            }
        }
        "read" => {
            if headers.get(header::ACCEPT).map(|v| v.as_bytes()) != Some(b"multipart/form-data") {
                return error(400, "must accept multipart/form-data", None);
            }
            let paths = params.iter().filter(|(key, _)| key == "path").map(|(_, path)| path);
            multipart_answer(&paths.cloned().collect::<Vec<_>>())
        }
        other => error(400, &format!("invalid action \"{other}\""), None),
    }
}

fn multipart_answer(paths: &[String]) -> Response {
    if paths.is_empty() {
        return error(400, "must specify one or more paths", None);
    }
    let mut contents = Vec::new();
    let mut outcomes = Vec::new();
    for path in paths {
        let result = files::read(path).map(|content| contents.push((path, content)));
        outcomes.push(files::outcome(path, result));
    }
    let parts: Vec<&[u8]> = contents.iter().map(|(_, content)| content.as_slice()).collect();
    let boundary = pebble::multipart::boundary(&parts);
    let mut body = Vec::new();
    for (path, content) in &contents {
        let name = path.replace('\\', "\\\\").replace('"', "\\\"");
        body.extend_from_slice(
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"files\"; \
                 filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
            )
            .as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    let end = json!({"type": "sync", "status-code": 200, "status": "OK", "result": outcomes});
    body.extend_from_slice(
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"response\"\r\n\
             Content-Type: application/json\r\n\r\n{end}\r\n--{boundary}--\r\n"
        )
        .as_bytes(),
    );
    let kind = format!("multipart/form-data; boundary={boundary}");
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

#[derive(Deserialize)]
struct FilesRequest {
    #[serde(default)]
    action: String,
    #[serde(default)]
    files: Vec<files::Item>,
    #[serde(default)]
    dirs: Vec<files::Item>,
    #[serde(default)]
    paths: Vec<files::Item>,
}

async fn write_files(State(_): App, headers: HeaderMap, bytes: Bytes) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if kind.starts_with("multipart/form-data") {
        return multipart_write(kind, &bytes);
    }
    let request: FilesRequest = match body(&bytes) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    let outcomes = |items: &[files::Item], work: fn(&files::Item) -> Result<(), files::Failure>| {
        let done = items.iter().map(|item| files::outcome(&item.path, work(item)));
        sync(done.collect())
    };
    match request.action.as_str() {
        "make-dirs" => outcomes(&request.dirs, files::make_dir),
        "remove" => outcomes(&request.paths, files::remove),
        "write" => error(400, "must use multipart with \"write\" action", None),
        other => error(400, &format!("invalid action \"{other}\""), None),
    }
}

fn multipart_write(kind: &str, bytes: &Bytes) -> Response {
    let Some(parts) = pebble::multipart::parse(kind, bytes) else {
        return error(400, "cannot read request metadata: malformed multipart body", None);
    };
    let mut parts = parts.into_iter();
    let metadata = match parts.next() {
        Some((name, metadata)) if name == "request" => metadata,
        Some((name, _)) => {
            let text = format!("metadata field name must be \"request\", got \"{name}\"");
            return error(400, &text, None);
        }
        None => return error(400, "cannot read request metadata: EOF", None),
    };
    let request: FilesRequest = match serde_json::from_slice(metadata) {
        Ok(request) => request,
        Err(why) => return error(400, &format!("cannot decode request metadata: {why}"), None),
    };
    if request.action != "write" {
        let text = format!("multipart action must be \"write\", got \"{}\"", request.action);
        return error(400, &text, None);
    }
    let done = request.files.iter().map(|item| {
        let result = match parts.next() {
            Some((_, content)) => files::write(item, content),
            None => Err(files::Failure {
                kind: "generic-file-error",
                message: format!("no file content for path \"{}\"", item.path),
            }),
        };
        files::outcome(&item.path, result)
    });
    sync(done.collect())
}

async fn run_exec(State(daemon): App, bytes: Bytes) -> Response {
    let request: exec::Request = match body(&bytes) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    match exec::request(&daemon, request) {
        Ok((change, result)) => background(change, result),
        Err(why) => refused(why),
    }
}

async fn websocket(
    State(daemon): App,
    Path((task, id)): Path<(String, String)>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let sockets = {
        let state = daemon.state();
        let pending = task.parse().ok().and_then(|task: u64| state.execs.get(&task));
        pending.map(|pending| pending.sockets.clone())
    };
    match sockets {
        None => error(404, &format!("cannot find task \"{task}\""), None),
        Some(_) if !["control", "stdio", "stderr"].contains(&id.as_str()) => {
            error(404, &format!("cannot find {id} websocket for task \"{task}\""), None)
        }
        Some(sockets) => upgrade.on_upgrade(move |socket| async move {
            let _ = sockets.send((id, socket));
        }),
    }
}

async fn logs(State(daemon): App, Query(params): Params) -> Response {
    let names = list(&params, "services");
    let follow = one(&params, "follow") == "true";
    let count = match one(&params, "n") {
        "" if follow => 0,
        "" => 30,
        "-1" => usize::MAX,
        text => match text.parse() {
            Ok(count) => count,
            Err(_) => return error(400, "n must be -1, 0, or a positive integer", None),
        },
    };
    let wanted = move |service: &String| names.is_empty() || names.contains(service);
    let line = |(time, service, message): &(String, String, String)| {
        json!({"time": time, "service": service, "message": message}).to_string() + "\n"
    };
    let (mut text, mut last) = (String::new(), String::new());
    {
        let state = daemon.state();
        let lines: Vec<_> = state.logs.iter().filter(|(_, service, _)| wanted(service)).collect();
        let skip = lines.len().saturating_sub(count);
        text.extend(lines.iter().skip(skip).map(|entry| line(entry)));
        if let Some((time, ..)) = state.logs.back() {
            last.clone_from(time);
        }
    }
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    if !follow {
        return (kind, text).into_response();
    }
    let (send, receive) = tokio::sync::mpsc::channel::<Result<String, std::io::Error>>(8);
    tokio::spawn(async move {
        let mut version = daemon.version.subscribe();
        if send.send(Ok(text)).await.is_err() {
            return;
        }
        while version.changed().await.is_ok() {
            let more: String = {
                let state = daemon.state();
                let new = state.logs.iter().filter(|(time, service, _)| *time > last && wanted(service));
                let more = new.map(line).collect();
                if let Some((time, ..)) = state.logs.back() {
                    last.clone_from(time);
                }
                more
            };
            if !more.is_empty() && send.send(Ok(more)).await.is_err() {
                return;
            }
        }
    });
    let stream = futures_util::stream::unfold(receive, |mut receive| async move {
        receive.recv().await.map(|item| (item, receive))
    });
    (kind, Body::from_stream(stream)).into_response()
}

async fn list_checks(State(daemon): App, Query(params): Params) -> Response {
    let level = one(&params, "level");
    let names = list(&params, "names");
    let state = daemon.state();
    let wanted = state.checks.iter().filter(|(name, check)| {
        (level.is_empty() || check.level() == level) && (names.is_empty() || names.contains(name))
    });
    sync(wanted.map(|(name, check)| check.json(name)).collect())
}

async fn post_checks(State(daemon): App, peer: ConnectInfo<Peer>, bytes: Bytes) -> Response {
    if !peer.0.is_admin() {
        return denied();
    }
    let action: Action = match body(&bytes) {
        Ok(action) => action,
        Err(response) => return *response,
    };
    let names = action.checks.unwrap_or_default();
    let work = match action.action.as_str() {
        "start" => checks::begin,
        "stop" => checks::end,
        other => return error(400, &format!("invalid action \"{other}\""), None),
    };
    if names.is_empty() {
        return error(400, &format!("must specify checks for {} action", action.action), None);
    }
    let known = |name: &&String| daemon.state().checks.contains_key(*name);
    let unknown: Vec<&str> = names.iter().filter(|n| !known(n)).map(String::as_str).collect();
    if !unknown.is_empty() {
        let text = format!(
            "cannot {} checks: cannot find checks in plan: {}",
            action.action,
            unknown.join(", ")
        );
        return error(400, &text, None);
    }
    let changed: Vec<&String> = names.iter().filter(|name| work(&daemon, name)).collect();
    sync(json!({"changed": changed}))
}

fn notice_json(notice: &Notice) -> Value {
    let mut value = json!({
        "id": notice.id.to_string(),
        "user-id": notice.user,
        "type": notice.kind,
        "key": notice.key,
        "first-occurred": notice.first,
        "last-occurred": notice.last,
        "last-repeated": notice.repeated,
        "occurrences": notice.occurrences,
        "expire-after": "168h0m0s",
    });
    if let Some(map) = value.as_object_mut() {
        if !notice.data.is_empty() {
            map.insert("last-data".into(), json!(notice.data));
        }
        if let Some(pause) = notice.repeat_after {
            map.insert("repeat-after".into(), json!(format!("{}s", pause.as_secs_f64())));
        }
    }
    value
}

/// A time of the API in the form of our own, so that both compare as text.
fn normal(time: &str) -> Option<String> {
    let parsed: jiff::Timestamp = time.parse().ok()?;
    Some(format!("{parsed:.9}"))
}

async fn notices(State(daemon): App, peer: ConnectInfo<Peer>, Query(params): Params) -> Response {
    let Some(uid) = peer.0.0 else { return denied() };
    let all = one(&params, "users") == "all";
    if all && !peer.0.is_admin() {
        return error(403, "only admins may use the \"users\" filter", None);
    }
    let (types, keys) = (list(&params, "types"), list(&params, "keys"));
    let after = match one(&params, "after") {
        "" => String::new(),
        text => match normal(text) {
            Some(time) => time,
            None => return error(400, &format!("invalid \"after\" timestamp: \"{text}\""), None),
        },
    };
    let limit = match one(&params, "timeout") {
        "" => Duration::ZERO,
        text => match duration(text) {
            Some(limit) => limit,
            None => return error(400, &format!("invalid timeout: \"{text}\""), None),
        },
    };
    let mut version = daemon.version.subscribe();
    let find = || -> Vec<Value> {
        let state = daemon.state();
        let mut found: Vec<&Notice> = state
            .notices
            .iter()
            .filter(|n| {
                (all || n.user.is_none() || n.user == Some(uid))
                    && (types.is_empty() || types.iter().any(|t| t == n.kind))
                    && (keys.is_empty() || keys.contains(&n.key))
                    && n.repeated > after
            })
            .collect();
        found.sort_by(|a, b| a.repeated.cmp(&b.repeated));
        found.into_iter().map(notice_json).collect()
    };
    let wait = async {
        loop {
            let found = find();
            if !found.is_empty() || version.changed().await.is_err() {
                return found;
            }
        }
    };
    let found = if limit.is_zero() {
        find()
    } else {
        tokio::time::timeout(limit, wait).await.unwrap_or_default()
    };
    sync(json!(found))
}

async fn notice(State(daemon): App, peer: ConnectInfo<Peer>, Path(id): Path<String>) -> Response {
    let state = daemon.state();
    match state.notices.iter().find(|notice| notice.id.to_string() == id) {
        None => error(404, &format!("cannot find notice with ID \"{id}\""), None),
        Some(n) if !peer.0.is_admin() && n.user.is_some() && n.user != peer.0.0 => {
            error(403, &format!("not allowed to access notice with id \"{id}\""), None)
        }
        Some(notice) => sync(notice_json(notice)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct AddNotice {
    #[serde(default)]
    action: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    key: String,
    repeat_after: Option<String>,
    data: Option<BTreeMap<String, String>>,
}

async fn post_notices(State(daemon): App, peer: ConnectInfo<Peer>, bytes: Bytes) -> Response {
    let Some(uid) = peer.0.0 else { return denied() };
    let add: AddNotice = match body(&bytes) {
        Ok(add) => add,
        Err(response) => return *response,
    };
    if add.action != "add" {
        return error(400, &format!("invalid action \"{}\"", add.action), None);
    }
    if add.kind != "custom" {
        let text = format!("invalid type \"{}\" (can only add \"custom\" notices)", add.kind);
        return error(400, &text, None);
    }
    if !valid_key(&add.key) {
        let text = format!("invalid key \"{}\" (must be in \"example.com/path\" format)", add.key);
        return error(400, &text, None);
    }
    let repeat_after = match add.repeat_after.as_deref().filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => match duration(text) {
            Some(pause) => Some(pause).filter(|pause| !pause.is_zero()),
            None => return error(400, &format!("invalid repeat-after: \"{text}\""), None),
        },
    };
    let data = add.data.unwrap_or_default();
    let id = daemon.notify(Some(uid), "custom", &add.key, data, repeat_after);
    sync(json!({"id": id.to_string()}))
}

/// `example.com/path`: words of lower-case letters, digits and single hyphens.
fn valid_key(key: &str) -> bool {
    let word = |text: &str| {
        !text.is_empty()
            && text.split('-').all(|part| {
                !part.is_empty()
                    && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            })
    };
    let mut parts = key.split('/');
    let domain = parts.next().unwrap_or_default();
    let mut path = parts.peekable();
    key.len() <= 256
        && domain.contains('.')
        && domain.split('.').all(word)
        && path.peek().is_some()
        && path.all(word)
}

async fn identities() -> Response {
    sync(json!(HashMap::<String, Value>::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notice_keys_are_checked() {
        assert!(valid_key("postgresql-k8s.charm/patroni"));
        for bad in ["x/y", "a.b", "A.b/c", "a.b/", "a..b/c", "a.b/-c"] {
            assert!(!valid_key(bad), "{bad}");
        }
    }
}
