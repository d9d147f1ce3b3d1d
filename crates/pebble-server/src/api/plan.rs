//! The plan, and the layers that it is made of.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::query::Params;
use super::{App, reply};
use crate::plan::{Layer, Refusal};

pub(super) async fn show(State(daemon): App, params: Params) -> Response {
    match params.one("format") {
        "yaml" => reply::sync(daemon.state().plan.to_yaml()),
        other => reply::error(400, &format!("invalid format \"{other}\"")),
    }
}

#[derive(Deserialize)]
struct Add {
    #[serde(default)]
    action: String,
    combine: Option<bool>,
    inner: Option<bool>,
    #[serde(default)]
    label: String,
    #[serde(default)]
    format: String,
    #[serde(default)]
    layer: String,
}

pub(super) async fn add(State(daemon): App, bytes: Bytes) -> Response {
    let add: Add = match reply::body(&bytes, reply::BODY) {
        Ok(add) => add,
        Err(response) => return *response,
    };
    if add.action != "add" {
        return reply::error(400, &format!("invalid action \"{}\"", add.action));
    }
    if add.label.is_empty() {
        return reply::error(400, "label must be set");
    }
    if add.format != "yaml" {
        return reply::error(400, &format!("invalid format \"{}\"", add.format));
    }
    let layer = match Layer::parse(&add.label, &add.layer) {
        Ok(layer) => layer,
        Err(why) => return reply::error(400, &format!("cannot parse layer YAML: {why}")),
    };
    let (combine, inner) = (add.combine == Some(true), add.inner == Some(true));
    match daemon.add_layer(&add.label, layer, combine, inner) {
        Ok(()) => reply::sync(true),
        Err(why @ Refusal::Wrong(_)) => reply::error(400, &why.to_string()),
        Err(why @ Refusal::Inner) => reply::error(500, &why.to_string()),
    }
}
