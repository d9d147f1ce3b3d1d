//! Logs of services: the last lines, and those to come.

use std::fmt::Write;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::query::Params;
use super::{App, reply};
use crate::logs::Line;

fn text(lines: &[Line]) -> String {
    let mut out = String::new();
    for line in lines {
        let _ = writeln!(out, "{}", serde_json::to_string(line).unwrap_or_default());
    }
    out
}

pub(super) async fn logs(State(daemon): App, params: Params) -> Response {
    let names = params.list("services");
    let follow = match params.one("follow") {
        "" | "false" => false,
        "true" => true,
        _ => return reply::error(400, "follow parameter must be \"true\" or \"false\""),
    };
    let count = match params.one("n") {
        "" if follow => 0,
        "" => 30,
        "-1" => usize::MAX,
        text => match text.parse() {
            Ok(count) => count,
            Err(_) => return reply::error(400, "n must be -1, 0, or a positive integer"),
        },
    };
    let wanted = move |service: &str| names.is_empty() || names.iter().any(|name| name == service);
    let moved = daemon.lines.subscribe();
    let (lines, last) = daemon.state().logs.tail(&wanted, count);
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    if !follow {
        return (kind, text(&lines)).into_response();
    }
    let first = Some(text(&lines)).filter(|text| !text.is_empty());
    let start = (first, last, moved);
    let more = stream::unfold(start, move |(first, mut last, mut moved)| {
        let (daemon, wanted) = (daemon.clone(), wanted.clone());
        async move {
            if let Some(first) = first {
                return Some((Ok::<_, std::io::Error>(first), (None, last, moved)));
            }
            loop {
                let (lines, position) = daemon.state().logs.after(&wanted, last);
                last = position;
                if !lines.is_empty() {
                    return Some((Ok(text(&lines)), (None, last, moved)));
                }
                if moved.changed().await.is_err() {
                    return None;
                }
            }
        }
    });
    (kind, Body::from_stream(more)).into_response()
}
