//! The server's state, and who is woken when it changes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::changes::{Change, Changes};
use crate::identities::Identity;
use crate::logs::{Logs, Output};
use crate::notices::Notices;
use crate::plan::{Layer, Refusal, Stack};
use crate::{checks, exec, services};

/// How the server is run.
#[derive(Debug, Default, Clone)]
pub(crate) struct Options {
    pub directory: PathBuf,
    pub socket: PathBuf,
    pub http: Option<String>,
    pub verbose: bool,
    pub hold: bool,
    pub persist: bool,
    pub identities: Option<PathBuf>,
    /// Default arguments of services: `--args`.
    pub args: Vec<(String, Vec<String>)>,
}

/// The server.
pub(crate) struct Daemon {
    state: Mutex<State>,
    /// Moves when a change ends.
    pub changes: watch::Sender<u64>,
    /// Moves when a notice is recorded.
    pub notices: watch::Sender<u64>,
    /// Moves when a service writes a line.
    pub lines: watch::Sender<u64>,
    /// Something is to be saved.
    pub dirty: Notify,
    /// The server is to end with this code.
    pub end: watch::Sender<Option<u8>>,
    /// The server is about to end and starts nothing any more.
    pub ending: AtomicBool,
    pub output: Output,
    pub boot_id: String,
    pub http_address: Mutex<Option<String>>,
    pub options: Options,
}

/// All that the requests read and change.
#[derive(Default)]
pub(crate) struct State {
    pub layers: Stack,
    pub plan: Arc<Layer>,
    pub services: BTreeMap<String, services::Service>,
    pub checks: BTreeMap<String, checks::Check>,
    pub changes: Changes,
    pub notices: Notices,
    pub logs: Logs,
    pub execs: BTreeMap<u64, exec::Pending>,
    pub identities: BTreeMap<String, Identity>,
}

impl Daemon {
    pub fn new(options: Options) -> Self {
        Self {
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            notices: watch::Sender::new(0),
            lines: watch::Sender::new(0),
            dirty: Notify::new(),
            end: watch::Sender::new(None),
            ending: AtomicBool::new(false),
            output: Output::new(options.verbose),
            boot_id: uuid::Uuid::new_v4().to_string(),
            http_address: Mutex::default(),
            options,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave the state half-changed in a way that matters here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the server with this code; the first to ask decides.
    pub fn shut_down(&self, code: u8) {
        self.end.send_if_modified(|end| {
            let first = end.is_none();
            *end = end.or(Some(code));
            first
        });
    }

    /// Tells the operator of the server, as Pebble does on its standard error.
    pub fn say(&self, text: &str) {
        self.output.own(text);
    }

    /// Adds a layer; checks follow the plan at once, services do when they are told to.
    pub fn add_layer(
        self: &Arc<Self>,
        label: &str,
        layer: Layer,
        combine: bool,
        inner: bool,
    ) -> Result<(), Refusal> {
        let mut state = self.state();
        let mut layers = state.layers.clone();
        let plan = layers.add(label, layer, combine, inner)?;
        if state.plan.workloads != plan.workloads {
            let text = "cannot change immutable section \"workloads\"".to_owned();
            return Err(Refusal::Wrong(text));
        }
        state.layers = layers;
        state.plan = Arc::new(plan);
        drop(state);
        checks::follow_plan(self);
        Ok(())
    }

    /// Records that a change has come to be or has another status.
    pub fn note(&self, state: &mut State, id: u64) {
        let Some(change) = state.changes.get_mut(id) else {
            return;
        };
        let recorded = change.note();
        let ended = change.is_ready();
        if let Some(data) = recorded {
            state
                .notices
                .record(None, "change-update", &id.to_string(), data, None);
            self.notices.send_modify(|version| *version += 1);
        }
        if ended {
            self.changes.send_modify(|version| *version += 1);
        }
        self.dirty.notify_one();
    }

    /// Changes a change, and records what follows from it.
    pub fn update<T>(&self, id: u64, work: impl FnOnce(&mut Change) -> T) -> Option<T> {
        let mut state = self.state();
        let result = state.changes.get_mut(id).map(work);
        self.note(&mut state, id);
        result
    }
}
