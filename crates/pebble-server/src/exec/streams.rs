//! A command's input and output, carried over websockets: binary messages are bytes, a text
//! message `{"command":"end"}` is the end.

use std::io;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::ChildStdin;
use tokio::task::JoinHandle;

const CHUNK: usize = 64 << 10;
/// A client has so long to take the end of the output and close.
const CLOSE: Duration = Duration::from_secs(5);
const END: &str = r#"{"command":"end"}"#;

/// Where a command's input goes.
pub(super) enum Input {
    Pipe(ChildStdin),
    Terminal(pipe::Sender),
}

impl Input {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Pipe(pipe) => pipe.write_all(bytes).await,
            Self::Terminal(terminal) => terminal.write_all(bytes).await,
        }
    }

    async fn end(self) {
        match self {
            Self::Pipe(pipe) => drop(pipe),
            // To a program at a terminal this byte is the end.
            Self::Terminal(mut terminal) => drop(terminal.write_all(&[4]).await),
        }
    }
}

type Sink = SplitSink<WebSocket, Message>;

/// The websockets at work.
pub(super) struct Sockets {
    readers: Vec<JoinHandle<()>>,
    senders: Vec<JoinHandle<Sink>>,
}

impl Sockets {
    /// Lets the streams flow.
    pub fn start(
        (stdio, stderr): (WebSocket, Option<WebSocket>),
        (output, errors): (pipe::Receiver, Option<pipe::Receiver>),
        input: Option<Input>,
    ) -> Self {
        let (sink, stream) = stdio.split();
        let mut readers = vec![tokio::spawn(feed(stream, input))];
        let mut senders = vec![tokio::spawn(pump(output, sink))];
        if let (Some(stderr), Some(errors)) = (stderr, errors) {
            let (sink, stream) = stderr.split();
            readers.push(tokio::spawn(feed(stream, None)));
            senders.push(tokio::spawn(pump(errors, sink)));
        }
        Self { readers, senders }
    }

    /// Waits until all output is sent. The client then closes: a socket that were dropped while
    /// something of the client's is unread would take the output with it.
    pub async fn sent(self) {
        let mut sinks = Vec::new();
        for sender in self.senders {
            sinks.extend(sender.await);
        }
        close_later(self.readers, sinks);
    }

    /// The same, for at most so long after which the rest is given up.
    pub async fn sent_within(self, limit: Duration) {
        let stop: Vec<_> = self.senders.iter().map(JoinHandle::abort_handle).collect();
        if tokio::time::timeout(limit, self.sent()).await.is_err() {
            stop.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }
}

fn close_later(readers: Vec<JoinHandle<()>>, sinks: Vec<Sink>) {
    tokio::spawn(async move {
        let stop: Vec<_> = readers.iter().map(JoinHandle::abort_handle).collect();
        let all = futures_util::future::join_all(readers);
        let _ = tokio::time::timeout(CLOSE, all).await;
        stop.iter().for_each(tokio::task::AbortHandle::abort);
        drop(sinks);
    });
}

fn is_end(text: &str) -> bool {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    value.get("command").and_then(Value::as_str) == Some("end")
}

/// Takes what the client sends until it closes; the end of the input comes before that.
async fn feed(mut stream: SplitStream<WebSocket>, mut input: Option<Input>) {
    while let Some(Ok(message)) = stream.next().await {
        match message {
            Message::Binary(bytes) => {
                if let Some(open) = &mut input
                    && open.write(&bytes).await.is_err()
                {
                    // Nobody reads any more; what still comes is let go.
                    input = None;
                }
            }
            Message::Text(text) if is_end(&text) => {
                if let Some(open) = input.take() {
                    open.end().await;
                }
            }
            Message::Close(_) => break,
            _ => {}
        }
    }
    if let Some(open) = input.take() {
        open.end().await;
    }
}

/// Sends a command's output, then its end. A client that is gone does not keep the command from
/// writing.
async fn pump(mut output: pipe::Receiver, mut sink: Sink) -> Sink {
    let mut buffer = vec![0; CHUNK];
    let mut open = true;
    while let Ok(count) = output.read(&mut buffer).await {
        let chunk = buffer.get(..count).unwrap_or_default();
        if count == 0 {
            break;
        }
        if open {
            open = sink
                .send(Message::Binary(chunk.to_vec().into()))
                .await
                .is_ok();
        }
    }
    if open {
        let _ = sink.send(Message::Text(END.into())).await;
    }
    sink
}
