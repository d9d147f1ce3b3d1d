//! Commands: started when the client's websockets are there, their streams carried over them.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdin;
use tokio::sync::mpsc;

use crate::daemon::Daemon;
use crate::process::{self, Setting};
use crate::services::{Refused, duration};

/// The client has so long to open its websockets.
const CONNECT: Duration = Duration::from_secs(5);

/// A command that waits for its websockets.
pub(crate) struct Pending {
    pub sockets: mpsc::UnboundedSender<(String, WebSocket)>,
}

/// `POST /v1/exec`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Request {
    #[serde(default)]
    command: Vec<String>,
    service_context: Option<String>,
    environment: Option<std::collections::BTreeMap<String, String>>,
    working_dir: Option<String>,
    timeout: Option<String>,
    user_id: Option<u32>,
    user: Option<String>,
    group_id: Option<u32>,
    group: Option<String>,
    #[serde(default)]
    terminal: bool,
    #[serde(default)]
    split_stderr: bool,
}

/// Takes a command: its change's id, and what the answer says of it.
pub(crate) fn request(daemon: &Arc<Daemon>, request: Request) -> Result<(u64, Value), Refused> {
    let Some(program) = request.command.first().cloned() else {
        return Err((400, "must specify command".to_owned()));
    };
    if request.terminal {
        return Err((400, "cannot use a terminal: this server has none".to_owned()));
    }
    let limit = match request.timeout.as_deref().filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(duration(text).ok_or_else(|| {
            (400, format!("invalid timeout: time: invalid duration \"{text}\""))
        })?),
    };
    if !process::find(&program) {
        return Err((400, format!("cannot find executable \"{program}\"")));
    }
    let setting = setting(daemon, &request)?;
    if let Some(directory) = &setting.working_dir
        && !std::path::Path::new(directory).is_dir()
    {
        let text = format!("cannot call exec: working directory \"{directory}\" does not exist");
        return Err((500, text));
    }
    let mut command = process::command(&request.command, &setting).map_err(|why| (400, why))?;
    command.stdin(std::process::Stdio::piped());
    let summary = format!("Execute command \"{program}\"");
    let change = daemon.new_change("exec", summary.clone(), &[("exec".to_owned(), summary)]);
    let (sockets, arriving) = mpsc::unbounded_channel();
    let task = {
        let mut state = daemon.state();
        let task = state.changes.get(&change).and_then(|c| c.tasks.first()).map_or(0, |t| t.id);
        state.execs.insert(task, Pending { sockets });
        task
    };
    let run = Run { daemon: daemon.clone(), change, task, split: request.split_stderr, limit };
    tokio::spawn(run.go(command, arriving));
    let directory = setting.working_dir.unwrap_or_else(|| "/".to_owned());
    let value = json!({
        "environment": setting.environment, "task-id": task.to_string(), "working-dir": directory,
    });
    Ok((change, value))
}

fn setting(daemon: &Daemon, request: &Request) -> Result<Setting, Refused> {
    let mut setting = Setting::default();
    if let Some(context) = request.service_context.as_deref().filter(|name| !name.is_empty()) {
        let state = daemon.state();
        let service = state.plan.services.get(context);
        let service =
            service.ok_or_else(|| (400, format!("context service \"{context}\" not found")))?;
        let text = |value: &String| Some(value.clone()).filter(|value| !value.is_empty());
        setting = Setting {
            user: text(&service.user),
            group: text(&service.group),
            user_id: service.user_id,
            group_id: service.group_id,
            working_dir: text(&service.working_dir),
            environment: service.environment.clone(),
        };
    }
    let given = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
    if given(&request.user).is_some() || request.user_id.is_some() {
        setting.user = given(&request.user);
        setting.user_id = request.user_id;
    }
    if given(&request.group).is_some() || request.group_id.is_some() {
        setting.group = given(&request.group);
        setting.group_id = request.group_id;
    }
    if let Some(directory) = given(&request.working_dir) {
        setting.working_dir = Some(directory);
    }
    setting.environment.extend(request.environment.clone().unwrap_or_default());
    if std::env::var_os("PATH").is_none() && !setting.environment.contains_key("PATH") {
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        setting.environment.insert("PATH".to_owned(), path.to_owned());
    }
    setting.environment.entry("LANG".to_owned()).or_insert_with(|| "C.UTF-8".to_owned());
    Ok(setting)
}

struct Run {
    daemon: Arc<Daemon>,
    change: u64,
    task: u64,
    split: bool,
    limit: Option<Duration>,
}

impl Run {
    async fn go(
        self,
        command: tokio::process::Command,
        mut arriving: mpsc::UnboundedReceiver<(String, WebSocket)>,
    ) {
        self.daemon.task(self.change, 0, "Doing", None);
        let sockets = tokio::time::timeout(CONNECT, self.wait(&mut arriving)).await;
        let result = match sockets {
            Ok(Some((stdio, stderr, control))) => {
                let late = tokio::spawn(late_control(arriving, control));
                let result = self.execute(command, stdio, stderr, late).await;
                result
            }
            _ => Err(format!(
                "exec {}: timeout waiting for websocket connections: context deadline exceeded",
                self.task
            )),
        };
        self.daemon.state().execs.remove(&self.task);
        let stamp = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (code, error) = match result {
            Ok(code) => (code, None),
            Err(text) => (-1, Some(format!("{stamp} ERROR {text}"))),
        };
        if let Some(change) = self.daemon.state().changes.get_mut(&self.change)
            && let Some(task) = change.tasks.first_mut()
        {
            task.data.insert("exit-code".into(), json!(code));
        }
        let status = if error.is_some() { "Error" } else { "Done" };
        self.daemon.task(self.change, 0, status, error);
    }

    async fn wait(
        &self,
        arriving: &mut mpsc::UnboundedReceiver<(String, WebSocket)>,
    ) -> Option<(WebSocket, Option<WebSocket>, Option<WebSocket>)> {
        let (mut stdio, mut stderr, mut control) = (None, None, None);
        while stdio.is_none() || (self.split && stderr.is_none()) {
            let (id, socket) = arriving.recv().await?;
            match id.as_str() {
                "stdio" => stdio = Some(socket),
                "stderr" => stderr = Some(socket),
                _ => control = Some(socket),
            }
        }
        Some((stdio?, stderr, control))
    }

    async fn execute(
        &self,
        mut command: tokio::process::Command,
        stdio: WebSocket,
        stderr: Option<WebSocket>,
        control: tokio::task::JoinHandle<Option<WebSocket>>,
    ) -> Result<i32, String> {
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default();
        let control = tokio::spawn(async move {
            if let Ok(Some(socket)) = control.await {
                obey(socket, pid).await;
            }
        });
        let (output, input) = stdio.split();
        let input = tokio::spawn(feed(input, child.stdin.take()));
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (merged, merged_from) = mpsc::channel(16);
        let out = tokio::spawn(pump(out, merged.clone()));
        let err = match stderr {
            Some(socket) => {
                let (errors, errors_from) = mpsc::channel(16);
                let pumping = tokio::spawn(pump(err, errors));
                let (sink, _stream) = socket.split();
                drop(merged);
                (pumping, Some(tokio::spawn(send(errors_from, sink))))
            }
            None => (tokio::spawn(pump(err, merged)), None),
        };
        let out_sent = tokio::spawn(send(merged_from, output));
        let ended = match self.limit {
            None => child.wait().await,
            Some(limit) => match tokio::time::timeout(limit, child.wait()).await {
                Ok(ended) => ended,
                Err(_) => {
                    let _ = nix::sys::signal::killpg(Pid::from_raw(pid), Signal::SIGKILL);
                    let _ = child.wait().await;
                    let text = format!(
                        "timed out after {}s: context deadline exceeded",
                        limit.as_secs_f64()
                    );
                    return Err(text);
                }
            },
        };
        let _ = tokio::join!(out, err.0, out_sent);
        if let Some(sent) = err.1 {
            let _ = sent.await;
        }
        input.abort();
        control.abort();
        let status = ended.map_err(|error| error.to_string())?;
        Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
    }
}

/// The control websocket may come after the others.
async fn late_control(
    mut arriving: mpsc::UnboundedReceiver<(String, WebSocket)>,
    control: Option<WebSocket>,
) -> Option<WebSocket> {
    match control {
        Some(socket) => Some(socket),
        None => arriving.recv().await.map(|(_, socket)| socket),
    }
}

async fn feed(mut stream: SplitStream<WebSocket>, stdin: Option<ChildStdin>) {
    let Some(mut stdin) = stdin else { return };
    while let Some(Ok(message)) = stream.next().await {
        match message {
            Message::Binary(bytes) => {
                if stdin.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Message::Text(text) if text.contains("\"end\"") => break,
            Message::Close(_) => break,
            _ => {}
        }
    }
}

async fn pump(pipe: Option<impl AsyncRead + Unpin>, to: mpsc::Sender<Vec<u8>>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count) = pipe.read(&mut buffer).await {
        let chunk = buffer.get(..count).unwrap_or_default().to_vec();
        if count == 0 || to.send(chunk).await.is_err() {
            return;
        }
    }
}

async fn send(mut from: mpsc::Receiver<Vec<u8>>, mut sink: SplitSink<WebSocket, Message>) {
    while let Some(chunk) = from.recv().await {
        if sink.send(Message::Binary(chunk.into())).await.is_err() {
            return;
        }
    }
    let end = json!({"command": "end"}).to_string();
    let _ = sink.send(Message::Text(end.into())).await;
    // The client closes; give it the time to read what is under way.
    let _ = tokio::time::timeout(Duration::from_secs(2), sink.close()).await;
}

/// Signals from the client.
async fn obey(mut socket: WebSocket, pid: i32) {
    while let Some(message) = socket.recv().await {
        match message {
            Ok(Message::Text(text)) => {
                let value: Value = serde_json::from_str(&text).unwrap_or_default();
                let name = value.pointer("/signal/name").and_then(Value::as_str);
                if let Some(Ok(signal)) = name.map(str::parse::<Signal>) {
                    let _ = kill(Pid::from_raw(pid), signal);
                }
            }
            Ok(Message::Close(_)) => return,
            Ok(_) => {}
            // Lost, not closed: nobody is there any more to end the command.
            Err(_) => {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                return;
            }
        }
    }
}
