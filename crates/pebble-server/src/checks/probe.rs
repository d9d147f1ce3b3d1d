//! One run of a check: what it does, and in what words it fails.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::unix::pipe;

use super::http;
use crate::duration::GoDuration;
use crate::plan::{self, command};
use crate::process::{self, Setting};
use crate::users::Wanted;

/// Lines of a failed command's output that are told.
const LAST_LINES: usize = 5;
/// After the end of a command its output is waited for so long.
const OUTPUT: Duration = Duration::from_secs(1);

/// What a check runs, with what it takes from a service.
#[derive(Debug, PartialEq)]
pub(crate) struct Probe {
    pub period: Duration,
    timeout: Duration,
    kind: Kind,
}

#[derive(Debug, PartialEq)]
enum Kind {
    Http {
        url: String,
        headers: BTreeMap<String, String>,
    },
    Tcp {
        host: String,
        port: u16,
    },
    Exec {
        command: String,
        environment: BTreeMap<String, String>,
        user: Wanted,
        directory: String,
    },
}

impl Probe {
    /// The probe of a check of the plan.
    pub fn new(check: &plan::Check, plan: &plan::Layer) -> Self {
        let kind = if let Some(http) = &check.http {
            Kind::Http {
                url: http.url.clone(),
                headers: http.headers.clone(),
            }
        } else if let Some(tcp) = &check.tcp {
            let host = if tcp.host.is_empty() {
                "localhost"
            } else {
                &tcp.host
            };
            Kind::Tcp {
                host: host.to_owned(),
                port: tcp.port,
            }
        } else {
            let exec = check.exec.clone().unwrap_or_default();
            let context = plan
                .services
                .get(&exec.service_context)
                .cloned()
                .unwrap_or_default();
            let mut environment = context.environment.clone();
            let mut directory = exec.working_dir.clone();
            if directory.is_empty() {
                directory.clone_from(&context.working_dir);
            }
            let user = exec.wanted_user().or(&context.wanted_user());
            environment.extend(exec.environment);
            Kind::Exec {
                command: exec.command,
                environment,
                user,
                directory,
            }
        };
        Self {
            period: check.period(),
            timeout: check.timeout(),
            kind,
        }
    }

    /// What the changes' summaries call it.
    pub fn word(&self) -> &'static str {
        match self.kind {
            Kind::Http { .. } => "HTTP",
            Kind::Tcp { .. } => "TCP",
            Kind::Exec { .. } => "exec",
        }
    }

    /// Runs it once, in bounded time.
    pub async fn run(&self) -> Result<(), String> {
        let run = async {
            match &self.kind {
                Kind::Http { url, headers } => http::get(url, headers).await,
                Kind::Tcp { host, port } => dial(host, *port).await.map(drop),
                Kind::Exec { .. } => self.execute().await,
            }
        };
        let timed_out = |_| {
            Err(format!(
                "check timed out after {}",
                GoDuration::from(self.timeout)
            ))
        };
        tokio::time::timeout(self.timeout, run)
            .await
            .unwrap_or_else(timed_out)
    }

    async fn execute(&self) -> Result<(), String> {
        let Kind::Exec {
            command,
            environment,
            user,
            directory,
        } = &self.kind
        else {
            return Ok(());
        };
        let argv = command::split(command)?;
        let setting = Setting {
            user: user.clone(),
            working_dir: directory.clone(),
            environment: environment.clone(),
        };
        let program = argv.first().map_or("", String::as_str);
        let failed = |error: std::io::Error| process::spawn_error(program, directory, &error);
        let mut command = process::command(&argv, &setting)?;
        let (read, write) = std::io::pipe().map_err(failed)?;
        let both = write.try_clone().map_err(failed)?;
        command
            .stdin(std::process::Stdio::null())
            .stdout(write)
            .stderr(both);
        let mut child = command.spawn().map_err(failed)?;
        drop(command);
        // Whoever drops this future, at the time-out say, ends the command with all that it began.
        let mut group = Group(child.id().and_then(|pid| i32::try_from(pid).ok()));
        let mut pipe = pipe::Receiver::from_owned_fd(read.into()).map_err(failed)?;
        let mut tail = Vec::new();
        let status = {
            let output = tail_of(&mut pipe, &mut tail);
            tokio::pin!(output);
            let status = tokio::select! {
                status = child.wait() => {
                    let _ = tokio::time::timeout(OUTPUT, output).await;
                    status
                }
                () = &mut output => child.wait().await,
            };
            status.map_err(failed)?
        };
        group.0 = None;
        match process::exit_code(status) {
            0 => Ok(()),
            _ => Err(failure(status, &tail)),
        }
    }
}

/// A process group that does not outlive this value.
struct Group(Option<i32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            process::kill_group(pid);
        }
    }
}

fn failure(status: std::process::ExitStatus, tail: &[u8]) -> String {
    use std::os::unix::process::ExitStatusExt;
    let text = String::from_utf8_lossy(tail);
    let lines: Vec<&str> = text.trim().lines().collect();
    let skipped = lines.len().saturating_sub(LAST_LINES);
    let mut told: Vec<&str> = if skipped > 0 { vec!["(...)"] } else { vec![] };
    told.extend(lines.iter().skip(skipped));
    let mut why = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, signal) => {
            let signal = nix::sys::signal::Signal::try_from(signal.unwrap_or_default());
            format!(
                "signal: {}",
                signal.map_or("unknown", nix::sys::signal::Signal::as_str)
            )
        }
    };
    if !told.is_empty() {
        why = format!("{why}; {}", told.join("\n"));
    }
    why
}

/// Reads to the end, keeping only the last of it.
async fn tail_of(pipe: &mut pipe::Receiver, tail: &mut Vec<u8>) {
    const KEPT: usize = 4 << 10;
    let mut chunk = vec![0; KEPT];
    while let Ok(count) = pipe.read(&mut chunk).await {
        if count == 0 {
            return;
        }
        tail.extend_from_slice(chunk.get(..count).unwrap_or_default());
        let surplus = tail.len().saturating_sub(KEPT);
        tail.drain(..surplus);
    }
}

/// Connects, with the error that Go's dialler gives.
pub(super) async fn dial(host: &str, port: u16) -> Result<TcpStream, String> {
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found
        .map_err(|_| format!("dial tcp: lookup {host}: no such host"))?
        .collect::<Vec<_>>();
    let mut why = format!("dial tcp: lookup {host}: no such host");
    for address in found {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                why = format!("dial tcp {address}: connect: {}", process::go_error(&error));
            }
        }
    }
    Err(why)
}
