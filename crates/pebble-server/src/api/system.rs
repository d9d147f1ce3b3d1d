//! The server itself: who it is, whether all is well, numbers, identities.

use std::fmt::Write;
use std::sync::PoisonError;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::query::Params;
use super::{App, reply};
use crate::checks::Status;
use crate::identities::{self, Given};

pub(super) async fn info(State(daemon): App) -> Response {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    struct Info<'a> {
        boot_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        http_address: Option<String>,
        version: &'a str,
    }
    let http_address = daemon
        .http_address
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    reply::sync(Info {
        boot_id: &daemon.boot_id,
        http_address,
        version: crate::VERSION,
    })
}

pub(super) async fn health(State(daemon): App, params: Params) -> Response {
    let level = params.one("level");
    if !["", "alive", "ready"].contains(&level) {
        return reply::error(400, "level must be \"alive\" or \"ready\"");
    }
    let names = params.list("names");
    let state = daemon.state();
    let healthy = !state.checks.iter().any(|(name, check)| {
        let asked = names.is_empty() || names.contains(name);
        let of_level = level.is_empty()
            || check.level() == level
            || (level == "ready" && check.level() == "alive");
        asked && of_level && check.status() == Status::Down
    });
    reply::sync_status(if healthy { 200 } else { 502 }, json!({"healthy": healthy}))
}

/// Numbers in the form that Prometheus reads.
pub(super) async fn metrics(State(daemon): App) -> Response {
    let mut out = String::new();
    let mut sample = |name: &str, help: &str, kind: &str, label: &str, of: &str, value: u64| {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        let _ = writeln!(out, "{name}{{{label}={of:?}}} {value}\n");
    };
    let state = daemon.state();
    for (name, service) in &state.services {
        let (active, starts) = service.counts();
        let help = "Whether the service is currently active (1) or not (0)";
        sample(
            "pebble_service_active",
            help,
            "gauge",
            "service",
            name,
            u64::from(active),
        );
        let help = "Number of times the service has started";
        sample(
            "pebble_service_start_count",
            help,
            "counter",
            "service",
            name,
            starts,
        );
    }
    for (name, check) in &state.checks {
        let up = u64::from(check.status() == Status::Up);
        if check.status() != Status::Inactive {
            let help = "Whether the health check is up (1) or not (0)";
            sample("pebble_check_up", help, "gauge", "check", name, up);
        }
        let (successes, failures) = check.counts();
        let help = "Number of times the check has succeeded";
        sample(
            "pebble_check_success_count",
            help,
            "counter",
            "check",
            name,
            successes,
        );
        let help = "Number of times the check has failed";
        sample(
            "pebble_check_failure_count",
            help,
            "counter",
            "check",
            name,
            failures,
        );
    }
    drop(state);
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        out,
    )
        .into_response()
}

/// Only over https, which there is not: the guard lets nobody come here.
pub(super) async fn pairing() -> Response {
    reply::error_kind(401, "access denied", "login-required")
}

pub(super) async fn identities(State(daemon): App) -> Response {
    reply::sync(identities::list(&daemon.state()))
}

pub(super) async fn post_identities(State(daemon): App, bytes: Bytes) -> Response {
    #[derive(Deserialize)]
    struct Request {
        #[serde(default)]
        action: String,
        #[serde(default)]
        identities: Given,
    }
    let request: Request = match reply::body(&bytes, reply::BODY) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    match identities::change(&mut daemon.state(), &request.action, &request.identities) {
        Ok(()) => {
            daemon.dirty.notify_one();
            reply::done()
        }
        Err(why) => reply::error(400, &why),
    }
}
