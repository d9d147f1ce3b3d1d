//! Services: listed, acted on, signalled.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::query::Params;
use super::{App, reply};
use crate::services;

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    action: String,
    #[serde(default)]
    signal: String,
    services: Option<Vec<String>>,
}

pub(super) async fn list(State(daemon): App, params: Params) -> Response {
    reply::sync(services::list(&daemon.state(), &params.list("names")))
}

pub(super) async fn act(State(daemon): App, bytes: Bytes) -> Response {
    let request: Request = match reply::body(&bytes, reply::DATA) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    let names = request.services.unwrap_or_default();
    match services::request(&daemon, &request.action, &names) {
        Ok(change) => reply::background(change, None),
        Err(why) => reply::refused(why),
    }
}

pub(super) async fn signal(State(daemon): App, bytes: Bytes) -> Response {
    let request: Request = match reply::body(&bytes, reply::BODY) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    let names = request.services.unwrap_or_default();
    match services::signal(&daemon.state(), &request.signal, &names) {
        Ok(()) => reply::sync(true),
        Err(why) => reply::refused(why),
    }
}

pub(super) async fn not_implemented(request: axum::extract::Request) -> Response {
    super::skip(request.into_body()).await;
    reply::error(400, "not implemented")
}
