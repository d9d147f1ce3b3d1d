//! The server's state: plan, services, changes, notices, and how it starts and ends.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pebble::Layer;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, watch};

use crate::{api, services};

/// Lines of output kept for each service.
const KEPT_LINES: usize = 2000;
/// Changes kept after they have ended.
const KEPT_CHANGES: usize = 1000;
/// Notices kept.
const KEPT_NOTICES: usize = 1000;

/// The server.
pub(crate) struct Daemon {
    pub state: Mutex<State>,
    /// Grows with whatever a waiting client may wait for.
    pub version: watch::Sender<u64>,
    pub stop: Notify,
    pub exit_code: Mutex<u8>,
    pub boot_id: String,
    pub verbose: bool,
    pub http: Option<String>,
    pub directory: PathBuf,
}

#[derive(Default)]
pub(crate) struct State {
    pub layers: Vec<(String, Layer)>,
    pub plan: Layer,
    pub services: BTreeMap<String, services::Runtime>,
    pub checks: BTreeMap<String, crate::checks::Runtime>,
    pub changes: BTreeMap<u64, Change>,
    pub notices: Vec<Notice>,
    pub logs: VecDeque<(String, String, String)>,
    pub execs: BTreeMap<u64, crate::exec::Pending>,
    next_change: u64,
    next_task: u64,
    next_notice: u64,
}

/// A change and its tasks.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub id: u64,
    pub kind: String,
    pub summary: String,
    pub tasks: Vec<Task>,
    pub services: Vec<String>,
    pub check: Option<String>,
    pub spawned: String,
    pub ended: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub id: u64,
    pub kind: String,
    pub summary: String,
    pub status: &'static str,
    pub log: Vec<String>,
    pub data: Map<String, Value>,
    pub spawned: String,
    pub ended: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub id: u64,
    pub user: Option<u32>,
    pub kind: &'static str,
    pub key: String,
    pub first: String,
    pub last: String,
    pub repeated: String,
    pub occurrences: u64,
    pub data: BTreeMap<String, String>,
    pub repeat_after: Option<Duration>,
}

pub(crate) fn now() -> String {
    // A fixed number of digits, so that the text sorts as the time does.
    format!("{:.9}", jiff::Timestamp::now())
}

impl Daemon {
    pub fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave the state half-changed in a way that matters here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn bump(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// Ends the server with this code.
    pub fn shutdown(&self, code: u8) {
        *self.exit_code.lock().unwrap_or_else(PoisonError::into_inner) = code;
        self.stop.notify_one();
    }

    /// Creates a change with a task of this kind for each summary.
    pub fn new_change(&self, kind: &str, summary: String, tasks: &[(String, String)]) -> u64 {
        let mut state = self.state();
        state.next_change += 1;
        let id = state.next_change;
        let mut made = Vec::new();
        for (kind, summary) in tasks {
            state.next_task += 1;
            made.push(Task {
                id: state.next_task,
                kind: kind.clone(),
                summary: summary.clone(),
                status: "Do",
                log: Vec::new(),
                data: Map::new(),
                spawned: now(),
                ended: None,
            });
        }
        let ended = tasks.is_empty().then(now);
        let kind = kind.to_owned();
        let change = Change {
            id,
            kind,
            summary,
            tasks: made,
            services: Vec::new(),
            check: None,
            spawned: now(),
            ended,
        };
        state.changes.insert(id, change);
        while state.changes.len() > KEPT_CHANGES {
            let oldest = state.changes.iter().find(|(_, c)| c.ended.is_some()).map(|(id, _)| *id);
            match oldest {
                Some(oldest) => drop(state.changes.remove(&oldest)),
                None => break,
            }
        }
        drop(state);
        self.note_change(id);
        id
    }

    /// Sets the status of a change's task; an error goes into its log.
    pub fn task(&self, change: u64, index: usize, status: &'static str, log: Option<String>) {
        let mut state = self.state();
        if let Some(change) = state.changes.get_mut(&change) {
            if let Some(task) = change.tasks.get_mut(index) {
                task.status = status;
                task.log.extend(log);
                let surplus = task.log.len().saturating_sub(10);
                task.log.drain(..surplus);
                if !matches!(status, "Do" | "Doing") {
                    task.ended = Some(now());
                }
            }
            if change.tasks.iter().all(|task| task.ended.is_some()) && change.ended.is_none() {
                change.ended = Some(now());
            }
        }
        drop(state);
        self.note_change(change);
    }

    /// Records that a change has changed.
    fn note_change(&self, id: u64) {
        let data = {
            let state = self.state();
            let Some(change) = state.changes.get(&id) else { return };
            let mut data = BTreeMap::from([("kind".to_owned(), change.kind.clone())]);
            data.extend(change.check.iter().map(|name| ("check-name".to_owned(), name.clone())));
            data
        };
        self.notify(None, "change-update", &id.to_string(), data, None);
    }

    /// Records a notice: its id.
    pub fn notify(
        &self,
        user: Option<u32>,
        kind: &'static str,
        key: &str,
        data: BTreeMap<String, String>,
        repeat_after: Option<Duration>,
    ) -> u64 {
        let mut state = self.state();
        let time = now();
        let known =
            state.notices.iter_mut().find(|n| n.user == user && n.kind == kind && n.key == key);
        let id = if let Some(notice) = known {
            let due = match repeat_after {
                None => true,
                Some(pause) => later(&notice.repeated, pause) < time,
            };
            notice.occurrences += 1;
            notice.last.clone_from(&time);
            notice.data = data;
            notice.repeat_after = repeat_after;
            if due {
                notice.repeated = time;
            }
            notice.id
        } else {
            state.next_notice += 1;
            let id = state.next_notice;
            state.notices.push(Notice {
                id,
                user,
                kind,
                key: key.to_owned(),
                first: time.clone(),
                last: time.clone(),
                repeated: time,
                occurrences: 1,
                data,
                repeat_after,
            });
            if state.notices.len() > KEPT_NOTICES {
                state.notices.remove(0);
            }
            id
        };
        drop(state);
        self.bump();
        id
    }

    /// Keeps a line of a service's output.
    pub fn log(&self, service: &str, line: String) {
        let time = now();
        if self.verbose {
            println!("{time} [{service}] {line}");
        }
        let mut state = self.state();
        state.logs.push_back((time, service.to_owned(), line));
        if state.logs.len() > KEPT_LINES {
            state.logs.pop_front();
        }
        drop(state);
        self.bump();
    }
}

/// A time so much later, as text.
fn later(time: &str, by: Duration) -> String {
    let parsed: Result<jiff::Timestamp, _> = time.parse();
    let moved = parsed.ok().and_then(|t| t.checked_add(jiff::SignedDuration::try_from(by).ok()?).ok());
    moved.map_or_else(String::new, |t| format!("{t:.9}"))
}

impl Change {
    pub fn error(&self) -> Option<String> {
        let mut lines = Vec::new();
        for task in self.tasks.iter().filter(|task| task.status == "Error") {
            for entry in task.log.iter().filter_map(|line| line.split_once(" ERROR ")) {
                lines.push(format!("- {} ({})", task.summary, entry.1));
            }
        }
        (!lines.is_empty())
            .then(|| format!("cannot perform the following tasks:\n{}", lines.join("\n")))
    }

    pub fn status(&self) -> &'static str {
        let has = |status: &str| self.tasks.iter().any(|task| task.status == status);
        match self.tasks.is_empty() {
            true => "Done",
            false => ["Doing", "Do", "Error", "Done", "Hold"]
                .into_iter()
                .find(|status| has(status))
                .unwrap_or("Done"),
        }
    }

    pub fn json(&self) -> Value {
        let mut value = json!({
            "id": self.id.to_string(),
            "kind": self.kind,
            "summary": self.summary,
            "status": self.status(),
            "ready": self.ended.is_some(),
            "spawn-time": self.spawned,
        });
        if let Some(map) = value.as_object_mut() {
            if !self.tasks.is_empty() {
                map.insert("tasks".into(), self.tasks.iter().map(Task::json).collect());
            }
            map.extend(self.ended.iter().map(|time| ("ready-time".to_owned(), json!(time))));
            if self.ended.is_some() {
                map.extend(self.error().map(|error| ("err".to_owned(), json!(error))));
            }
        }
        value
    }
}

impl Task {
    fn json(&self) -> Value {
        let done = i32::from(self.status != "Do");
        let mut value = json!({
            "id": self.id.to_string(),
            "kind": self.kind,
            "summary": self.summary,
            "status": self.status,
            "progress": {"label": "", "done": done, "total": 1},
            "spawn-time": self.spawned,
        });
        if let Some(map) = value.as_object_mut() {
            if !self.log.is_empty() {
                map.insert("log".into(), json!(self.log));
            }
            if !self.data.is_empty() {
                map.insert("data".into(), json!(self.data));
            }
            map.extend(self.ended.iter().map(|time| ("ready-time".to_owned(), json!(time))));
        }
        value
    }
}

/// `pebble run`.
pub(crate) fn main(args: &[String]) -> ExitCode {
    let mut hold = false;
    let mut verbose = std::env::var("PEBBLE_VERBOSE").is_ok();
    let mut create = false;
    let mut http = None;
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--hold" => hold = true,
            "--verbose" | "-v" => verbose = true,
            "--create-dirs" => create = true,
            "--http" => http = rest.next().cloned(),
            // Kept identities are no more than uids here: root and the own one are admins.
            "--identities" => drop(rest.next()),
            other => {
                eprintln!("error: unknown flag `{other}'");
                return ExitCode::FAILURE;
            }
        }
    }
    let directory: PathBuf =
        std::env::var("PEBBLE").unwrap_or_else(|_| "/var/lib/pebble/default".into()).into();
    if create && let Err(error) = std::fs::create_dir_all(&directory) {
        eprintln!("error: cannot create {}: {error}", directory.display());
        return ExitCode::FAILURE;
    }
    let daemon = Arc::new(Daemon {
        state: Mutex::default(),
        version: watch::Sender::new(1),
        stop: Notify::new(),
        exit_code: Mutex::new(0),
        boot_id: uuid::Uuid::new_v4().to_string(),
        verbose,
        http,
        directory,
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(daemon, hold)),
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(daemon: Arc<Daemon>, hold: bool) -> ExitCode {
    if let Err(error) = load_layers(&daemon) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    if let Err(error) = api::listen(&daemon).await {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    if !hold {
        let _ = services::request(&daemon, "autostart", &[]);
    }
    let mut term = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(term) => term,
        Err(_) => return ExitCode::FAILURE,
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
        () = daemon.stop.notified() => {}
    }
    services::stop_all(&daemon).await;
    let code = *daemon.exit_code.lock().unwrap_or_else(PoisonError::into_inner);
    ExitCode::from(code)
}

/// Layers that the image or a former start left on disk.
fn load_layers(daemon: &Arc<Daemon>) -> Result<(), String> {
    let Ok(entries) = std::fs::read_dir(daemon.directory.join("layers")) else { return Ok(()) };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let label = name.split_once('-').map_or(name.as_str(), |(_, label)| label).to_owned();
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        services::add_layer(daemon, &label, &text, false).map_err(|(_, message)| message)?;
    }
    Ok(())
}
