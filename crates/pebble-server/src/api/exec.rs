//! Commands, and the websockets that carry their streams.

use axum::body::Bytes;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, State};
use axum::response::Response;

use super::{App, reply};
use crate::exec;

pub(super) async fn run(State(daemon): App, bytes: Bytes) -> Response {
    let request: exec::Request = match reply::body(&bytes, reply::BODY) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    match exec::request(&daemon, request) {
        Ok((change, result)) => reply::background(change, Some(result)),
        Err(why) => reply::refused(why),
    }
}

pub(super) async fn websocket(
    State(daemon): App,
    Path((task, id)): Path<(String, String)>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(why) => return reply::error(400, &why.body_text()),
    };
    match exec::connect(&mut daemon.state(), &task, &id) {
        Err(why) => reply::refused(why),
        Ok((stream, sockets)) => upgrade.on_upgrade(async move |socket| {
            let _ = sockets.send((stream, socket));
        }),
    }
}
