//! The run of a command: started when the client's websockets are there, ended by itself, its time
//! limit, an abort, or the loss of the client.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::sync::mpsc::UnboundedReceiver;

use super::pty::{Opened, Pty};
use super::streams::{Input, Sockets};
use super::{Job, Stream};
use crate::daemon::Daemon;
use crate::duration::GoDuration;
use crate::process;

/// The client has so long to open its websockets.
const CONNECT: Duration = Duration::from_secs(5);
/// Output of a terminal is waited for so long after the end of its command.
const TERMINAL_OUTPUT: Duration = Duration::from_secs(1);

type Arriving = UnboundedReceiver<(Stream, WebSocket)>;

/// Carries a command out to its end, which is that of the change.
pub(super) async fn run(daemon: Arc<Daemon>, change: u64, task: u64, job: Job, arriving: Arriving) {
    daemon.update(change, |change| change.begin(0));
    let aborted = daemon
        .state()
        .changes
        .get(change)
        .map(crate::changes::Change::aborted);
    let abort = async {
        match aborted {
            Some(mut aborted) => drop(aborted.wait_for(|aborted| *aborted).await),
            None => std::future::pending().await,
        }
    };
    let result = connected(job, task, arriving, abort).await;
    daemon.state().execs.remove(&task);
    daemon.update(change, |change| {
        let code = result.as_ref().copied().unwrap_or(-1);
        if let Some(task) = change.task(0) {
            task.data.insert("exit-code".to_owned(), json!(code));
        }
        change.end(0, result.map(drop));
    });
}

async fn connected(
    job: Job,
    task: u64,
    mut arriving: Arriving,
    abort: impl Future<Output = ()>,
) -> Result<i32, String> {
    let (mut stdio, mut stderr, mut control) = (None, None, None);
    let all = async {
        while stdio.is_none() || (job.split && stderr.is_none()) {
            match arriving.recv().await {
                Some((Stream::Stdio, socket)) => stdio = Some(socket),
                Some((Stream::Stderr, socket)) => stderr = Some(socket),
                Some((Stream::Control, socket)) => control = Some(socket),
                None => return,
            }
        }
    };
    let late = tokio::time::timeout(CONNECT, all).await.is_err();
    let (Some(stdio), false) = (stdio, late) else {
        return Err(format!(
            "exec {task}: timeout waiting for websocket connections: context deadline exceeded"
        ));
    };
    let mut started = spawn(&job)?;
    let pid = started
        .child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .unwrap_or_default();
    let control = tokio::spawn(obey(control, arriving, pid, started.pty.clone()));
    let sockets = Sockets::start(
        (stdio, stderr),
        (started.output, started.errors),
        started.input,
    );
    let ended = wait(&mut started.child, pid, job.limit, abort).await;
    // From here on the number may be another process's.
    control.abort();
    if started.pty.is_some() {
        sockets.sent_within(TERMINAL_OUTPUT).await;
    } else {
        sockets.sent().await;
    }
    ended
}

/// Waits for the end of a process, or makes it end.
async fn wait(
    child: &mut Child,
    pid: i32,
    limit: Option<Duration>,
    abort: impl Future<Output = ()>,
) -> Result<i32, String> {
    let timed_out = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let why = tokio::select! {
        ended = child.wait() => {
            return ended.map(process::exit_code).map_err(|error| process::go_error(&error));
        }
        () = timed_out => {
            let limit = GoDuration::from(limit.unwrap_or_default());
            format!("timed out after {limit}: context deadline exceeded")
        }
        () = abort => "context canceled".to_owned(),
    };
    process::kill_group(pid);
    let _ = child.wait().await;
    Err(why)
}

struct Started {
    child: Child,
    input: Option<Input>,
    output: pipe::Receiver,
    errors: Option<pipe::Receiver>,
    pty: Option<Arc<Pty>>,
}

fn spawn(job: &Job) -> Result<Started, String> {
    let failed = |error: std::io::Error| {
        let program = job.argv.first().map_or("", String::as_str);
        process::spawn_error(program, &job.setting.working_dir, &error)
    };
    let pipe = || -> std::io::Result<(pipe::Receiver, std::io::PipeWriter)> {
        let (read, write) = std::io::pipe()?;
        Ok((pipe::Receiver::from_owned_fd(read.into())?, write))
    };
    let mut errors = None;
    if let Some(terminal) = job.terminal {
        let opened = Pty::open(terminal, job.owner).map_err(failed)?;
        let Opened {
            pty,
            output,
            input,
            slave,
        } = opened;
        let mut command = slave.command(&job.argv, &job.setting)?;
        command.env_clear().envs(&job.setting.environment);
        if job.split {
            let (read, write) = pipe().map_err(failed)?;
            errors = Some(read);
            command.stderr(write);
        }
        let mut child = command.spawn().map_err(failed)?;
        drop((command, slave));
        let input = if terminal.interactive {
            Some(Input::Terminal(input))
        } else {
            child.stdin.take().map(Input::Pipe)
        };
        return Ok(Started {
            child,
            input,
            output,
            errors,
            pty: Some(pty),
        });
    }
    let mut command = process::command(&job.argv, &job.setting)?;
    command
        .env_clear()
        .envs(&job.setting.environment)
        .stdin(Stdio::piped());
    let (read, write) = pipe().map_err(failed)?;
    if job.split {
        let (read, write) = pipe().map_err(failed)?;
        errors = Some(read);
        command.stderr(write);
    } else {
        command.stderr(write.try_clone().map_err(failed)?);
    }
    command.stdout(write);
    let mut child = command.spawn().map_err(failed)?;
    let input = child.stdin.take().map(Input::Pipe);
    Ok(Started {
        child,
        input,
        output: read,
        errors,
        pty: None,
    })
}

/// Does what comes over the control websocket, which may be opened later than the others.
async fn obey(control: Option<WebSocket>, mut arriving: Arriving, pid: i32, pty: Option<Arc<Pty>>) {
    let mut socket = match control {
        Some(socket) => socket,
        None => match arriving.recv().await {
            Some((_, socket)) => socket,
            None => return,
        },
    };
    while let Some(message) = socket.recv().await {
        match message {
            Ok(Message::Text(text)) => {
                let value: Value = serde_json::from_str(&text).unwrap_or_default();
                let number = |key: &str| {
                    let number = value.pointer(key).and_then(Value::as_u64);
                    number.and_then(|number| u16::try_from(number).ok())
                };
                match value.get("command").and_then(Value::as_str) {
                    Some("signal") => {
                        let name = value.pointer("/signal/name").and_then(Value::as_str);
                        if let Some(Ok(signal)) = name.map(str::parse::<Signal>) {
                            let _ = kill(Pid::from_raw(pid), signal);
                        }
                    }
                    Some("resize") => {
                        if let (Some(pty), Some(width), Some(height)) =
                            (&pty, number("/resize/width"), number("/resize/height"))
                        {
                            pty.resize(width, height);
                        }
                    }
                    _ => {}
                }
            }
            Ok(Message::Close(_)) => return,
            Ok(_) => {}
            // Lost, not closed: nobody is there any more to end the command.
            Err(_) => return process::kill_group(pid),
        }
    }
}
