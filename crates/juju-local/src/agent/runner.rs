//! Running a hook: its environment, its process, its output, and what is applied afterwards.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use juju_local_api::Request;
use juju_local_api::agent::{AgentRequest, LogLine, UnitView};
use juju_local_api::transport::{CallError, Client};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};

use super::Layout;
use super::output::Output;
use super::tools::HookContext;
use crate::juju::Juju;

/// A connection to the controller in this unit's name.
pub(crate) struct Controller {
    pub client: Client,
    pub model: String,
    pub unit: String,
    pub token: String,
}

impl Controller {
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        request: AgentRequest,
        limit: Duration,
    ) -> Result<T, CallError> {
        let request = Request::Agent {
            model: self.model.clone(),
            unit: self.unit.clone(),
            token: self.token.clone(),
            request: Box::new(request),
        };
        self.client.call(&request, limit).await
    }

    pub(crate) async fn tell(&self, request: AgentRequest) -> Result<(), CallError> {
        self.ask::<Value>(request, Duration::from_secs(10))
            .await
            .map(drop)
    }

    pub(crate) fn line(&self, level: &str, module: &str, message: String) -> LogLine {
        LogLine {
            time: jiff::Timestamp::now().to_string(),
            entity: format!("unit-{}", self.unit.replace('/', "-")),
            level: level.to_owned(),
            module: module.to_owned(),
            message,
        }
    }

    pub(crate) async fn log(&self, level: &str, module: &str, message: String) {
        let line = self.line(level, module, message);
        let _ = self.tell(AgentRequest::Log(vec![line])).await;
    }
}

/// How a process of the charm is started.
pub(crate) struct Program<'a> {
    /// `hooks/install`, `actions/x`, or nothing for `juju exec`.
    pub dispatch: Option<String>,
    /// Hook name; empty for actions.
    pub hook: &'a str,
    /// What else is set.
    pub env: &'a [(String, String)],
    /// For `sh -c` instead of the charm.
    pub commands: Option<&'a str>,
}

/// The environment of a process of the charm: this and nothing else.
pub(crate) fn environment(
    layout: &Layout,
    view: &UnitView,
    context: &str,
    program: &Program<'_>,
) -> BTreeMap<String, String> {
    let charm = layout.charm.to_string_lossy().into_owned();
    let path = format!(
        "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/charm/bin",
        layout.tools.display()
    );
    let mut pairs: Vec<(&str, String)> = vec![
        ("JUJU_HOOK_NAME", program.hook.to_owned()),
        ("JUJU_CHARM_DIR", charm.clone()),
        ("CHARM_DIR", charm),
        ("JUJU_CONTEXT_ID", context.to_owned()),
        (
            "JUJU_AGENT_SOCKET_ADDRESS",
            layout.socket.to_string_lossy().into_owned(),
        ),
        ("JUJU_AGENT_SOCKET_NETWORK", "unix".to_owned()),
        ("JUJU_UNIT_NAME", layout.unit.clone()),
        ("JUJU_MODEL_UUID", view.model_uuid.clone()),
        ("JUJU_MODEL_NAME", view.model_name.clone()),
        ("JUJU_VERSION", view.juju_version.clone()),
        ("JUJU_MACHINE_ID", String::new()),
        ("JUJU_AVAILABILITY_ZONE", String::new()),
        ("JUJU_PRINCIPAL_UNIT", String::new()),
        ("PATH", path),
        ("LANG", "C.UTF-8".to_owned()),
        ("TERM", "tmux-256color".to_owned()),
        ("DEBIAN_FRONTEND", "noninteractive".to_owned()),
        ("APT_LISTCHANGES_FRONTEND", "none".to_owned()),
    ];
    for name in ["HTTP", "HTTPS", "FTP", "NO"] {
        pairs.push((
            match name {
                "HTTP" => "JUJU_CHARM_HTTP_PROXY",
                "HTTPS" => "JUJU_CHARM_HTTPS_PROXY",
                "FTP" => "JUJU_CHARM_FTP_PROXY",
                _ => "JUJU_CHARM_NO_PROXY",
            },
            String::new(),
        ));
    }
    pairs.extend(of_version(Juju::of(&view.juju_version)));
    pairs.extend(
        program
            .dispatch
            .iter()
            .map(|path| ("JUJU_DISPATCH_PATH", path.clone())),
    );
    let mut all: BTreeMap<String, String> = pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    all.extend(program.env.iter().cloned());
    all.extend(view.model_env.clone());
    all.extend(std::env::vars().filter(|(name, _)| name.starts_with("KUBERNETES_")));
    all
}

/// The variables in which Juju's versions differ.
fn of_version(juju: Juju) -> Vec<(&'static str, String)> {
    let set = |pairs: &[(&'static str, &str)]| {
        let pairs = pairs.iter().map(|(name, text)| (*name, (*text).to_owned()));
        pairs.collect()
    };
    match juju {
        Juju::V3 => set(&[
            ("JUJU_SLA", "unsupported"),
            ("CLOUD_API_VERSION", ""),
            ("JUJU_API_ADDRESSES", "127.0.0.1:17070"),
        ]),
        Juju::V4 => set(&[
            ("CLOUD_API_VERSION", "1.34.0"),
            ("JUJU_API_ADDRESSES", "127.0.0.1:17070 10.152.183.2:17070"),
            ("JUJU_CHARM_NO_PROXY", "127.0.0.1,localhost,::1"),
            ("JUJU_CHARM_TRACE_CONFIG_HTTP", ""),
            ("JUJU_CHARM_TRACE_CONFIG_GRPC", ""),
            ("JUJU_CHARM_TRACE_CONFIG_CA_CERT", ""),
        ]),
    }
}

/// Starts it; none where the charm has no such hook.
pub(crate) fn start(
    layout: &Layout,
    environment: &BTreeMap<String, String>,
    program: &Program<'_>,
) -> std::io::Result<Option<Child>> {
    let mut command = if let Some(commands) = program.commands {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", commands]);
        command
    } else {
        let path = program.dispatch.as_deref().unwrap_or_default();
        let candidates = [layout.charm.join("dispatch"), layout.charm.join(path)];
        match candidates.iter().find(|path| executable(path)) {
            Some(path) => Command::new(path),
            None => return Ok(None),
        }
    };
    if let Some(user) = layout.user {
        command.uid(user).gid(user);
    }
    command
        .env_clear()
        .envs(environment)
        .current_dir(&layout.charm)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map(Some)
}

fn executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// What a process printed, and how it ended.
pub(crate) struct Ended {
    status: Option<ExitStatus>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// The fault killed it.
    pub killed: bool,
}

impl Ended {
    /// For what could not be started, or not be finished.
    pub(crate) fn unable(text: &str) -> Self {
        Self {
            status: None,
            stdout: Vec::new(),
            stderr: text.as_bytes().to_vec(),
            killed: false,
        }
    }

    pub(crate) fn code(&self) -> i32 {
        self.status.map_or(1, |status| status.code().unwrap_or(-1))
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Why it failed, in Go's words; none where it did not.
    pub(crate) fn failure(&self) -> Option<String> {
        let status = match self.status {
            Some(status) if status.success() => return None,
            Some(status) => status,
            None => return Some("its end was not seen".to_owned()),
        };
        Some(match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(9)) => "signal: killed".to_owned(),
            (None, Some(15)) => "signal: terminated".to_owned(),
            (None, signal) => format!("signal: {}", signal.unwrap_or_default()),
        })
    }
}

/// Output as Juju gives it in results, with its encoding where it is no text.
pub(crate) fn text(bytes: &[u8]) -> (String, Option<&'static str>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (STANDARD.encode(bytes), Some("base64")),
    }
}

/// How long Juju listens on for the output of a hook or an action whose process has ended.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// Waits for a process, with its output going to the log; at the fault's effect it is killed.
/// What it has left in the background may hold its output open: that is heard for `patience`,
/// or to its end.
pub(crate) async fn wait(
    controller: &Arc<Controller>,
    module: &str,
    mut child: Child,
    context: &Arc<Mutex<Option<HookContext>>>,
    patience: Option<Duration>,
) -> Ended {
    let kill = match &*context.lock().await {
        Some(context) => context.kill.clone(),
        None => Arc::default(),
    };
    let log = Log::start(controller, module);
    let mut out = Output::new(child.stdout.take(), log.to("DEBUG"));
    let mut err = Output::new(child.stderr.take(), log.to("WARNING"));
    let (status, killed) = loop {
        tokio::select! {
            status = child.wait() => break (status.ok(), false),
            () = kill.notified() => {
                let _ = child.kill().await;
                break (child.wait().await.ok(), true);
            }
            () = out.read(), if out.open() => {}
            () = err.read(), if err.open() => {}
        }
    };
    let until = patience.map(|patience| Instant::now() + patience);
    tokio::join!(out.finish(until), err.finish(until));
    let (stdout, stderr) = (out.take(), err.take());
    log.end().await;
    Ended {
        status,
        stdout,
        stderr,
        killed,
    }
}

/// Takes lines to the controller in order, many at a time, so that a process does not wait for it.
struct Log {
    module: String,
    controller: Arc<Controller>,
    lines: mpsc::UnboundedSender<LogLine>,
    sending: tokio::task::JoinHandle<()>,
}

impl Log {
    fn start(controller: &Arc<Controller>, module: &str) -> Self {
        let (lines, mut incoming) = mpsc::unbounded_channel();
        let teller = controller.clone();
        let sending = tokio::spawn(async move {
            let mut many = Vec::new();
            while incoming.recv_many(&mut many, 1000).await > 0 {
                let _ = teller
                    .tell(AgentRequest::Log(std::mem::take(&mut many)))
                    .await;
            }
        });
        Self {
            module: module.to_owned(),
            controller: controller.clone(),
            lines,
            sending,
        }
    }

    fn to(&self, level: &'static str) -> impl Fn(String) + Send + use<> {
        let (lines, controller) = (self.lines.clone(), self.controller.clone());
        let module = self.module.clone();
        move |text| drop(lines.send(controller.line(level, &module, text)))
    }

    /// Returns when the controller has what was written.
    async fn end(self) {
        drop(self.lines);
        let _ = self.sending.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a line of shell as a hook is run.
    async fn run(line: &str, patience: Option<Duration>) -> Ended {
        let controller = Arc::new(Controller {
            client: Client::new("/nonexistent"),
            model: "m".into(),
            unit: "a/0".into(),
            token: String::new(),
        });
        let child = Command::new("/bin/sh")
            .args(["-c", line])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let context = Arc::default();
        let waited = wait(&controller, "x", child, &context, patience);
        let limit = Duration::from_mins(1);
        tokio::time::timeout(limit, waited).await.expect("it ends")
    }

    #[tokio::test]
    async fn a_charm_that_is_not_root_runs_as_its_user() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: only root can run programs as others");
            return;
        }
        let layout = Layout {
            user: Some(170),
            charm: "/".into(),
            ..Layout::of("a/0")
        };
        let program = Program {
            dispatch: None,
            hook: "",
            env: &[],
            commands: Some("id -u; id -g; id -G"),
        };
        let child = start(&layout, &BTreeMap::new(), &program).unwrap().unwrap();
        let done = child.wait_with_output().await.unwrap();
        assert_eq!(String::from_utf8(done.stdout).unwrap(), "170\n170\n170\n");
    }

    fn lives(pid: i32) -> bool {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok()
    }

    #[tokio::test]
    async fn what_a_hook_leaves_in_the_background_holds_nobody_and_lives_on() {
        let ended = run(
            "sleep 600 & echo $!; echo failed >&2; exit 3",
            Some(PATIENCE),
        )
        .await;
        let pid: i32 = String::from_utf8(ended.stdout.clone())
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        assert_eq!((ended.code(), ended.stderr().as_str()), (3, "failed\n"));
        assert!(lives(pid));
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGKILL,
        );
    }

    #[tokio::test]
    async fn what_a_hook_has_written_is_there_to_its_last_byte() {
        let lines = "seq 100000; printf last";
        let ended = run(lines, Some(PATIENCE)).await;
        let text = String::from_utf8(ended.stdout).unwrap();
        assert_eq!(text.lines().count(), 100_001);
        assert!(text.ends_with("100000\nlast"));
        let ended = run("(sleep 0.5; echo late) & echo early", None).await;
        assert_eq!(ended.stdout, b"early\nlate\n");
    }

    #[test]
    fn ends_are_told_in_gos_words() {
        let ended = |raw| Ended {
            status: Some(ExitStatus::from_raw(raw)),
            ..Ended::unable("")
        };
        assert_eq!(ended(0).failure(), None);
        assert_eq!(ended(3 << 8).failure().unwrap(), "exit status 3");
        assert_eq!(ended(9).failure().unwrap(), "signal: killed");
    }

    #[test]
    fn output_that_is_no_text_is_encoded() {
        assert_eq!(text(b"a\n"), ("a\n".to_owned(), None));
        assert_eq!(text(&[0xff]), ("/w==".to_owned(), Some("base64")));
    }
}
