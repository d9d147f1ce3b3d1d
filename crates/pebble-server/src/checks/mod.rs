//! Checks: run at their period, up until as many failures in a row as their threshold. Each stands
//! for a change: `perform-check` while it is up, `recover-check` while it is down.

mod http;
mod probe;
mod run;

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::changes::{Change, NewChange};
use crate::daemon::{Daemon, State};
use crate::plan;

pub(crate) use probe::Probe;

/// Who wants a check to run now, and hears how it went.
type Refresh = oneshot::Sender<Result<(), String>>;

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Up,
    Down,
    Inactive,
}

/// A check of the plan.
pub(crate) struct Check {
    /// What is run; other definitions that come to the same do not restart it.
    probe: Arc<Probe>,
    level: String,
    enabled: bool,
    threshold: u64,
    status: Status,
    successes: u64,
    failures: u64,
    /// Successes within the change of now.
    counted: u64,
    change: Option<u64>,
    previous: Option<u64>,
    running: Option<(AbortHandle, mpsc::UnboundedSender<Refresh>)>,
}

/// A check as the API has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Info {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    level: String,
    startup: &'static str,
    status: Status,
    successes: u64,
    #[serde(skip_serializing_if = "is_zero")]
    failures: u64,
    threshold: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    change_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_change_id: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Check {
    fn new(probe: Arc<Probe>, check: &plan::Check) -> Self {
        Self {
            probe,
            level: check.level.clone(),
            enabled: check.is_enabled(),
            threshold: check.threshold,
            status: Status::Inactive,
            successes: 0,
            failures: 0,
            counted: 0,
            change: None,
            previous: None,
            running: None,
        }
    }

    pub fn info(&self, name: &str) -> Info {
        Info {
            name: name.to_owned(),
            level: self.level.clone(),
            startup: if self.enabled { "enabled" } else { "disabled" },
            status: self.status,
            successes: self.successes,
            failures: self.failures,
            threshold: self.threshold,
            change_id: self.change.map(|id| id.to_string()),
            prev_change_id: self.previous.map(|id| id.to_string()),
        }
    }

    pub fn level(&self) -> &str {
        &self.level
    }

    pub fn status(&self) -> Status {
        self.status
    }

    pub fn counts(&self) -> (u64, u64) {
        (self.successes, self.failures)
    }
}

/// Takes the checks of the plan: starts new ones and those that have changed, ends those that are
/// gone.
pub(crate) fn follow_plan(daemon: &Arc<Daemon>) {
    let mut state = daemon.state();
    let plan = state.plan.clone();
    let known: Vec<String> = state.checks.keys().cloned().collect();
    for name in known.iter().filter(|name| !plan.checks.contains_key(*name)) {
        halt(daemon, &mut state, name);
        state.checks.remove(name);
    }
    for (name, definition) in &plan.checks {
        let probe = Arc::new(Probe::new(definition, &plan));
        let mut start = definition.is_enabled();
        let mut previous = None;
        match state.checks.get_mut(name) {
            Some(check)
                if *check.probe == *probe
                    && check.threshold == definition.threshold
                    && check.level == definition.level =>
            {
                check.enabled = definition.is_enabled();
                continue;
            }
            Some(check) => {
                start = start || check.running.is_some();
                previous = check.change;
                halt(daemon, &mut state, name);
            }
            None => {}
        }
        let mut check = Check::new(probe, definition);
        check.previous = previous;
        state.checks.insert(name.clone(), check);
        if start {
            launch(daemon, &mut state, name);
        }
    }
}

/// Starts the checks that are enabled and do not run.
pub(crate) fn start_enabled(daemon: &Arc<Daemon>) {
    let mut state = daemon.state();
    let checks = state
        .checks
        .iter()
        .filter(|(_, check)| check.enabled && check.running.is_none());
    let names: Vec<String> = checks.map(|(name, _)| name.clone()).collect();
    for name in names {
        launch(daemon, &mut state, &name);
    }
}

/// Starts or stops checks: the names of those for which that made a difference.
pub(crate) fn switch(daemon: &Arc<Daemon>, on: bool, names: &[String]) -> Vec<String> {
    let mut state = daemon.state();
    let mut changed: Vec<String> = names
        .iter()
        .filter(|name| {
            let runs = state
                .checks
                .get(*name)
                .is_some_and(|check| check.running.is_some());
            if runs != on {
                if on {
                    launch(daemon, &mut state, name);
                } else {
                    halt(daemon, &mut state, name);
                }
            }
            runs != on
        })
        .cloned()
        .collect();
    changed.sort();
    changed.dedup();
    changed
}

/// Lets a check run from the beginning.
fn launch(daemon: &Arc<Daemon>, state: &mut State, name: &str) {
    let Some(check) = state.checks.get_mut(name) else {
        return;
    };
    (check.successes, check.failures, check.counted) = (0, 0, 0);
    check.status = Status::Up;
    let probe = check.probe.clone();
    let id = new_change(daemon, state, "perform-check", name, &probe);
    let (refresh, refreshes) = mpsc::unbounded_channel();
    let task = tokio::spawn(run::run(daemon.clone(), name.to_owned(), probe, refreshes));
    if let Some(check) = state.checks.get_mut(name) {
        check.change = Some(id);
        check.running = Some((task.abort_handle(), refresh));
    }
}

/// Lets a check run no more.
fn halt(daemon: &Daemon, state: &mut State, name: &str) {
    let Some(check) = state.checks.get_mut(name) else {
        return;
    };
    check.status = Status::Inactive;
    if let Some((task, _)) = check.running.take() {
        task.abort();
    }
    if let Some(id) = check.change.take() {
        check.previous = Some(id);
        if let Some(change) = state.changes.get_mut(id) {
            change.end(0, Ok(()));
        }
        daemon.note(state, id);
    }
}

/// Makes the change that a check stands for.
fn new_change(
    daemon: &Daemon,
    state: &mut State,
    kind: &'static str,
    name: &str,
    probe: &Probe,
) -> u64 {
    let verb = if kind == "perform-check" {
        "Perform"
    } else {
        "Recover"
    };
    let summary = format!("{verb} {} check \"{name}\"", probe.word());
    let id = state.changes.add(NewChange {
        kind: kind.to_owned(),
        summary: summary.clone(),
        tasks: vec![(kind, summary)],
        services: Vec::new(),
        check: Some(name.to_owned()),
    });
    daemon.note(state, id);
    if let Some(change) = state.changes.get_mut(id) {
        change.begin(0);
    }
    daemon.note(state, id);
    id
}

/// A change was called off: the check that it stands for is no longer run.
pub(crate) fn change_aborted(daemon: &Daemon, state: &mut State, id: u64) {
    let name = state
        .changes
        .get(id)
        .and_then(|change: &Change| change.check.clone());
    if let Some(name) = name
        && state
            .checks
            .get(&name)
            .is_some_and(|check| check.change == Some(id))
    {
        halt(daemon, state, &name);
    }
}

/// Runs a check now: how it went, and how the check stands then. None if there is no such check.
pub(crate) async fn refresh(
    daemon: &Arc<Daemon>,
    name: &str,
) -> Option<(Info, Result<(), String>)> {
    let (probe, running) = {
        let state = daemon.state();
        let check = state.checks.get(name)?;
        let running = check.running.as_ref().map(|(_, refresh)| refresh.clone());
        (check.probe.clone(), running)
    };
    let result = match running {
        None => probe.run().await,
        Some(refreshes) => {
            let (tell, told) = oneshot::channel();
            let _ = refreshes.send(tell);
            told.await
                .unwrap_or_else(|_| Err("check was stopped".to_owned()))
        }
    };
    let info = daemon.state().checks.get(name)?.info(name);
    Some((info, result))
}
