//! Changes: listed, shown, waited for, called off.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::query::Params;
use super::{App, reply};
use crate::changes::Change;
use crate::daemon::Daemon;
use crate::duration::GoDuration;

pub(super) async fn list(State(daemon): App, params: Params) -> Response {
    let ready = match params.one("select") {
        "all" => None,
        "ready" => Some(true),
        "" | "in-progress" => Some(false),
        _ => return reply::error(400, "select should be one of: all,in-progress,ready"),
    };
    let service = params.one("for");
    let state = daemon.state();
    let wanted = state.changes.iter().filter(|change| {
        ready.is_none_or(|ready| change.is_ready() == ready)
            && (service.is_empty() || change.services.iter().any(|name| name == service))
    });
    reply::sync(wanted.map(Change::json).collect::<Vec<_>>())
}

fn find(daemon: &Daemon, id: &str) -> Result<(Value, bool), Box<Response>> {
    let state = daemon.state();
    match id.parse().ok().and_then(|id| state.changes.get(id)) {
        Some(change) => Ok((change.json(), change.is_ready())),
        None => Err(Box::new(reply::error(
            404,
            &format!("cannot find change with id \"{id}\""),
        ))),
    }
}

pub(super) async fn one(State(daemon): App, Path(id): Path<String>) -> Response {
    find(&daemon, &id).map_or_else(|response| *response, |(value, _)| reply::sync(value))
}

pub(super) async fn abort(State(daemon): App, Path(id): Path<String>, bytes: Bytes) -> Response {
    #[derive(Deserialize)]
    struct Request {
        #[serde(default)]
        action: String,
    }
    let ready = match find(&daemon, &id) {
        Ok((_, ready)) => ready,
        Err(response) => return *response,
    };
    let request: Request = match reply::body(&bytes, reply::DATA) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    if request.action != "abort" {
        return reply::error(400, &format!("invalid action \"{}\"", request.action));
    }
    if ready {
        return reply::error(
            400,
            &format!("cannot abort change {id} with nothing pending"),
        );
    }
    let number = id.parse().unwrap_or_default();
    let answer = daemon.update(number, |change| {
        change.abort();
        change.json()
    });
    crate::checks::change_aborted(&daemon, &mut daemon.state(), number);
    reply::sync(answer)
}

pub(super) async fn wait(State(daemon): App, Path(id): Path<String>, params: Params) -> Response {
    let limit = match params.one("timeout") {
        "" => GoDuration::default(),
        text => match GoDuration::parse(text) {
            Ok(limit) => limit,
            Err(why) => return reply::error(400, &format!("invalid timeout: {why}")),
        },
    };
    let mut moved = daemon.changes.subscribe();
    let ended = async {
        loop {
            match find(&daemon, &id) {
                Err(response) => return *response,
                Ok((value, true)) => return reply::sync(value),
                Ok((_, false)) => {}
            }
            if moved.changed().await.is_err() {
                return reply::error(500, "request cancelled");
            }
        }
    };
    if limit.is_zero() {
        return ended.await;
    }
    tokio::time::timeout(limit.std(), ended)
        .await
        .unwrap_or_else(|_| {
            reply::error(504, &format!("timed out waiting for change after {limit}"))
        })
}
