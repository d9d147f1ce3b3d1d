//! A command that runs: its streams over websockets, signals, its end.

use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::client::Client;
use crate::exec::{Exec, ExecOutput};
use crate::http::{self, Request};
use crate::{ChangeError, Error, ExecError};

/// Most that [`Process::wait_output`] takes of each stream.
const LONGEST_OUTPUT: usize = 64 << 20;
/// Largest message of input.
const CHUNK: usize = 64 << 10;

type Socket = WebSocketStream<UnixStream>;

impl Client {
    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it can't be started or takes longer than its limit; an exit code is no error
    /// ([`ExecOutput::success`] makes it one).
    pub async fn exec(&self, exec: Exec) -> Result<ExecOutput, Error> {
        let limit = exec.limit + self.limit;
        let run = async { self.spawn(exec).await?.wait_output().await };
        tokio::time::timeout(limit, run)
            .await
            .map_err(|_| Error::TimedOut(limit))?
    }

    /// Starts a command whose streams are read and written while it runs.
    ///
    /// # Errors
    /// [`Error::Api`] where the program, the directory or the user does not exist.
    pub async fn spawn(&self, exec: Exec) -> Result<Process, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        struct Started {
            task_id: String,
        }
        let deadline = Instant::now() + exec.limit + self.limit;
        let request = Request::post("/v1/exec", &exec.request());
        let envelope = self.send(request).await?.envelope()?;
        let Started { task_id: task } = http::from_value(envelope.result)?;
        let program = exec.program();
        // Pebble starts the process when all streams are there, and waits 5 s for that.
        let control = self.websocket(&task, "control").await?;
        let (sink, stream) = self.websocket(&task, "stdio").await?.split();
        let output = |stream| Output {
            stream,
            deadline,
            limit: exec.limit + self.limit,
            program: program.clone(),
            ended: false,
        };
        let stderr = if exec.split_stderr {
            Some(output(self.websocket(&task, "stderr").await?.split().1))
        } else {
            None
        };
        Ok(Process {
            client: self.clone(),
            change: envelope.change,
            control,
            stdin: Some(Stdin { sink, deadline }),
            stdout: Some(output(stream)),
            stderr,
            input: exec.stdin,
            limit: exec.limit,
            deadline,
            program,
        })
    }

    async fn websocket(&self, task: &str, id: &str) -> Result<Socket, Error> {
        let path = http::path("/v1/tasks", &[task, "websocket", id]);
        let request = format!("ws://localhost{path}").into_client_request();
        let request = request.map_err(|error| Error::Argument(error.to_string()))?;
        let connect = async {
            let stream = http::connect(&self.socket).await?;
            match tokio_tungstenite::client_async(request, stream).await {
                Ok((socket, _)) => Ok(socket),
                Err(tungstenite::Error::Http(answer)) => {
                    let status = answer.status().as_u16();
                    let body = answer.body().as_deref().unwrap_or_default();
                    http::envelope(status, body)?;
                    Err(Error::Malformed("a websocket that was not opened".into()))
                }
                Err(error) => Err(Error::broken(&self.socket, error)),
            }
        };
        tokio::time::timeout(self.limit, connect)
            .await
            .map_err(|_| Error::TimedOut(self.limit))?
    }
}

/// A command that runs. Dropping this kills it.
pub struct Process {
    client: Client,
    change: String,
    control: Socket,
    stdin: Option<Stdin>,
    stdout: Option<Output>,
    stderr: Option<Output>,
    input: Option<Vec<u8>>,
    limit: Duration,
    deadline: Instant,
    program: String,
}

impl Process {
    /// Its input; once. Who takes it ends it.
    pub fn take_stdin(&mut self) -> Option<Stdin> {
        self.stdin.take()
    }

    /// Its output; once.
    pub fn take_stdout(&mut self) -> Option<Output> {
        self.stdout.take()
    }

    /// Its standard error; once, and only where it is separate.
    pub fn take_stderr(&mut self) -> Option<Output> {
        self.stderr.take()
    }

    /// Sends it a signal by its full name (`SIGTERM`).
    ///
    /// # Errors
    /// When the connection is gone, as after the command's end.
    pub async fn send_signal(&mut self, signal: &str) -> Result<(), Error> {
        self.command(&json!({"command": "signal", "signal": {"name": signal}}))
            .await
    }

    /// Tells its terminal a new size, in columns and rows.
    ///
    /// # Errors
    /// As of [`Process::send_signal`].
    pub async fn resize(&mut self, columns: u16, rows: u16) -> Result<(), Error> {
        let size = json!({"width": columns, "height": rows});
        self.command(&json!({"command": "resize", "resize": size}))
            .await
    }

    async fn command(&mut self, command: &Value) -> Result<(), Error> {
        let send = self.control.send(Message::text(command.to_string()));
        tokio::time::timeout(self.client.limit, send)
            .await
            .map_err(|_| Error::TimedOut(self.client.limit))?
            .map_err(|error| Error::broken(&self.client.socket, error))
    }

    /// Waits for its end: the exit code, 128 and the signal's number if it died of one. Input that
    /// nobody took is given first; output that nobody reads can keep it from ending.
    ///
    /// May be given up and called again.
    ///
    /// # Errors
    /// [`ExecError::TimedOut`] where its time was over; [`Error::Change`] where it did not start.
    pub async fn wait(&mut self) -> Result<i32, Error> {
        if let Some(stdin) = self.stdin.take() {
            // It may have closed its input; its exit code then tells.
            let _ = stdin.give(self.input.take().unwrap_or_default()).await;
        }
        let wait = self.deadline.saturating_duration_since(Instant::now());
        let change = self.client.wait_change_raw(&self.change, wait).await?;
        if let Some(error) = ChangeError::of(&change) {
            if error.text.contains("timed out after") {
                let (program, limit) = (self.program.clone(), self.limit);
                return Err(ExecError::TimedOut { program, limit }.into());
            }
            return Err(error.into());
        }
        let code = change
            .tasks
            .first()
            .and_then(|task| task.data.get("exit-code")?.as_i64());
        code.and_then(|code| i32::try_from(code).ok())
            .ok_or_else(|| Error::Malformed("a command that ended without an exit code".into()))
    }

    /// Gives it its input, reads what nobody took of its output and waits for its end.
    ///
    /// # Errors
    /// As of [`Process::wait`]; [`ExecError::Cut`] where output is missing, and
    /// [`ExecError::TooLong`] for more than 64 MiB of a stream.
    pub async fn wait_output(mut self) -> Result<ExecOutput, Error> {
        let (stdin, stdout, stderr) = (self.stdin.take(), self.stdout.take(), self.stderr.take());
        let input = self.input.take().unwrap_or_default();
        let give = async {
            if let Some(stdin) = stdin {
                let _ = stdin.give(input).await;
            }
            // Input that the command does not read must not outlive its output.
            std::future::pending::<()>().await;
        };
        let read = async { tokio::join!(rest(stdout), rest(stderr)) };
        let (stdout, stderr) = tokio::select! {
            outputs = read => outputs,
            () = give => return Err(Error::TimedOut(self.limit)),
        };
        // How it ended explains a stream that broke, so it is asked first.
        let code = self.wait().await?;
        Ok(ExecOutput {
            code,
            stdout: stdout?,
            stderr: stderr?,
        })
    }
}

async fn rest(output: Option<Output>) -> Result<Vec<u8>, Error> {
    match output {
        Some(output) => output.read_to_end(LONGEST_OUTPUT).await,
        None => Ok(Vec::new()),
    }
}

/// A command's input.
pub struct Stdin {
    sink: SplitSink<Socket, Message>,
    deadline: Instant,
}

impl Stdin {
    /// Writes; waits while the command doesn't read, at most as long as it may run.
    ///
    /// # Errors
    /// When the command has ended.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for chunk in bytes.chunks(CHUNK) {
            self.send(Message::binary(chunk.to_vec())).await?;
        }
        Ok(())
    }

    /// Ends the input.
    ///
    /// # Errors
    /// When the command has ended.
    pub async fn end(mut self) -> Result<(), Error> {
        self.send(Message::text(json!({"command": "end"}).to_string()))
            .await
    }

    async fn give(mut self, input: Vec<u8>) -> Result<(), Error> {
        self.write(&input).await?;
        self.end().await
    }

    async fn send(&mut self, message: Message) -> Result<(), Error> {
        tokio::time::timeout_at(self.deadline, self.sink.send(message))
            .await
            .map_err(|_| Error::Malformed("a command that never read its input".into()))?
            .map_err(|error| Error::Malformed(format!("input of a command: {error}")))
    }
}

/// A command's output.
pub struct Output {
    stream: SplitStream<Socket>,
    deadline: Instant,
    limit: Duration,
    program: String,
    ended: bool,
}

impl Output {
    /// The next bytes as they come; none at the end.
    ///
    /// # Errors
    /// [`ExecError::Cut`] where the connection breaks before the end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        while !self.ended {
            let message = tokio::time::timeout_at(self.deadline, self.stream.next())
                .await
                .map_err(|_| Error::TimedOut(self.limit))?;
            match message {
                Some(Ok(Message::Binary(bytes))) => return Ok(Some(bytes.to_vec())),
                Some(Ok(Message::Text(text))) => self.ended = is_end(&text),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    let program = self.program.clone();
                    return Err(ExecError::Cut { program }.into());
                }
            }
        }
        Ok(None)
    }

    /// All that is left.
    ///
    /// # Errors
    /// As of [`Output::next`]; [`ExecError::TooLong`] for more than `limit` bytes.
    pub async fn read_to_end(mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            if all.len() + bytes.len() > limit {
                let program = self.program;
                return Err(ExecError::TooLong { program, limit }.into());
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }
}

fn is_end(text: &str) -> bool {
    serde_json::from_str::<Value>(text)
        .is_ok_and(|value| value.get("command").and_then(Value::as_str) == Some("end"))
}
