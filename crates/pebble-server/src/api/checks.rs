//! Checks: listed, switched on and off, run at once.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::query::Params;
use super::{App, reply};
use crate::checks;

pub(super) async fn list(State(daemon): App, params: Params) -> Response {
    let level = params.one("level");
    if !["", "alive", "ready"].contains(&level) {
        return reply::error(400, "level must be \"alive\" or \"ready\"");
    }
    let names = params.list("names");
    let state = daemon.state();
    let wanted = state.checks.iter().filter(|(name, check)| {
        (level.is_empty() || check.level() == level) && (names.is_empty() || names.contains(name))
    });
    reply::sync(
        wanted
            .map(|(name, check)| check.info(name))
            .collect::<Vec<_>>(),
    )
}

pub(super) async fn act(State(daemon): App, bytes: Bytes) -> Response {
    #[derive(Deserialize)]
    struct Request {
        #[serde(default)]
        action: String,
        checks: Option<Vec<String>>,
    }
    let request: Request = match reply::body(&bytes, reply::DATA) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    let (action, names) = (request.action, request.checks.unwrap_or_default());
    if names.is_empty() {
        return reply::error(400, &format!("must specify checks for {action} action"));
    }
    let on = match action.as_str() {
        "start" => true,
        "stop" => false,
        _ => return reply::error(400, &format!("invalid action \"{action}\"")),
    };
    let unknown: Vec<&str> = {
        let state = daemon.state();
        let unknown = names
            .iter()
            .filter(|name| !state.plan.checks.contains_key(*name));
        unknown.map(String::as_str).collect()
    };
    if !unknown.is_empty() {
        let text = unknown.join(", ");
        let text = format!("cannot {action} checks: cannot find checks in plan: {text}");
        return reply::error(400, &text);
    }
    reply::sync(json!({"changed": checks::switch(&daemon, on, &names)}))
}

pub(super) async fn refresh(State(daemon): App, bytes: Bytes) -> Response {
    #[derive(Deserialize)]
    struct Request {
        #[serde(default)]
        name: String,
    }
    let request: Request = match reply::body(&bytes, reply::DATA) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    let name = request.name;
    if name.is_empty() {
        return reply::error(400, "must specify check name");
    }
    match checks::refresh(&daemon, &name).await {
        None => reply::error_kind(
            404,
            &format!("cannot find check with name \"{name}\""),
            "not-found",
        ),
        Some((info, Ok(()))) => reply::sync(json!({"info": info})),
        Some((info, Err(error))) => reply::sync(json!({"info": info, "error": error})),
    }
}
