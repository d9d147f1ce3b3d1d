//! Commands of clients: what is asked for, and with which rights, directory and environment it
//! runs.

pub(crate) mod pty;
mod run;
mod streams;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::changes::NewChange;
use crate::daemon::{Daemon, State};
use crate::duration::GoDuration;
use crate::process::{self, Setting};
use crate::services::Refused;
use crate::users::{Owner, Wanted};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Python's client says `null` for what it has no value for.
fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// `POST /v1/exec`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Request {
    #[serde(deserialize_with = "lenient")]
    command: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    service_context: String,
    #[serde(deserialize_with = "lenient")]
    environment: BTreeMap<String, String>,
    #[serde(deserialize_with = "lenient")]
    working_dir: String,
    #[serde(deserialize_with = "lenient")]
    timeout: String,
    user_id: Option<u32>,
    #[serde(deserialize_with = "lenient")]
    user: String,
    group_id: Option<u32>,
    #[serde(deserialize_with = "lenient")]
    group: String,
    #[serde(deserialize_with = "lenient")]
    terminal: bool,
    #[serde(deserialize_with = "lenient")]
    interactive: bool,
    #[serde(deserialize_with = "lenient")]
    split_stderr: bool,
    #[serde(deserialize_with = "lenient")]
    width: u16,
    #[serde(deserialize_with = "lenient")]
    height: u16,
}

/// A command that waits for its websockets, or runs.
pub(crate) struct Pending {
    sockets: mpsc::UnboundedSender<(Stream, WebSocket)>,
    taken: BTreeSet<Stream>,
    split: bool,
}

/// One of a command's websockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stream {
    Control,
    Stdio,
    Stderr,
}

/// A terminal as asked for.
#[derive(Debug, Clone, Copy)]
struct Terminal {
    interactive: bool,
    width: u16,
    height: u16,
}

/// A command ready to be run.
struct Job {
    argv: Vec<String>,
    setting: Setting,
    owner: Option<Owner>,
    terminal: Option<Terminal>,
    split: bool,
    limit: Option<Duration>,
}

/// Takes a command: its change's id, and what the answer says of it.
pub(crate) fn request(daemon: &Arc<Daemon>, request: Request) -> Result<(u64, Value), Refused> {
    let bad = |text: String| (400, text);
    let Some(program) = request.command.first().cloned() else {
        return Err(bad("must specify command".to_owned()));
    };
    let limit = match request.timeout.as_str() {
        "" => None,
        text => Some(
            GoDuration::parse(text)
                .map_err(|why| bad(format!("invalid timeout: {why}")))?
                .std(),
        ),
    };
    if process::find(&program).is_none() {
        return Err(bad(format!("cannot find executable \"{program}\"")));
    }
    let mut state = daemon.state();
    let (setting, owner) = setting(&state, &request)?;
    if request.interactive && !request.terminal {
        let text = "cannot call exec: cannot use interactive mode without a terminal";
        return Err((500, text.to_owned()));
    }
    let summary = format!("Execute command \"{program}\"");
    let id = state.changes.add(NewChange {
        kind: "exec".to_owned(),
        summary: summary.clone(),
        tasks: vec![("exec", summary)],
        ..NewChange::default()
    });
    let task = state
        .changes
        .get(id)
        .and_then(|c| c.tasks.first())
        .map_or(0, |task| task.id);
    let (sockets, arriving) = mpsc::unbounded_channel();
    let split = request.split_stderr;
    state.execs.insert(
        task,
        Pending {
            sockets,
            taken: BTreeSet::new(),
            split,
        },
    );
    daemon.note(&mut state, id);
    drop(state);
    let answer = json!({
        "environment": setting.environment,
        "task-id": task.to_string(),
        "working-dir": setting.working_dir,
    });
    let terminal = request.terminal.then_some(Terminal {
        interactive: request.interactive,
        width: request.width,
        height: request.height,
    });
    let job = Job {
        argv: request.command,
        setting,
        owner,
        terminal,
        split,
        limit,
    };
    tokio::spawn(run::run(daemon.clone(), id, task, job, arriving));
    Ok((id, answer))
}

fn setting(state: &State, request: &Request) -> Result<(Setting, Option<Owner>), Refused> {
    let context = match request.service_context.as_str() {
        "" => crate::plan::Service::default(),
        name => state
            .plan
            .services
            .get(name)
            .cloned()
            .ok_or_else(|| (400, format!("context service \"{name}\" not found")))?,
    };
    let user = Wanted {
        user_id: request.user_id,
        user: request.user.clone(),
        group_id: request.group_id,
        group: request.group.clone(),
    };
    let user = user.or(&context.wanted_user());
    let owner = user.resolve().map_err(|why| (400, why))?;
    let switches = owner.is_some_and(|owner| !owner.is_current());
    let mut environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(key, _)| !(switches && (key == "HOME" || key == "USER")))
        .collect();
    environment.extend(context.environment);
    environment.extend(request.environment.clone());
    if environment.get("PATH").is_none_or(String::is_empty) {
        environment.insert("PATH".to_owned(), DEFAULT_PATH.to_owned());
    }
    let uid = owner.map_or_else(|| nix::unistd::Uid::current().as_raw(), |owner| owner.uid);
    process::add_home(&mut environment, uid);
    if environment.get("LANG").is_none_or(String::is_empty) {
        environment.insert("LANG".to_owned(), "C.UTF-8".to_owned());
    }
    let mut what = "working directory";
    let mut working_dir = request.working_dir.clone();
    if working_dir.is_empty() {
        working_dir = context.working_dir;
    }
    if working_dir.is_empty() {
        what = "home directory";
        let home = environment.get("HOME").filter(|home| !home.is_empty());
        working_dir = home.cloned().unwrap_or_else(|| "/".to_owned());
    }
    match std::fs::metadata(&working_dir) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            return Err((
                500,
                format!("cannot call exec: {what} \"{working_dir}\" not a directory"),
            ));
        }
        Err(_) => {
            let text = format!("cannot call exec: {what} \"{working_dir}\" does not exist");
            return Err((500, text));
        }
    }
    Ok((
        Setting {
            user,
            working_dir,
            environment,
        },
        owner,
    ))
}

/// Where a websocket of a task goes to, or why it cannot be had.
pub(crate) fn connect(
    state: &mut State,
    task: &str,
    id: &str,
) -> Result<(Stream, mpsc::UnboundedSender<(Stream, WebSocket)>), Refused> {
    let number: u64 = task.parse().unwrap_or_default();
    let Some((change, found)) = state.changes.of_task(number) else {
        return Err((404, format!("cannot find task \"{task}\"")));
    };
    if found.kind != "exec" {
        return Err((
            400,
            format!("\"{}\" tasks do not have websockets", found.kind),
        ));
    }
    let missing = || {
        (
            404,
            format!("cannot find {id} websocket for task \"{task}\""),
        )
    };
    let Some(pending) = state.execs.get_mut(&number) else {
        return Err(match change.json().get("err").and_then(Value::as_str) {
            Some(error) => (500, error.to_owned()),
            None => missing(),
        });
    };
    let stream = match id {
        "control" => Stream::Control,
        "stdio" => Stream::Stdio,
        "stderr" if pending.split => Stream::Stderr,
        _ => return Err(missing()),
    };
    if !pending.taken.insert(stream) {
        return Err((500, format!("{id} websocket already connected")));
    }
    Ok((stream, pending.sockets.clone()))
}
