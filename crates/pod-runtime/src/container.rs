//! A container: a process tree in namespaces of its own, over the machine's files.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::watch;

use crate::Error;

/// A folder of the machine that the container sees.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mount {
    /// On the machine.
    pub source: PathBuf,
    /// In the container.
    pub target: PathBuf,
    /// Not to be written.
    pub read_only: bool,
}

/// What to run, and in what surroundings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// A fresh folder of this instance's own, for what it writes.
    pub directory: PathBuf,
    /// Network namespace by name.
    pub network: String,
    /// Host name.
    pub hostname: String,
    /// Its own address and full name, for `/etc/hosts`.
    pub address: Ipv4Addr,
    /// Full name.
    pub fqdn: String,
    /// Domains that short names are looked up in.
    pub search: Vec<String>,
    /// A folder whose files lie over the machine's own, if any.
    pub image: Option<PathBuf>,
    /// Folders.
    pub mounts: Vec<Mount>,
    /// Command and arguments; the first process of the container.
    pub command: Vec<String>,
    /// Environment, whole.
    pub environment: BTreeMap<String, String>,
    /// Working directory.
    pub working_dir: PathBuf,
    /// Where its output goes.
    pub log: PathBuf,
}

/// A running container.
#[derive(Debug, Clone)]
pub struct Container {
    /// Its first process, as this machine sees it.
    pub pid: i32,
    ended: watch::Receiver<Option<i32>>,
    code: Arc<Mutex<Option<i32>>>,
}

impl Container {
    /// Starts it. `helper` is a program whose main calls [`crate::maybe_run_helper`].
    ///
    /// # Errors
    /// When the namespaces or mounts can't be made; the text is the helper's.
    pub async fn start(helper: &Path, spec: &ContainerSpec) -> Result<Self, Error> {
        let failed = |source| Error::system("start a container", source);
        std::fs::create_dir_all(&spec.directory).map_err(failed)?;
        let file = spec.directory.join("spec.json");
        let text = serde_json::to_string(spec).unwrap_or_default();
        write_private(&file, &text).map_err(failed)?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&spec.log)
            .map_err(failed)?;
        let mut child = Command::new(helper)
            .arg("__container-init")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(failed)?;
        // The helper prints the first process's id once it runs, and nothing after that.
        let stdout = child.stdout.take();
        let mut lines = stdout.map(|stdout| BufReader::new(stdout).lines());
        let line = match &mut lines {
            Some(lines) => tokio::time::timeout(Duration::from_secs(10), lines.next_line()).await,
            None => Ok(Ok(None)),
        };
        let pid = line
            .ok()
            .and_then(Result::ok)
            .flatten()
            .and_then(|text| text.parse().ok());
        let Some(pid) = pid else {
            let _ = child.kill().await;
            let text = std::fs::read_to_string(&spec.log).unwrap_or_default();
            let text = text
                .lines()
                .last()
                .unwrap_or("the helper gave no process")
                .to_owned();
            return Err(Error::Tool {
                what: "start a container".into(),
                text,
            });
        };
        let _ = std::fs::write(
            spec.directory.join("pid"),
            format!("{pid} {}", started(pid)),
        );
        let (tell, ended) = watch::channel(None);
        let code = Arc::new(Mutex::new(None));
        let kept = code.clone();
        tokio::spawn(async move {
            let status = child.wait().await;
            let value = status.ok().and_then(|status| status.code()).unwrap_or(137);
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            let _ = tell.send(Some(value));
        });
        Ok(Self { pid, ended, code })
    }

    /// The exit code, if it has ended.
    #[must_use]
    pub fn exit_code(&self) -> Option<i32> {
        *self.code.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it has ended.
    pub async fn wait(&self) -> i32 {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(code) => code.unwrap_or(137),
            Err(_) => 137,
        }
    }

    /// Sends a signal (SIGTERM, SIGKILL, ...) to its first process; the end of that ends them all.
    pub fn signal(&self, signal: Signal) {
        if self.exit_code().is_none() {
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Ends it: SIGTERM, and SIGKILL after the grace.
    pub async fn end(&self, grace: Duration) {
        self.signal(Signal::SIGTERM);
        if tokio::time::timeout(grace, self.wait()).await.is_err() {
            self.signal(Signal::SIGKILL);
            let _ = tokio::time::timeout(Duration::from_secs(5), self.wait()).await;
        }
    }

    /// The command line by which a program of this machine runs inside.
    #[must_use]
    pub fn enter(&self, command: &[String]) -> Vec<String> {
        let mut line: Vec<String> = ["nsenter", "--target"].map(str::to_owned).to_vec();
        line.push(self.pid.to_string());
        line.extend(
            [
                "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--",
            ]
            .map(str::to_owned),
        );
        line.extend(command.iter().cloned());
        line
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}

/// When a process started, in the kernel's ticks: with its id it names one process for ever.
fn started(pid: i32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = text
        .rsplit_once(") ")
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    rest.split(' ').nth(19).unwrap_or_default().to_owned()
}

/// Whether the process that a `pid` file names still runs: its id, if so.
#[must_use]
pub fn alive(text: &str) -> Option<i32> {
    let (pid, start) = text.split_once(' ')?;
    let pid = pid.parse().ok()?;
    (started(pid) == start && !start.is_empty()).then_some(pid)
}
