//! The HTTP API: where it listens, its routes, and who may use them.

mod changes;
mod checks;
mod exec;
mod files;
mod logs;
mod notices;
mod plan;
mod query;
mod reply;
mod services;
mod system;

use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, PoisonError};

use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::Method;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Extension, Router};
use futures_util::StreamExt;
use tokio::net::{TcpListener, UnixListener};

use crate::daemon::Daemon;
use crate::identities::{self, Access};

type App = State<Arc<Daemon>>;

/// Longest body that is not a file.
const BODY: usize = 64 << 20;

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
enum Peer {
    /// The socket, from a user's process.
    User(u32),
    /// The socket, from nobody knows whom; or TCP.
    Unknown,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        stream
            .io()
            .peer_cred()
            .map_or(Self::Unknown, |peer| Self::User(peer.uid()))
    }
}

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(_: IncomingStream<'_, TcpListener>) -> Self {
        Self::Unknown
    }
}

/// Who asks, where that is known and enough for what is asked.
#[derive(Debug, Clone, Copy)]
struct Caller {
    uid: Option<u32>,
    admin: bool,
}

/// Listens on the socket, and on TCP where asked for.
pub(crate) async fn listen(daemon: &Arc<Daemon>) -> Result<(), String> {
    let path = &daemon.options.socket;
    let shown = path.display();
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(format!("socket \"{shown}\" already in use"));
    }
    let _ = std::fs::remove_file(path);
    let failed = |error: std::io::Error| format!("cannot listen on {shown}: {error}");
    let socket = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(failed)?;
    let app = router(daemon.clone());
    let on_socket = app.clone().into_make_service_with_connect_info::<Peer>();
    tokio::spawn(async move { axum::serve(socket, on_socket).await });
    if let Some(address) = &daemon.options.http {
        let listener = tcp(address).await?;
        let local = listener.local_addr().map(|address| address.to_string());
        *daemon
            .http_address
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = local.ok();
        let on_tcp = app.into_make_service_with_connect_info::<Peer>();
        tokio::spawn(async move { axum::serve(listener, on_tcp).await });
    }
    Ok(())
}

/// Listens on an address as Go writes it: `:80` is every address of both families.
async fn tcp(address: &str) -> Result<TcpListener, String> {
    let bound = match address.strip_prefix(':') {
        Some(port) => match TcpListener::bind(format!("[::]:{port}")).await {
            Err(error) if error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) => {
                TcpListener::bind(format!("0.0.0.0:{port}")).await
            }
            bound => bound,
        },
        None => TcpListener::bind(address).await,
    };
    bound.map_err(|error| format!("cannot listen on {address}: {error}"))
}

fn router(daemon: Arc<Daemon>) -> Router {
    let named = get(services::not_implemented).post(services::not_implemented);
    Router::new()
        .route("/v1/system-info", get(system::info))
        .route("/v1/health", get(system::health))
        .route("/v1/metrics", get(system::metrics))
        .route("/v1/pairing", post(system::pairing))
        .route(
            "/v1/identities",
            get(system::identities).post(system::post_identities),
        )
        .route("/v1/changes", get(changes::list))
        .route("/v1/changes/{id}", get(changes::one).post(changes::abort))
        .route("/v1/changes/{id}/wait", get(changes::wait))
        .route("/v1/services", get(services::list).post(services::act))
        .route("/v1/services/{name}", named)
        .route("/v1/signals", post(services::signal))
        .route("/v1/plan", get(plan::show))
        .route("/v1/layers", post(plan::add))
        .route("/v1/logs", get(logs::logs))
        .route("/v1/checks", get(checks::list).post(checks::act))
        .route("/v1/checks/refresh", post(checks::refresh))
        .route("/v1/notices", get(notices::list).post(notices::add))
        .route("/v1/notices/{id}", get(notices::one))
        .route("/v1/exec", post(exec::run))
        .route("/v1/tasks/{task}/websocket/{id}", get(exec::websocket))
        .route("/v1/files", get(files::get).post(files::post))
        .route_layer(middleware::from_fn_with_state(daemon.clone(), guard))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(daemon)
}

async fn unknown(request: Request) -> Response {
    skip(request.into_body()).await;
    reply::error(404, "invalid API endpoint requested")
}

async fn not_allowed(request: Request) -> Response {
    let text = format!("method \"{}\" not allowed", request.method());
    skip(request.into_body()).await;
    reply::error(405, &text)
}

/// Reads a body that does not matter: a client that cannot send it would not read the answer.
async fn skip(body: Body) {
    let mut chunks = body.into_data_stream();
    let mut left = BODY;
    while let Some(Ok(chunk)) = chunks.next().await {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// What an endpoint asks of its callers.
#[derive(PartialEq, Eq)]
enum Need {
    Nothing,
    User,
    Admin,
    Metrics,
    Nobody,
}

fn need(method: &Method, path: &str) -> Need {
    let path = path.strip_prefix("/v1/").unwrap_or(path);
    match (method == Method::POST, path) {
        (_, "system-info" | "health") => Need::Nothing,
        (_, "metrics") => Need::Metrics,
        (_, "pairing") => Need::Nobody,
        (true, "notices") => Need::User,
        (true, _) | (_, "plan" | "files") => Need::Admin,
        (_, path) if path.starts_with("tasks/") => Need::Admin,
        _ => Need::User,
    }
}

/// Lets a request through whose sender may make it.
async fn guard(
    State(daemon): App,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return not_allowed(request).await;
    }
    let uid = match peer {
        Peer::User(uid) => Some(uid),
        Peer::Unknown => None,
    };
    let access = uid.map(|uid| identities::of_user(&daemon.state(), uid));
    let reads = matches!(access, Some(Access::Admin | Access::Read));
    let allowed = match need(request.method(), request.uri().path()) {
        Need::Nothing => true,
        Need::User => reads,
        Need::Admin => access == Some(Access::Admin),
        Need::Metrics => reads || access == Some(Access::Metrics),
        Need::Nobody => false,
    };
    if !allowed {
        skip(request.into_body()).await;
        return reply::error_kind(401, "access denied", "login-required");
    }
    let caller = Caller {
        uid,
        admin: access == Some(Access::Admin),
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

type From = Extension<Caller>;
