//! Services: what a start, stop or replan does, and what follows when a process ends.

use std::collections::{BTreeSet, VecDeque};
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use pebble::{Layer, Service};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Child;

use crate::daemon::Daemon;
use crate::{checks, process};

/// A start has succeeded when the process has lived so long.
const OKAY: Duration = Duration::from_secs(1);
/// Refusal of a request: HTTP status and text.
pub(crate) type Refused = (u16, String);

/// What runs of a service.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    pub state: State,
    pub pid: Option<i32>,
    pub since: Option<String>,
    /// The definition that it was started with.
    pub started: Option<Service>,
    /// A new start or stop makes what an older one's watcher decides void.
    generation: u64,
    backoff: Option<Duration>,
    restart_wanted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Inactive,
    Active,
    Stopping,
    Backoff,
    Error,
}

impl Runtime {
    pub fn word(&self) -> &'static str {
        match self.state {
            State::Active => "active",
            State::Backoff => "backoff",
            State::Error => "error",
            State::Inactive | State::Stopping => "inactive",
        }
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            state: State::Inactive,
            pid: None,
            since: None,
            started: None,
            generation: 0,
            backoff: None,
            restart_wanted: false,
        }
    }
}

/// A Go duration.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = 0.0;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let number: f64 = number.parse().ok()?;
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        total += number
            * match unit {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = tail;
    }
    Duration::try_from_secs_f64(total).ok()
}

/// Adds a layer and takes the plan that follows, or refuses it.
pub(crate) fn add_layer(
    daemon: &Arc<Daemon>,
    label: &str,
    yaml: &str,
    combine: bool,
) -> Result<(), Refused> {
    let bad = |text: String| (400, text);
    let layer: Layer = serde_yaml::from_str(if yaml.trim().is_empty() { "{}" } else { yaml })
        .map_err(|e| bad(format!("cannot parse layer YAML: cannot parse layer \"{label}\": {e}")))?;
    validate(label, &layer).map_err(bad)?;
    let mut state = daemon.state();
    let mut layers = state.layers.clone();
    match layers.iter_mut().find(|(known, _)| known == label) {
        Some(_) if !combine => return Err(bad(format!("layer \"{label}\" already exists"))),
        Some((_, known)) => *known = combined(&[known.clone(), layer]),
        None => layers.push((label.to_owned(), layer)),
    }
    let plan = combined(&layers.iter().map(|(_, layer)| layer.clone()).collect::<Vec<_>>());
    validate_plan(&plan).map_err(bad)?;
    state.layers = layers;
    state.plan = plan;
    drop(state);
    checks::follow_plan(daemon);
    daemon.bump();
    Ok(())
}

fn validate(label: &str, layer: &Layer) -> Result<(), String> {
    let overrides = layer
        .services
        .iter()
        .map(|(name, s)| ("service", name, &s.override_))
        .chain(layer.checks.iter().map(|(name, c)| ("check", name, &c.override_)))
        .chain(layer.log_targets.iter().map(|(name, t)| ("log target", name, &t.override_)));
    for (what, name, value) in overrides {
        match value.as_str() {
            "replace" | "merge" => {}
            "" => {
                return Err(format!(
                    "layer \"{label}\" must define \"override\" for {what} \"{name}\""
                ));
            }
            _ => {
                return Err(format!(
                    "layer \"{label}\" has invalid \"override\" value for {what} \"{name}\""
                ));
            }
        }
    }
    for (name, service) in &layer.services {
        if name.is_empty() {
            return Err("cannot use empty string as service name".to_owned());
        }
        process::split(&service.command).map_err(|error| {
            format!("plan service \"{name}\" command invalid: cannot parse service \"{name}\" command: {error}")
        })?;
        for (key, action) in
            [("on-success", &service.on_success), ("on-failure", &service.on_failure)]
        {
            let known = ["", "restart", "shutdown", "ignore", "success-shutdown", "failure-shutdown"];
            if !known.contains(&action.as_str()) {
                return Err(format!("plan service \"{name}\" {key} action \"{action}\" invalid"));
            }
        }
        for text in [&service.backoff_delay, &service.backoff_limit, &service.kill_delay] {
            if !text.is_empty() && duration(text).is_none() {
                return Err(format!("invalid duration \"{text}\""));
            }
        }
    }
    for (name, check) in &layer.checks {
        if !["", "alive", "ready"].contains(&check.level.as_str()) {
            return Err(format!("plan check \"{name}\" level must be \"alive\" or \"ready\""));
        }
        for text in [&check.period, &check.timeout] {
            if !text.is_empty() && duration(text).is_none() {
                return Err(format!("invalid duration \"{text}\""));
            }
        }
    }
    Ok(())
}

fn validate_plan(plan: &Layer) -> Result<(), String> {
    for (name, service) in &plan.services {
        if service.command.is_empty() {
            return Err(format!("plan must define \"command\" for service \"{name}\""));
        }
    }
    for (name, check) in &plan.checks {
        let kinds = [check.http.is_some(), check.tcp.is_some(), check.exec.is_some()];
        if kinds.iter().filter(|given| **given).count() != 1 {
            return Err(format!(
                "plan must specify one of \"http\", \"tcp\", or \"exec\" for check \"{name}\""
            ));
        }
    }
    Ok(())
}

/// Layers one upon the other. Merging goes field by field on the layers' own YAML form: what is
/// given wins, maps are merged, lists are appended.
fn combined(layers: &[Layer]) -> Layer {
    let mut plan = Layer::default();
    for layer in layers {
        plan.summary.clone_from(&layer.summary);
        plan.description.clone_from(&layer.description);
        for (name, service) in &layer.services {
            merge_entry(&mut plan.services, name, service, service.override_ == "merge");
        }
        for (name, check) in &layer.checks {
            merge_entry(&mut plan.checks, name, check, check.override_ == "merge");
        }
        for (name, target) in &layer.log_targets {
            merge_entry(&mut plan.log_targets, name, target, target.override_ == "merge");
        }
    }
    plan
}

fn merge_entry<T>(
    entries: &mut std::collections::BTreeMap<String, T>,
    name: &str,
    new: &T,
    merge: bool,
) where
    T: Clone + serde::Serialize + serde::de::DeserializeOwned,
{
    let merged = entries.get(name).filter(|_| merge).and_then(|known| {
        let mut base = serde_json::to_value(known).ok()?;
        let mut over = serde_json::to_value(new).ok()?;
        over.as_object_mut()?.remove("override");
        merge_values(&mut base, over);
        serde_json::from_value(base).ok()
    });
    entries.insert(name.to_owned(), merged.unwrap_or_else(|| new.clone()));
}

fn merge_values(base: &mut serde_json::Value, over: serde_json::Value) {
    use serde_json::Value;
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(&key) {
                    Some(known) => merge_values(known, value),
                    None => drop(base.insert(key, value)),
                }
            }
        }
        (Value::Array(base), Value::Array(over)) => base.extend(over),
        (base, over) => *base = over,
    }
}

/// A request of `POST /v1/services`: the id of its change.
pub(crate) fn request(
    daemon: &Arc<Daemon>,
    action: &str,
    names: &[String],
) -> Result<u64, Refused> {
    let plan = daemon.state().plan.clone();
    let enabled = || -> Vec<String> {
        let enabled = plan.services.iter().filter(|(_, s)| s.startup == "enabled");
        enabled.map(|(name, _)| name.clone()).collect()
    };
    let (stops, starts): (Vec<String>, Vec<String>) = match action {
        "autostart" | "replan" if !names.is_empty() => {
            return Err((400, format!("{action} accepts no service names")));
        }
        "autostart" => (Vec::new(), enabled()),
        "replan" => {
            let changed = changed_services(daemon, &plan);
            let mut starts = enabled();
            starts.extend(changed.iter().filter(|name| plan.services.contains_key(*name)).cloned());
            (changed, starts)
        }
        "start" | "stop" | "restart" if names.is_empty() => {
            return Err((400, format!("must specify services for {action} action")));
        }
        "start" => (Vec::new(), with_required(&plan, names)),
        "stop" => (names.to_vec(), Vec::new()),
        "restart" => (names.to_vec(), with_required(&plan, names)),
        _ => return Err((400, format!("invalid action \"{action}\""))),
    };
    if let Some(unknown) = names.iter().find(|name| !plan.services.contains_key(*name)) {
        let text = format!("cannot {action} services: service \"{unknown}\" does not exist");
        return Err((400, text));
    }
    if action == "autostart" && starts.is_empty() {
        return Err((400, "no default services".to_owned()));
    }
    let starts = ordered(&plan, &starts);
    let mut tasks: Vec<(String, String)> =
        stops.iter().map(|name| ("stop".into(), format!("Stop service \"{name}\""))).collect();
    tasks.extend(starts.iter().map(|name| ("start".into(), format!("Start service \"{name}\""))));
    let mut title: String = action.to_owned();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let affected: BTreeSet<&String> = stops.iter().chain(&starts).collect();
    let summary = match (names.first().or(affected.first().copied()), affected.len()) {
        (None, _) => format!("{title} - no services"),
        (Some(first), 0 | 1) => format!("{title} service \"{first}\""),
        (Some(first), more) => format!("{title} service \"{first}\" and {} more", more - 1),
    };
    let change = daemon.new_change(action, summary, &tasks);
    if let Some(change) = daemon.state().changes.get_mut(&change) {
        change.services = affected.into_iter().cloned().collect();
    }
    tokio::spawn(run_change(daemon.clone(), change, stops, starts));
    Ok(change)
}

/// Services whose definition is no longer the one that they were started with.
fn changed_services(daemon: &Daemon, plan: &Layer) -> Vec<String> {
    let state = daemon.state();
    let live = |runtime: &Runtime| matches!(runtime.state, State::Active | State::Backoff);
    let changed = state.services.iter().filter(|(name, runtime)| {
        live(runtime) && runtime.started.as_ref() != plan.services.get(*name)
    });
    changed.map(|(name, _)| name.clone()).collect()
}

fn with_required(plan: &Layer, names: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut queue: VecDeque<String> = names.iter().cloned().collect();
    while let Some(name) = queue.pop_front() {
        if all.contains(&name) {
            continue;
        }
        queue.extend(plan.services.get(&name).into_iter().flat_map(|s| s.requires.clone()));
        all.push(name);
    }
    all
}

/// By `after` and `before`, and by name where these leave it open.
fn ordered(plan: &Layer, names: &[String]) -> Vec<String> {
    let mut left: BTreeSet<String> = names.iter().cloned().collect();
    let mut order = Vec::new();
    while !left.is_empty() {
        let waits = |name: &String| {
            let after = plan.services.get(name).is_some_and(|s| s.after.iter().any(|a| left.contains(a)));
            let before = left.iter().any(|other| {
                other != name && plan.services.get(other).is_some_and(|s| s.before.contains(name))
            });
            after || before
        };
        // A loop is broken at the first name.
        let next = left.iter().find(|name| !waits(name)).or(left.first()).cloned();
        if let Some(next) = next {
            left.remove(&next);
            order.push(next);
        }
    }
    order
}

async fn run_change(daemon: Arc<Daemon>, change: u64, stops: Vec<String>, starts: Vec<String>) {
    for (index, name) in stops.iter().enumerate() {
        daemon.task(change, index, "Doing", None);
        let error = stop(&daemon, name).await.err();
        finish(&daemon, change, index, error);
    }
    // Each start waits a second for its process; they wait side by side.
    let mut waiting = Vec::new();
    for (offset, name) in starts.iter().enumerate() {
        let index = stops.len() + offset;
        daemon.task(change, index, "Doing", None);
        let daemon = daemon.clone();
        let started = start(&daemon, name);
        waiting.push(tokio::spawn(async move {
            let error = match started {
                Ok(Some(ended)) => wait_okay(ended).await.err(),
                Ok(None) => None,
                Err(error) => Some(error),
            };
            finish(&daemon, change, index, error);
        }));
    }
    for wait in waiting {
        let _ = wait.await;
    }
}

fn finish(daemon: &Daemon, change: u64, index: usize, error: Option<String>) {
    let stamp = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    match error {
        None => daemon.task(change, index, "Done", None),
        Some(text) => daemon.task(change, index, "Error", Some(format!("{stamp} ERROR {text}"))),
    }
}

type Ended = tokio::sync::oneshot::Receiver<String>;

async fn wait_okay(ended: Ended) -> Result<(), String> {
    match tokio::time::timeout(OKAY, ended).await {
        Ok(Ok(text)) => Err(format!("service start attempt: {text}")),
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

/// Starts a service: a receiver that hears how the process ended, or none if it runs already.
fn start(daemon: &Arc<Daemon>, name: &str) -> Result<Option<Ended>, String> {
    let service = daemon.state().plan.services.get(name).cloned();
    let service = service.ok_or_else(|| format!("service \"{name}\" does not exist"))?;
    {
        let mut state = daemon.state();
        let runtime = state.services.entry(name.to_owned()).or_default();
        match runtime.state {
            State::Active => return Ok(None),
            State::Stopping => {
                return Err("cannot start service while terminating".to_owned());
            }
            _ => {}
        }
        runtime.backoff = None;
        runtime.generation += 1;
    }
    spawn(daemon, name, &service).map(Some)
}

fn spawn(daemon: &Arc<Daemon>, name: &str, service: &Service) -> Result<Ended, String> {
    let argv = process::split(&service.command)?;
    let text = |value: &String| Some(value.clone()).filter(|value| !value.is_empty());
    let setting = process::Setting {
        user: text(&service.user),
        group: text(&service.group),
        user_id: service.user_id,
        group_id: service.group_id,
        working_dir: text(&service.working_dir),
        environment: service.environment.clone(),
    };
    if !argv.first().is_some_and(|program| process::find(program)) {
        let program = argv.first().cloned().unwrap_or_default();
        return Err(format!(
            "cannot start service: exec: \"{program}\": executable file not found in $PATH"
        ));
    }
    let mut child = process::command(&argv, &setting)?
        .spawn()
        .map_err(|error| format!("cannot start service: {error}"))?;
    capture(daemon, name, child.stdout.take());
    capture(daemon, name, child.stderr.take());
    let generation = {
        let mut state = daemon.state();
        let runtime = state.services.entry(name.to_owned()).or_default();
        runtime.state = State::Active;
        runtime.pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        runtime.since = Some(crate::daemon::now());
        runtime.started = Some(service.clone());
        runtime.restart_wanted = false;
        runtime.generation
    };
    daemon.bump();
    let (tell, ended) = tokio::sync::oneshot::channel();
    let (daemon, name, service) = (daemon.clone(), name.to_owned(), service.clone());
    tokio::spawn(async move { follow(daemon, name, service, child, generation, tell).await });
    Ok(ended)
}

fn capture(daemon: &Arc<Daemon>, name: &str, pipe: Option<impl AsyncRead + Unpin + Send + 'static>) {
    let Some(pipe) = pipe else { return };
    let (daemon, name) = (daemon.clone(), name.to_owned());
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            daemon.log(&name, String::from_utf8_lossy(&line).into_owned());
        }
    });
}

/// Waits for a process to end and does what the service's definition says then.
async fn follow(
    daemon: Arc<Daemon>,
    name: String,
    service: Service,
    mut child: Child,
    generation: u64,
    tell: tokio::sync::oneshot::Sender<String>,
) {
    let begun = Instant::now();
    let status = child.wait().await;
    let code = status.map_or(-1, |status| {
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
    });
    let action = if code == 0 { &service.on_success } else { &service.on_failure };
    let action = if action.is_empty() { "restart" } else { action.as_str() };
    let pause = {
        let mut state = daemon.state();
        let Some(runtime) = state.services.get_mut(&name) else { return };
        if runtime.generation != generation {
            return;
        }
        runtime.pid = None;
        runtime.since = Some(crate::daemon::now());
        if runtime.state == State::Stopping {
            runtime.state = State::Inactive;
            drop(state);
            daemon.bump();
            return;
        }
        let action = if runtime.restart_wanted { "restart" } else { action };
        match action {
            "ignore" => {
                runtime.state = if code == 0 { State::Inactive } else { State::Error };
                None
            }
            "shutdown" | "success-shutdown" | "failure-shutdown" => {
                runtime.state = State::Inactive;
                let fails = action == "failure-shutdown" || (action == "shutdown" && code != 0);
                daemon.shutdown(if fails { 10 } else { 0 });
                None
            }
            _ => {
                runtime.state = State::Backoff;
                Some(next_pause(runtime, &service, begun.elapsed()))
            }
        }
    };
    let action = if pause.is_some() { "restart" } else { action };
    let _ = tell.send(format!("exited quickly with code {code}, will {action}"));
    daemon.bump();
    if let Some(pause) = pause {
        tokio::time::sleep(pause).await;
        let current = {
            let state = daemon.state();
            let runtime = state.services.get(&name);
            let plan = state.plan.services.get(&name).cloned();
            runtime
                .filter(|r| r.generation == generation && r.state == State::Backoff)
                .and(plan)
        };
        if let Some(service) = current
            && let Err(error) = spawn(&daemon, &name, &service)
        {
            daemon.log(&name, error);
        }
    }
}

fn next_pause(runtime: &mut Runtime, service: &Service, lived: Duration) -> Duration {
    let or = |text: &str, default| duration(text).unwrap_or(default);
    let first = or(&service.backoff_delay, Duration::from_millis(500));
    let limit = or(&service.backoff_limit, Duration::from_secs(30));
    let factor = service.backoff_factor.unwrap_or(2.0);
    let pause = match runtime.backoff {
        Some(last) if lived < limit => last.mul_f64(factor).min(limit),
        _ => first,
    };
    runtime.backoff = Some(pause);
    pause
}

/// Stops a service and waits until its process is gone.
pub(crate) async fn stop(daemon: &Arc<Daemon>, name: &str) -> Result<(), String> {
    let (pid, delay) = {
        let mut state = daemon.state();
        let Some(runtime) = state.services.get_mut(name) else { return Ok(()) };
        let delay = runtime.started.as_ref().and_then(|service| duration(&service.kill_delay));
        let Some(pid) = runtime.pid else {
            runtime.generation += 1;
            runtime.state = State::Inactive;
            return Ok(());
        };
        runtime.state = State::Stopping;
        (pid, delay.unwrap_or(Duration::from_secs(5)))
    };
    for (signal, wait) in [(Signal::SIGTERM, delay), (Signal::SIGKILL, Duration::from_secs(5))] {
        let _ = killpg(Pid::from_raw(pid), signal);
        let mut version = daemon.version.subscribe();
        let gone = async {
            while daemon.state().services.get(name).is_some_and(|r| r.pid == Some(pid)) {
                if version.changed().await.is_err() {
                    break;
                }
            }
        };
        if tokio::time::timeout(wait, gone).await.is_ok() {
            return Ok(());
        }
    }
    Err("cannot stop service: process still running after SIGTERM and SIGKILL".to_owned())
}

/// Stops everything, side by side, before the server ends.
pub(crate) async fn stop_all(daemon: &Arc<Daemon>) {
    let names: Vec<String> = daemon.state().services.keys().cloned().collect();
    let stops: Vec<_> = names
        .into_iter()
        .map(|name| {
            let daemon = daemon.clone();
            tokio::spawn(async move { stop(&daemon, &name).await })
        })
        .collect();
    for stop in stops {
        let _ = stop.await;
    }
}

/// Sends a signal to services' processes.
pub(crate) fn signal(daemon: &Daemon, name: &str, services: &[String]) -> Result<(), Refused> {
    if services.is_empty() {
        return Err((400, "must specify one or more services".to_owned()));
    }
    let mut errors = Vec::new();
    for service in services {
        let pid = daemon.state().services.get(service).and_then(|runtime| runtime.pid);
        let sent = match (name.parse::<Signal>(), pid) {
            (Err(_), _) => Err(format!("invalid signal name \"{name}\"")),
            (_, None) => Err("service is not running".to_owned()),
            (Ok(signal), Some(pid)) => {
                kill(Pid::from_raw(pid), signal).map_err(|error| error.to_string())
            }
        };
        if let Err(error) = sent {
            errors.push(format!("cannot send signal to \"{service}\": {error}"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err((500, errors.join("; "))) }
}

/// What a check's failure asks of the services that name it.
pub(crate) fn check_failed(daemon: &Arc<Daemon>, check: &str) {
    let wanted: Vec<(String, String)> = {
        let state = daemon.state();
        let named = state.services.iter().filter_map(|(name, runtime)| {
            let action = runtime.started.as_ref()?.on_check_failure.get(check)?;
            Some((name.clone(), action.clone()))
        });
        named.collect()
    };
    for (name, action) in wanted {
        match action.as_str() {
            "restart" => {
                let mut state = daemon.state();
                if let Some(runtime) = state.services.get_mut(&name)
                    && let Some(pid) = runtime.pid
                {
                    runtime.restart_wanted = true;
                    let _ = killpg(Pid::from_raw(pid), Signal::SIGTERM);
                }
            }
            "shutdown" => daemon.shutdown(11),
            "success-shutdown" => daemon.shutdown(0),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("0"), Some(Duration::ZERO));
        assert_eq!(duration("5"), None);
        assert_eq!(duration("1d"), None);
    }

    #[test]
    fn a_merge_keeps_what_the_new_layer_does_not_say() {
        let layer = |text: &str| serde_yaml::from_str::<Layer>(text).unwrap();
        let base = layer("services: {a: {override: replace, command: x, environment: {A: '1'}}}");
        let over = layer("services: {a: {override: merge, environment: {B: '2'}}}");
        let plan = combined(&[base, over]);
        assert_eq!(plan.services["a"].command, "x");
        assert_eq!(plan.services["a"].environment.len(), 2);
        assert_eq!(plan.services["a"].override_, "replace");
    }
}
