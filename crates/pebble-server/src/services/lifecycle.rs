//! What happens to a service's process: launched, ended by itself, ended on request or because of
//! a check, launched again after a pause.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::net::unix::pipe;
use tokio::process::Child;

use super::{Definition, Phase, Service};
use crate::daemon::Daemon;
use crate::duration::GoDuration;
use crate::plan::command;
use crate::process::{self, Setting};

/// How long the end of a service waits for the last of its output, which a process that it left
/// behind may hold open for ever.
const LAST_OUTPUT: Duration = Duration::from_millis(200);
/// A process has so long to end after SIGKILL.
pub(super) const KILLED: Duration = Duration::from_secs(5);

/// Launches a service's process; the phase is the one that it is in from then on.
pub(super) fn launch(
    daemon: &Arc<Daemon>,
    name: &str,
    definition: &Arc<Definition>,
    phase: Phase,
) -> Result<u64, String> {
    if daemon.ending.load(Ordering::Relaxed) {
        return Err("cannot start service: server is exiting".to_owned());
    }
    let argv = command::argv(name, &definition.service.command)?;
    let setting = setting(definition)?;
    let failed = |error: std::io::Error| {
        let program = argv.first().map_or("", String::as_str);
        let text = process::spawn_error(program, &setting.working_dir, &error);
        format!("cannot start service: {text}")
    };
    let mut command = process::command(&argv, &setting).map_err(|why| {
        if why.starts_with("exec:") {
            format!("cannot start service: {why}")
        } else {
            why
        }
    })?;
    let (read, write) = std::io::pipe().map_err(failed)?;
    let both = write.try_clone().map_err(failed)?;
    command
        .stdin(std::process::Stdio::null())
        .stdout(write)
        .stderr(both);
    daemon.say(&format!(
        "Service \"{name}\" starting: {}",
        definition.service.command
    ));
    let child = command.spawn().map_err(failed)?;
    // Our ends of the writers go with the command.
    drop(command);
    let pipe = pipe::Receiver::from_owned_fd(read.into()).map_err(failed)?;
    let generation = {
        let mut state = daemon.state();
        let output_from = state.logs.position();
        let known = state.services.entry(name.to_owned());
        let service = known.or_insert_with(|| Service::new(definition.clone()));
        service.definition = definition.clone();
        service.enter(phase);
        service.pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        service.generation += 1;
        service.starts += 1;
        service.launched = std::time::Instant::now();
        if phase == Phase::Starting {
            service.since = crate::time::Time::now();
            service.output_from = output_from;
        }
        service.generation
    };
    let output = tokio::spawn(daemon.clone().capture(name.to_owned(), pipe));
    tokio::spawn(follow(
        daemon.clone(),
        name.to_owned(),
        child,
        generation,
        output,
    ));
    Ok(generation)
}

fn setting(definition: &Definition) -> Result<Setting, String> {
    let service = &definition.service;
    let mut setting = Setting {
        user: service.wanted_user(),
        working_dir: service.working_dir.clone(),
        environment: service.environment.clone(),
    };
    if let Some(workload) = &definition.workload {
        setting.user = workload.wanted_user();
        setting.environment = workload.environment.clone();
        setting.environment.extend(service.environment.clone());
    }
    if let Some(owner) = setting.user.resolve()? {
        process::add_home(&mut setting.environment, owner.uid);
    }
    Ok(setting)
}

async fn follow(
    daemon: Arc<Daemon>,
    name: String,
    mut child: Child,
    generation: u64,
    output: tokio::task::JoinHandle<()>,
) {
    let code = child.wait().await.map_or(-1, process::exit_code);
    // From here on the number may be another process's.
    if let Some(service) = daemon.state().services.get_mut(&name)
        && service.generation == generation
    {
        service.pid = None;
    }
    let _ = tokio::time::timeout(LAST_OUTPUT, output).await;
    ended(&daemon, &name, generation, code);
}

/// What a service's definition says of an end by itself.
fn action(definition: &Definition, code: i32) -> (&str, &'static str) {
    let service = &definition.service;
    let (action, key) = if code == 0 {
        (&service.on_success, "on-success")
    } else {
        (&service.on_failure, "on-failure")
    };
    (if action.is_empty() { "restart" } else { action }, key)
}

/// A service's process has ended.
fn ended(daemon: &Arc<Daemon>, name: &str, generation: u64, code: i32) {
    let mut state = daemon.state();
    let Some(service) = state.services.get_mut(name) else {
        return;
    };
    if service.generation != generation {
        return;
    }
    let definition = service.definition.clone();
    let (action, key) = action(&definition, code);
    match service.phase {
        Phase::Starting | Phase::Running => {
            if let Some(started) = service.started.take() {
                let text = format!("exited quickly with code {code}, will {action}");
                let _ = started.send(Err(text));
            }
            daemon.say(&format!(
                "Service \"{name}\" stopped unexpectedly with code {code}"
            ));
            match action {
                "ignore" => service.enter(if code == 0 {
                    Phase::Stopped
                } else {
                    Phase::Exited
                }),
                "restart" => back_off(daemon, name, service, key),
                _ => {
                    service.enter(Phase::Exited);
                    let fails = action == "failure-shutdown" || (action == "shutdown" && code != 0);
                    let word = if fails { "failure" } else { "success" };
                    daemon.say(&format!(
                        "Service \"{name}\" {key} action is \"{action}\", triggering {word} shutdown"
                    ));
                    daemon.shut_down(if fails { 10 } else { 0 });
                }
            }
        }
        Phase::Terminating | Phase::Killing if service.restarting => {
            back_off(daemon, name, service, "on-check-failure");
        }
        Phase::Terminating | Phase::Killing => {
            daemon.say(&format!("Service \"{name}\" stopped"));
            service.enter(Phase::Stopped);
            if let Some(stopped) = service.stopped.take() {
                let _ = stopped.send(());
            }
        }
        _ => {}
    }
}

fn limits(service: &super::plan::Service) -> (Duration, f64, Duration) {
    (
        service
            .backoff_delay
            .unwrap_or(GoDuration::from_millis(500))
            .std(),
        service.backoff_factor.unwrap_or(2.0),
        service
            .backoff_limit
            .unwrap_or(GoDuration::from_secs(30))
            .std(),
    )
}

/// The pause after one of that length; the first where there was none.
fn next_pause(service: &super::plan::Service, last: Option<Duration>) -> Duration {
    let (first, factor, limit) = limits(service);
    match last {
        None => first,
        Some(last) => {
            let grown = Duration::try_from_secs_f64(last.as_secs_f64() * factor);
            grown.unwrap_or(limit).min(limit)
        }
    }
}

/// Lets a service wait before it is launched again.
fn back_off(daemon: &Arc<Daemon>, name: &str, service: &mut Service, key: &str) {
    let (_, _, limit) = limits(&service.definition.service);
    if service.launched.elapsed() >= limit {
        (service.backoff, service.backoffs) = (None, 0);
    }
    let pause = next_pause(&service.definition.service, service.backoff);
    service.backoff = Some(pause);
    service.backoffs += 1;
    service.enter(Phase::Backoff);
    daemon.say(&format!(
        "Service \"{name}\" {key} action is \"restart\", waiting ~{} before restart (backoff {})",
        GoDuration::from(pause),
        service.backoffs
    ));
    // Services that fail together shall not come back together.
    let pause = pause.mul_f64(1.0 + rand::random::<f64>() / 10.0);
    let (daemon, name, generation) = (daemon.clone(), name.to_owned(), service.generation);
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        let definition = {
            let state = daemon.state();
            let waiting = state.services.get(&name).filter(|service| {
                service.generation == generation && service.phase == Phase::Backoff
            });
            waiting.map(|service| service.definition.clone())
        };
        if let Some(definition) = definition
            && let Err(error) = launch(&daemon, &name, &definition, Phase::Running)
        {
            daemon.say(&format!("Service \"{name}\": {error}"));
        }
    });
}

/// Ends a running service's process; it comes back by the way of a pause.
fn restart_for_check(daemon: &Arc<Daemon>, name: &str, service: &mut Service) {
    let Some(pid) = service.pid else { return };
    process::signal_group(pid, Signal::SIGTERM);
    service.enter(Phase::Terminating);
    service.restarting = true;
    let (daemon, name) = (daemon.clone(), name.to_owned());
    let (generation, delay) = (service.generation, service.definition.service.kill_delay());
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        let mut state = daemon.state();
        if let Some(service) = state.services.get_mut(&name)
            && service.generation == generation
            && service.phase == Phase::Terminating
            && service.restarting
        {
            process::kill_group(pid);
            service.enter(Phase::Killing);
            service.restarting = true;
        }
    });
}

/// Does what the services want done that name a check which has failed.
pub(crate) fn check_failed(daemon: &Arc<Daemon>, check: &str) {
    let mut state = daemon.state();
    for (name, service) in &mut state.services {
        let Some(action) = service
            .definition
            .service
            .on_check_failure
            .get(check)
            .cloned()
        else {
            continue;
        };
        if !matches!(
            service.phase,
            Phase::Running | Phase::Backoff | Phase::Exited
        ) {
            continue;
        }
        daemon.say(&format!(
            "Service \"{name}\" on-check-failure action is \"{action}\" for check \"{check}\""
        ));
        match (action.as_str(), service.phase) {
            ("restart", Phase::Running) => restart_for_check(daemon, name, service),
            ("restart", Phase::Exited) => back_off(daemon, name, service, "on-check-failure"),
            ("shutdown", _) => daemon.shut_down(11),
            ("success-shutdown", _) => daemon.shut_down(0),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit() {
        let service = crate::plan::Service {
            backoff_limit: Some(GoDuration::from_millis(1500)),
            ..Default::default()
        };
        let mut last = None;
        let mut pauses = Vec::new();
        for _ in 0..4 {
            let pause = next_pause(&service, last);
            pauses.push(pause.as_millis());
            last = Some(pause);
        }
        assert_eq!(pauses, [500, 1000, 1500, 1500]);
    }
}
