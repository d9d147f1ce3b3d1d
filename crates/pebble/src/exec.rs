//! Commands in the workload container, their streams over websockets.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::client::Client;
use crate::http::{self, Request};
use crate::{ChangeError, Error};

/// A command to run.
#[derive(Debug, Clone)]
pub struct Exec {
    command: Vec<String>,
    environment: BTreeMap<String, String>,
    working_dir: Option<String>,
    user: Option<String>,
    group: Option<String>,
    stdin: Vec<u8>,
    limit: Duration,
}

impl Exec {
    /// A command with its arguments; no shell is involved. It may run for 5 s.
    #[must_use]
    pub fn new<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
            working_dir: None,
            user: None,
            group: None,
            stdin: Vec::new(),
            limit: Duration::from_secs(5),
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Runs it there.
    #[must_use]
    pub fn working_dir(mut self, path: impl Into<String>) -> Self {
        self.working_dir = Some(path.into());
        self
    }

    /// Runs it as this user and group.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>, group: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self.group = Some(group.into());
        self
    }

    /// Gives it this input.
    #[must_use]
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.stdin = input.into();
        self
    }

    /// Lets it run so long.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

/// What a command left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Exit code; 128 and the signal's number if it died of one.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Started {
    task_id: String,
}

type Socket = WebSocketStream<UnixStream>;

impl Client {
    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it can't be started or takes longer than its limit; an exit code is no error.
    pub async fn exec(&self, exec: Exec) -> Result<ExecOutput, Error> {
        let limit = exec.limit + self.limit;
        tokio::time::timeout(limit, self.exec_unbounded(exec))
            .await
            .map_err(|_| Error::TimedOut(limit))?
    }

    async fn exec_unbounded(&self, exec: Exec) -> Result<ExecOutput, Error> {
        let body = json!({
            "command": exec.command,
            "environment": exec.environment,
            "working-dir": exec.working_dir,
            "user": exec.user,
            "group": exec.group,
            "timeout": format!("{}ms", exec.limit.as_millis()),
            "split-stderr": true,
            "terminal": false,
        });
        let envelope = self
            .send(Request::post("/v1/exec", &body))
            .await?
            .envelope()?;
        let started: Started = http::from_value(envelope.result)?;
        // Order and speed matter: the process is started when all are there, within 5 s.
        let control = self.websocket(&started.task_id, "control").await?;
        let stdio = self.websocket(&started.task_id, "stdio").await?;
        let stderr = self.websocket(&started.task_id, "stderr").await?;
        let (mut input, mut output) = stdio.split();
        let (stdout, stderr, written) = tokio::join!(
            read(&mut output),
            async { read(&mut stderr.split().1).await },
            async {
                for chunk in exec.stdin.chunks(64 << 10) {
                    input
                        .send(Message::binary(chunk.to_vec()))
                        .await
                        .map_err(broken)?;
                }
                let end = json!({"command": "end"}).to_string();
                input.send(Message::text(end)).await.map_err(broken)
            }
        );
        let change = self
            .wait_change_raw(&envelope.change, exec.limit + self.limit)
            .await?;
        drop(control);
        if let Some(error) = ChangeError::of(&change) {
            return Err(error.into());
        }
        // A command may close its input before all was written; its exit code then tells.
        let _ = written;
        let code = change
            .tasks
            .first()
            .and_then(|task| task.data.get("exit-code"))
            .and_then(Value::as_i64)
            .and_then(|code| i32::try_from(code).ok())
            .ok_or_else(|| Error::Malformed("a command that ended without an exit code".into()))?;
        Ok(ExecOutput {
            code,
            stdout: stdout?,
            stderr: stderr?,
        })
    }

    async fn websocket(&self, task: &str, id: &str) -> Result<Socket, Error> {
        let stream = http::connect(&self.socket).await?;
        let url = format!("ws://localhost/v1/tasks/{task}/websocket/{id}");
        let request = url.into_client_request().map_err(broken)?;
        let connect = tokio_tungstenite::client_async(request, stream);
        let (socket, _) = tokio::time::timeout(self.limit, connect)
            .await
            .map_err(|_| Error::TimedOut(self.limit))?
            .map_err(broken)?;
        Ok(socket)
    }
}

/// Everything up to the message that ends a direction.
async fn read<S>(stream: &mut S) -> Result<Vec<u8>, Error>
where
    S: StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    let mut all = Vec::new();
    while let Some(message) = stream.next().await {
        match message {
            Ok(Message::Binary(bytes)) => all.extend_from_slice(&bytes),
            Ok(Message::Text(text)) if is_end(&text) => break,
            Ok(Message::Close(_)) => break,
            Ok(_) => {}
            // The server may drop the connection once it has sent everything.
            Err(tokio_tungstenite::tungstenite::Error::Protocol(_)) => break,
            Err(error) => return Err(broken(error)),
        }
    }
    Ok(all)
}

fn is_end(text: &str) -> bool {
    serde_json::from_str::<Value>(text)
        .is_ok_and(|value| value.get("command").and_then(Value::as_str) == Some("end"))
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Malformed(format!("a websocket of a command: {error}"))
}
