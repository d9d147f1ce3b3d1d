//! The loop of a running check, and what each result makes of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{Probe, Refresh, Status, new_change};
use crate::daemon::{Daemon, State};
use crate::services;

/// Runs a check once a period, and whenever asked to, until it is halted.
pub(super) async fn run(
    daemon: Arc<Daemon>,
    name: String,
    probe: Arc<Probe>,
    mut refreshes: mpsc::UnboundedReceiver<Refresh>,
) {
    let period = probe.period.max(Duration::from_millis(1));
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            _ = ticks.tick() => None,
            asked = refreshes.recv() => match asked {
                Some(asked) => Some(asked),
                None => return,
            },
        };
        let result = probe.run().await;
        if asked.is_some() {
            ticks.reset();
        }
        if judge(&daemon, &name, &result) {
            services::check_failed(&daemon, &name);
        }
        if let Some(asked) = asked {
            let _ = asked.send(result);
        }
    }
}

/// Counts a run: whether the check has failed by it.
fn judge(daemon: &Arc<Daemon>, name: &str, result: &Result<(), String>) -> bool {
    let mut guard = daemon.state();
    let state = &mut *guard;
    let Some(check) = state.checks.get_mut(name) else {
        return false;
    };
    let Some(change) = check.change else {
        return false;
    };
    let (failed_before, down) = (check.failures, check.status == Status::Down);
    match result {
        Ok(()) => {
            check.failures = 0;
            if down {
                check.successes = 1;
                check.counted = 0;
            } else {
                check.counted += 1;
                check.successes = check.counted;
            }
        }
        Err(why) => {
            check.failures += 1;
            daemon.say(&format!(
                "Check \"{name}\" failure {}/{}: {why}",
                check.failures, check.threshold
            ));
        }
    }
    let crossed = result.is_err() && !down && check.failures >= check.threshold;
    let task = |state: &mut State, level: &str, text: &str| {
        if let Some(task) = state
            .changes
            .get_mut(change)
            .and_then(|change| change.task(0))
        {
            task.log(level, text);
        }
        daemon.dirty.notify_one();
    };
    match result {
        Ok(()) if down => succeed(daemon, state, name, change),
        Ok(()) if failed_before > 0 => {
            task(
                state,
                "INFO",
                &format!(
                    "succeeded after {} {}",
                    failed_before,
                    plural(failed_before)
                ),
            );
        }
        Ok(()) => {}
        Err(why) if crossed => fail(daemon, state, name, change, why),
        Err(why) => task(state, "ERROR", why),
    }
    crossed
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "failure" } else { "failures" }
}

/// The check has failed: its change ends in error, and one that waits for its recovery begins.
fn fail(daemon: &Arc<Daemon>, state: &mut State, name: &str, change: u64, why: &str) {
    daemon.say(&format!(
        "Check \"{name}\" threshold reached, triggering action and recovering"
    ));
    if let Some(change) = state.changes.get_mut(change) {
        change.end(0, Err(why.to_owned()));
    }
    daemon.note(state, change);
    replace(daemon, state, name, "recover-check", Status::Down);
}

/// The check has recovered.
fn succeed(daemon: &Arc<Daemon>, state: &mut State, name: &str, change: u64) {
    if let Some(change) = state.changes.get_mut(change) {
        change.end(0, Ok(()));
    }
    daemon.note(state, change);
    replace(daemon, state, name, "perform-check", Status::Up);
}

fn replace(
    daemon: &Arc<Daemon>,
    state: &mut State,
    name: &str,
    kind: &'static str,
    status: Status,
) {
    let Some(probe) = state.checks.get(name).map(|check| check.probe.clone()) else {
        return;
    };
    let id = new_change(daemon, state, kind, name, &probe);
    if let Some(check) = state.checks.get_mut(name) {
        check.status = status;
        check.previous = check.change.replace(id);
    }
}
