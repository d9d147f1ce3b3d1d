//! Notices: listed, waited for, recorded.

use std::collections::BTreeMap;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::query::Params;
use super::{App, Caller, From, reply};
use crate::daemon::Daemon;
use crate::duration::GoDuration;
use crate::notices::{Filter, is_key};
use crate::time::Time;

const KEY_BYTES: usize = 256;
const DATA_BYTES: usize = 4096;

/// Whose notices are asked for; none are everybody's.
fn visible(params: &Params, caller: Caller) -> Result<Option<u32>, (u16, String)> {
    let refused = |status, text: &str| Err((status, text.to_owned()));
    let users: Vec<&str> = params.all("user-id").collect();
    let all: Vec<&str> = params.all("users").collect();
    if users.is_empty() && all.is_empty() {
        let text = "cannot determine UID of request, so cannot retrieve notices";
        return caller.uid.map(Some).ok_or_else(|| (403, text.to_owned()));
    }
    if !caller.admin {
        let filter = if users.is_empty() { "users" } else { "user-id" };
        return refused(403, &format!("only admins may use the \"{filter}\" filter"));
    }
    if !users.is_empty() && !all.is_empty() {
        return refused(400, "cannot use both \"users\" and \"user-id\" parameters");
    }
    if all.first().is_some_and(|value| *value != "all") {
        return refused(400, "invalid \"users\" filter: must be \"all\"");
    }
    match users.as_slice() {
        [] => Ok(None),
        [user] => match user.parse() {
            Ok(user) => Ok(Some(user)),
            Err(_) => refused(
                400,
                &format!("invalid \"user-id\" filter: invalid user ID: \"{user}\""),
            ),
        },
        _ => refused(
            400,
            "invalid \"user-id\" filter: must only include one \"user-id\"",
        ),
    }
}

/// The filter of a request; none if nothing can fit it.
fn filter(params: &Params, caller: Caller) -> Result<Option<Filter>, (u16, String)> {
    let types = params.list("types");
    let any = types.is_empty();
    let mut filter = Filter {
        user: visible(params, caller)?,
        types,
        ..Filter::default()
    };
    filter
        .types
        .retain(|kind| ["custom", "change-update", "warning"].contains(&kind.as_str()));
    if filter.types.is_empty() && !any {
        return Ok(None);
    }
    filter.keys = params.list("keys");
    filter.after = match params.one("after") {
        "" => None,
        text => Some(
            Time::parse(text)
                .map_err(|error| (400, format!("invalid \"after\" timestamp: {error}")))?,
        ),
    };
    Ok(Some(filter))
}

pub(super) async fn list(State(daemon): App, Extension(caller): From, params: Params) -> Response {
    let filter = match filter(&params, caller) {
        Ok(Some(filter)) => filter,
        Ok(None) => return reply::sync(json!([])),
        Err((status, text)) => return reply::error(status, &text),
    };
    let limit = match params.one("timeout") {
        "" => GoDuration::default(),
        text => match GoDuration::parse(text) {
            Ok(limit) => limit,
            Err(why) => return reply::error(400, &format!("invalid timeout: {why}")),
        },
    };
    let mut moved = daemon.notices.subscribe();
    let found = async {
        loop {
            let found = find(&daemon, &filter);
            let any = found.as_array().is_some_and(|found| !found.is_empty());
            if any || limit.is_zero() || moved.changed().await.is_err() {
                return found;
            }
        }
    };
    if limit.is_zero() {
        return reply::sync(found.await);
    }
    reply::sync(
        tokio::time::timeout(limit.std(), found)
            .await
            .unwrap_or_else(|_| json!([])),
    )
}

fn find(daemon: &Daemon, filter: &Filter) -> Value {
    json!(daemon.state().notices.list(filter))
}

pub(super) async fn one(
    State(daemon): App,
    Extension(caller): From,
    Path(id): Path<String>,
) -> Response {
    let state = daemon.state();
    match state.notices.get(&id) {
        None => reply::error_kind(
            404,
            &format!("cannot find notice with ID \"{id}\""),
            "not-found",
        ),
        Some(n) if !caller.admin && n.user_id.is_some() && n.user_id != caller.uid => reply::error(
            403,
            &format!("not allowed to access notice with id \"{id}\""),
        ),
        Some(notice) => reply::sync(notice),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Add {
    #[serde(default)]
    action: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    key: String,
    repeat_after: Option<String>,
    data: Option<Value>,
}

/// Checks what is to be recorded.
fn checked(add: &Add) -> Result<(BTreeMap<String, String>, Option<GoDuration>), String> {
    if add.action != "add" {
        return Err(format!("invalid action \"{}\"", add.action));
    }
    if add.kind != "custom" {
        return Err(format!(
            "invalid type \"{}\" (can only add \"custom\" notices)",
            add.kind
        ));
    }
    if !is_key(&add.key) {
        return Err(format!(
            "invalid key \"{}\" (must be in \"example.com/path\" format)",
            add.key
        ));
    }
    if add.key.len() > KEY_BYTES {
        return Err(format!("key must be {KEY_BYTES} bytes or less"));
    }
    let repeat_after = match add.repeat_after.as_deref() {
        None | Some("") => None,
        Some(text) => {
            Some(GoDuration::parse(text).map_err(|why| format!("invalid repeat-after: {why}"))?)
                .filter(|pause| !pause.is_zero())
        }
    };
    let data = add.data.clone().unwrap_or_default();
    if data.to_string().len() > DATA_BYTES {
        return Err(format!(
            "total size of data must be {DATA_BYTES} bytes or less"
        ));
    }
    let data: Option<BTreeMap<String, String>> =
        serde_json::from_value(data).map_err(|why| format!("cannot decode notice data: {why}"))?;
    Ok((data.unwrap_or_default(), repeat_after))
}

pub(super) async fn add(State(daemon): App, Extension(caller): From, bytes: Bytes) -> Response {
    let add: Add = match reply::body(&bytes, reply::BODY) {
        Ok(add) => add,
        Err(response) => return *response,
    };
    let Some(uid) = caller.uid else {
        return reply::error(
            403,
            "cannot determine UID of request, so cannot create notice",
        );
    };
    match checked(&add) {
        Err(why) => reply::error(400, &why),
        Ok((data, repeat_after)) => {
            reply::sync(json!({"id": daemon.notify(uid, &add.key, data, repeat_after)}))
        }
    }
}
