//! The two tasks: start a service and see it live, stop a service and see it go.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::sync::{oneshot, watch};

use super::lifecycle::{KILLED, launch};
use super::{Definition, Phase, Service};
use crate::daemon::Daemon;
use crate::process;

/// A start has succeeded when the process has lived so long.
const OKAY: Duration = Duration::from_secs(1);
/// Lines of output that a failed start tells.
const LAST_LINES: usize = 20;

/// A task of a change, to log into.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub change: u64,
    pub task: usize,
}

fn info(daemon: &Daemon, place: Place, text: &str) {
    daemon.update(place.change, |change| {
        if let Some(task) = change.task(place.task) {
            task.log("INFO", text);
        }
    });
}

/// Starts a service and waits until it has lived for a while.
pub(super) async fn start(
    daemon: &Arc<Daemon>,
    name: &str,
    place: Place,
    mut aborted: watch::Receiver<bool>,
) -> Result<(), String> {
    let (definition, phase) = {
        let state = daemon.state();
        let definition = Definition::of(&state.plan, name)
            .ok_or_else(|| format!("cannot find service \"{name}\" in plan"))?;
        (
            Arc::new(definition),
            state.services.get(name).map(|service| service.phase),
        )
    };
    match phase {
        Some(Phase::Starting | Phase::Running) => {
            info(
                daemon,
                place,
                &format!("Service \"{name}\" already started."),
            );
            return Ok(());
        }
        Some(phase @ (Phase::Terminating | Phase::Killing)) => {
            return Err(format!("cannot start service while {}", phase.word()));
        }
        _ => {}
    }
    let started = begin(daemon, name, &definition)?;
    tokio::select! {
        biased;
        result = started => match result {
            Ok(Err(text)) => {
                last_output(daemon, name, place);
                Err(format!("service start attempt: {text}"))
            }
            _ => Ok(()),
        },
        _ = aborted.wait_for(|aborted| *aborted) => {
            kill(daemon, name);
            Err("start aborted, sent SIGKILL to process".to_owned())
        }
        () = tokio::time::sleep(OKAY) => {
            let mut state = daemon.state();
            if let Some(service) = state.services.get_mut(name) && service.phase == Phase::Starting
            {
                service.enter(Phase::Running);
                service.started = None;
            }
            Ok(())
        }
    }
}

/// Launches a service anew: what hears how the start goes if it does not just live on.
fn begin(
    daemon: &Arc<Daemon>,
    name: &str,
    definition: &Arc<Definition>,
) -> Result<oneshot::Receiver<Result<(), String>>, String> {
    let launched = launch(daemon, name, definition, Phase::Starting);
    let mut state = daemon.state();
    let service = state.services.entry(name.to_owned());
    let service = service.or_insert_with(|| Service::new(definition.clone()));
    (service.backoff, service.backoffs) = (None, 0);
    if let Err(error) = launched {
        service.definition = definition.clone();
        service.generation += 1;
        service.enter(Phase::Stopped);
        return Err(error);
    }
    let (tell, started) = oneshot::channel();
    service.started = Some(tell);
    Ok(started)
}

fn last_output(daemon: &Daemon, name: &str, place: Place) {
    let text = {
        let state = daemon.state();
        let from = state
            .services
            .get(name)
            .map_or(0, |service| service.output_from);
        state.logs.last_lines(name, from, LAST_LINES)
    };
    if let Some(text) = text {
        info(
            daemon,
            place,
            &format!("Most recent service output:\n{text}"),
        );
    }
}

fn kill(daemon: &Daemon, name: &str) {
    let mut state = daemon.state();
    if let Some(service) = state.services.get_mut(name) {
        if let Some(pid) = service.pid {
            process::kill_group(pid);
        }
        service.started = None;
        service.enter(Phase::Stopped);
    }
}

/// What is to be waited for when a service shall stop.
enum Stop {
    Nothing(String),
    Gone,
    Process {
        pid: i32,
        delay: Duration,
        stopped: oneshot::Receiver<()>,
    },
}

fn begin_stop(daemon: &Daemon, name: &str) -> Stop {
    let mut state = daemon.state();
    let Some(service) = state.services.get_mut(name) else {
        return Stop::Nothing(format!("Service \"{name}\" has never been started."));
    };
    match service.phase {
        Phase::Initial => {
            return Stop::Nothing(format!("Service \"{name}\" has never been started."));
        }
        Phase::Terminating | Phase::Killing if !service.restarting => {
            return Stop::Nothing(format!("Service \"{name}\" already stopping."));
        }
        Phase::Stopped => return Stop::Nothing(format!("Service \"{name}\" already stopped.")),
        Phase::Exited => {
            service.enter(Phase::Stopped);
            return Stop::Nothing(format!("Service \"{name}\" had already exited."));
        }
        Phase::Backoff => {
            service.generation += 1;
            service.enter(Phase::Stopped);
            return Stop::Gone;
        }
        Phase::Starting => {
            if let Some(started) = service.started.take() {
                let _ = started.send(Err("stopped before the 1s okay delay".to_owned()));
            }
        }
        Phase::Running | Phase::Terminating | Phase::Killing => {}
    }
    let Some(pid) = service.pid else {
        service.enter(Phase::Stopped);
        return Stop::Gone;
    };
    process::signal_group(pid, Signal::SIGTERM);
    service.enter(Phase::Terminating);
    let (tell, stopped) = oneshot::channel();
    service.stopped = Some(tell);
    Stop::Process {
        pid,
        delay: service.definition.service.kill_delay(),
        stopped,
    }
}

/// Stops a service: SIGTERM to its processes, SIGKILL when they take too long.
pub(super) async fn stop(daemon: &Arc<Daemon>, name: &str, place: Place) -> Result<(), String> {
    let (pid, delay, mut stopped) = match begin_stop(daemon, name) {
        Stop::Nothing(text) => {
            info(daemon, place, &text);
            return Ok(());
        }
        Stop::Gone => return Ok(()),
        Stop::Process {
            pid,
            delay,
            stopped,
        } => (pid, delay, stopped),
    };
    if tokio::time::timeout(delay, &mut stopped).await.is_ok() {
        return Ok(());
    }
    {
        let mut state = daemon.state();
        if let Some(service) = state.services.get_mut(name)
            && service.phase == Phase::Terminating
        {
            process::kill_group(pid);
            service.enter(Phase::Killing);
        }
    }
    if tokio::time::timeout(KILLED, stopped).await.is_ok() {
        return Ok(());
    }
    if let Some(service) = daemon.state().services.get_mut(name) {
        service.enter(Phase::Stopped);
    }
    Err("cannot stop service: process still running after SIGTERM and SIGKILL".to_owned())
}
