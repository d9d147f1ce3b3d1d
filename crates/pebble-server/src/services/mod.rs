//! Services: what is known of each, and the states that it goes through.

mod lifecycle;
mod request;
mod tasks;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::oneshot;

use crate::daemon::State;
use crate::plan;
use crate::time::Time;

pub(crate) use lifecycle::check_failed;
pub(crate) use request::{autostart, request, stop_all};

/// Refusal of a request: HTTP status and text.
pub(crate) type Refused = (u16, String);

/// What a service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Initial,
    Starting,
    Running,
    Terminating,
    Killing,
    Stopped,
    Backoff,
    Exited,
}

impl Phase {
    /// As the API has it.
    fn status(self) -> &'static str {
        match self {
            Self::Starting | Self::Running => "active",
            Self::Terminating | Self::Killing | Self::Stopped => "inactive",
            Self::Backoff => "backoff",
            Self::Initial | Self::Exited => "error",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Terminating => "terminating",
            Self::Killing => "killing",
            Self::Stopped => "stopped",
            Self::Backoff => "backoff",
            Self::Exited => "exited",
        }
    }
}

/// The definition that a service was started with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition {
    pub service: plan::Service,
    pub workload: Option<plan::Workload>,
}

impl Definition {
    fn of(plan: &plan::Layer, name: &str) -> Option<Self> {
        let service = plan.services.get(name)?.clone();
        let workload = plan.workloads.get(&service.workload).cloned();
        Some(Self { service, workload })
    }
}

/// A service that was started at least once.
pub(crate) struct Service {
    phase: Phase,
    since: Time,
    definition: Arc<Definition>,
    pid: Option<i32>,
    /// Moves with each start and stop, so that what an earlier one left behind is void.
    generation: u64,
    backoff: Option<Duration>,
    backoffs: u64,
    /// It is being ended because of a check, and shall come back.
    restarting: bool,
    launched: Instant,
    starts: u64,
    /// Where its output stood when it was launched.
    output_from: u64,
    /// Who waits to hear that it has started.
    started: Option<oneshot::Sender<Result<(), String>>>,
    /// Who waits to hear that it has stopped.
    stopped: Option<oneshot::Sender<()>>,
}

impl Service {
    fn new(definition: Arc<Definition>) -> Self {
        Self {
            phase: Phase::Initial,
            since: Time::now(),
            definition,
            pid: None,
            generation: 0,
            backoff: None,
            backoffs: 0,
            restarting: false,
            launched: Instant::now(),
            starts: 0,
            output_from: 0,
            started: None,
            stopped: None,
        }
    }

    fn enter(&mut self, phase: Phase) {
        if self.phase.status() != phase.status() {
            self.since = Time::now();
        }
        self.phase = phase;
        self.restarting = false;
    }

    fn is_live(&self) -> bool {
        !matches!(self.phase, Phase::Initial | Phase::Stopped | Phase::Exited)
    }

    /// The process, while it takes signals.
    fn running_pid(&self) -> Option<i32> {
        self.pid
            .filter(|_| matches!(self.phase, Phase::Starting | Phase::Running))
    }

    /// For the metrics: whether it is active, and how often it was started.
    pub fn counts(&self) -> (bool, u64) {
        (self.phase.status() == "active", self.starts)
    }
}

/// A service as the API has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Info {
    name: String,
    startup: &'static str,
    current: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_since: Option<Time>,
}

/// The services of the plan, or those of these names that are in it.
pub(crate) fn list(state: &State, names: &[String]) -> Vec<Info> {
    let wanted = state
        .plan
        .services
        .iter()
        .filter(|(name, _)| names.is_empty() || names.contains(name));
    let info = wanted.map(|(name, service)| {
        let known = state.services.get(name);
        Info {
            name: name.clone(),
            startup: if service.is_enabled() {
                "enabled"
            } else {
                "disabled"
            },
            current: known.map_or("inactive", |service| service.phase.status()),
            current_since: known.map(|service| service.since),
        }
    });
    info.collect()
}

/// Sends a signal to the processes of services; those that it could be sent to get it even where
/// others fail.
pub(crate) fn signal(state: &State, name: &str, services: &[String]) -> Result<(), Refused> {
    use nix::sys::signal::{Signal, kill};
    if services.is_empty() {
        return Err((400, "must specify one or more services".to_owned()));
    }
    let mut errors = Vec::new();
    for service in services {
        let pid = state.services.get(service).and_then(Service::running_pid);
        let sent = match (pid, name.parse::<Signal>()) {
            (None, _) => Err("service is not running".to_owned()),
            (_, Err(_)) => Err(format!("invalid signal name \"{name}\"")),
            (Some(pid), Ok(signal)) => kill(nix::unistd::Pid::from_raw(pid), signal)
                .map_err(|error| crate::process::go_error(&error.into())),
        };
        if let Err(error) = sent {
            errors.push(format!("cannot send signal to \"{service}\": {error}"));
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err((500, errors.join("; ")))
    }
}
