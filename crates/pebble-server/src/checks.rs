//! Checks: run at their period, up until as many failures in a row as their threshold.

use std::sync::Arc;
use std::time::Duration;

use pebble::Check;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use crate::daemon::Daemon;
use crate::process::{self, Setting};
use crate::services::{self, duration};

/// A check and how it stands.
pub(crate) struct Runtime {
    check: Check,
    pub failures: u64,
    pub successes: u64,
    pub down: bool,
    pub change: Option<u64>,
    task: Option<AbortHandle>,
}

impl Runtime {
    pub fn json(&self, name: &str) -> Value {
        let status = match (self.change, self.down) {
            (None, _) => "inactive",
            (_, true) => "down",
            (_, false) => "up",
        };
        let mut value = json!({
            "name": name,
            "startup": if self.check.startup.is_empty() { "enabled" } else { &self.check.startup },
            "status": status,
            "successes": self.successes,
            "threshold": threshold(&self.check),
        });
        if let Some(map) = value.as_object_mut() {
            if !self.check.level.is_empty() {
                map.insert("level".into(), json!(self.check.level));
            }
            if self.failures > 0 {
                map.insert("failures".into(), json!(self.failures));
            }
            map.extend(self.change.map(|id| ("change-id".to_owned(), json!(id.to_string()))));
        }
        value
    }

    pub fn level(&self) -> &str {
        &self.check.level
    }
}

fn threshold(check: &Check) -> u64 {
    u64::from(check.threshold.unwrap_or(3))
}

/// Starts checks that are new or have changed, and forgets those that are gone.
pub(crate) fn follow_plan(daemon: &Arc<Daemon>) {
    let plan = daemon.state().plan.checks.clone();
    let mut start = Vec::new();
    {
        let mut state = daemon.state();
        state.checks.retain(|name, runtime| {
            let stays = plan.get(name) == Some(&runtime.check);
            if !stays && let Some(task) = &runtime.task {
                task.abort();
            }
            stays
        });
        for (name, check) in &plan {
            if !state.checks.contains_key(name) {
                let runtime = Runtime {
                    check: check.clone(),
                    failures: 0,
                    successes: 0,
                    down: false,
                    change: None,
                    task: None,
                };
                state.checks.insert(name.clone(), runtime);
                if check.startup != "disabled" {
                    start.push(name.clone());
                }
            }
        }
    }
    for name in start {
        begin(daemon, &name);
    }
}

/// Starts a check: whether it did not run before.
pub(crate) fn begin(daemon: &Arc<Daemon>, name: &str) -> bool {
    let check = match daemon.state().checks.get(name) {
        Some(runtime) if runtime.change.is_none() => runtime.check.clone(),
        _ => return false,
    };
    let change = new_change(daemon, "perform-check", name, &check);
    let task = tokio::spawn(run(daemon.clone(), name.to_owned(), check));
    if let Some(runtime) = daemon.state().checks.get_mut(name) {
        (runtime.failures, runtime.successes, runtime.down) = (0, 0, false);
        runtime.change = Some(change);
        runtime.task = Some(task.abort_handle());
    }
    true
}

/// Stops a check: whether it ran.
pub(crate) fn end(daemon: &Arc<Daemon>, name: &str) -> bool {
    let change = {
        let mut state = daemon.state();
        let Some(runtime) = state.checks.get_mut(name) else { return false };
        if let Some(task) = runtime.task.take() {
            task.abort();
        }
        runtime.change.take()
    };
    if let Some(change) = change {
        daemon.task(change, 0, "Done", None);
    }
    change.is_some()
}

fn new_change(daemon: &Arc<Daemon>, kind: &str, name: &str, check: &Check) -> u64 {
    let verb = if kind == "perform-check" { "Perform" } else { "Recover" };
    let what = match check {
        Check { http: Some(_), .. } => "HTTP",
        Check { tcp: Some(_), .. } => "TCP",
        _ => "exec",
    };
    let summary = format!("{verb} {what} check \"{name}\"");
    let change = daemon.new_change(kind, summary.clone(), &[(kind.to_owned(), summary)]);
    if let Some(change) = daemon.state().changes.get_mut(&change) {
        change.check = Some(name.to_owned());
    }
    daemon.task(change, 0, "Doing", None);
    change
}

async fn run(daemon: Arc<Daemon>, name: String, check: Check) {
    let period = duration(&check.period).unwrap_or(Duration::from_secs(10));
    let limit = duration(&check.timeout).unwrap_or(Duration::from_secs(3)).min(period);
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let error = match tokio::time::timeout(limit, probe(&check)).await {
            Ok(result) => result.err(),
            Err(_) => Some(format!("check timed out after {}s", limit.as_secs_f64())),
        };
        judge(&daemon, &name, &check, error);
    }
}

/// Counts a run; at the threshold the check fails, and the next good run recovers it.
fn judge(daemon: &Arc<Daemon>, name: &str, check: &Check, error: Option<String>) {
    let (change, down, crossed) = {
        let mut state = daemon.state();
        let Some(runtime) = state.checks.get_mut(name) else { return };
        let Some(change) = runtime.change else { return };
        if error.is_some() {
            runtime.failures += 1;
        } else {
            runtime.failures = 0;
            runtime.successes += 1;
        }
        let failed = runtime.failures >= threshold(check);
        let crossed = failed != runtime.down && (failed || error.is_none());
        let down = runtime.down;
        if crossed {
            runtime.down = failed;
        }
        (change, down, crossed)
    };
    let stamp = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let line = error.map(|text| format!("{stamp} ERROR {text}"));
    if !crossed {
        if let Some(line) = line
            && let Some(change) = daemon.state().changes.get_mut(&change)
            && let Some(task) = change.tasks.first_mut()
        {
            task.log.push(line);
            let surplus = task.log.len().saturating_sub(10);
            task.log.drain(..surplus);
        }
        return;
    }
    let next = if down { "perform-check" } else { "recover-check" };
    let status = if down { "Done" } else { "Error" };
    daemon.task(change, 0, status, line);
    let next = new_change(daemon, next, name, check);
    if let Some(runtime) = daemon.state().checks.get_mut(name) {
        runtime.change = Some(next);
    }
    daemon.bump();
    if !down {
        services::check_failed(daemon, name);
    }
}

async fn probe(check: &Check) -> Result<(), String> {
    if let Some(http) = &check.http {
        return get(&http.url, &http.headers).await;
    }
    if let Some(tcp) = &check.tcp {
        let host = if tcp.host.is_empty() { "localhost" } else { &tcp.host };
        let connected = TcpStream::connect((host, tcp.port)).await;
        return connected.map(drop).map_err(|error| format!("dial tcp {host}:{}: {error}", tcp.port));
    }
    let Some(exec) = &check.exec else { return Ok(()) };
    let argv = process::split(&exec.command)?;
    let text = |value: &String| Some(value.clone()).filter(|value| !value.is_empty());
    let setting = Setting {
        user: text(&exec.user),
        group: text(&exec.group),
        working_dir: text(&exec.working_dir),
        environment: exec.environment.clone(),
        ..Setting::default()
    };
    let mut command = process::command(&argv, &setting)?;
    let output = command.kill_on_drop(true).output().await.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let all = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&all);
    let tail: Vec<&str> = text.trim().lines().rev().take(5).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    Err(format!("exit status {}; {}", output.status.code().unwrap_or(-1), tail.join("\n")))
}

/// GETs a URL; anything but 2xx is a failure.
async fn get(
    url: &str,
    headers: &std::collections::BTreeMap<String, String>,
) -> Result<(), String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| {
        format!("Get \"{url}\": only plain http can be checked by this server")
    })?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let failed = |error: std::io::Error| format!("Get \"{url}\": {error}");
    let mut stream = TcpStream::connect(&address).await.map_err(failed)?;
    let mut request = format!("GET /{path} HTTP/1.0\r\nHost: {host}\r\n");
    for (key, value) in headers {
        request.push_str(&format!("{key}: {value}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut head = [0; 512];
    let mut count = 0;
    while count < 12 {
        match stream.read(head.get_mut(count..).unwrap_or_default()).await.map_err(failed)? {
            0 => break,
            more => count += more,
        }
    }
    let text = String::from_utf8_lossy(head.get(..count).unwrap_or_default()).into_owned();
    let status = text.split(' ').nth(1).and_then(|word| word.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(()),
        Some(other) => Err(format!("non-2xx status code {other}")),
        None => Err(format!("Get \"{url}\": malformed HTTP response")),
    }
}
