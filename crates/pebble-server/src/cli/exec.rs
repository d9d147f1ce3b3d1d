//! `pebble exec`: a command in the container, with this process's streams, and with its terminal
//! if it has one.

use std::io::IsTerminal;
use std::process::ExitCode;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::args::Args;
use super::http;

const VALUED: [&str; 8] = [
    "-w",
    "--timeout",
    "--env",
    "--context",
    "--uid",
    "--user",
    "--gid",
    "--group",
];
const SWITCHES: [&str; 4] = ["-t", "-T", "-i", "-I"];
const USAGE: &str = "usage: pebble exec [-w DIR] [--env NAME=VALUE] [--user NAME] [--group NAME] \
                     [--timeout TIME] [--context SERVICE] [-t|-T] [-i|-I] [--] COMMAND...";

type Socket = WebSocketStream<UnixStream>;

/// Runs a command: its exit code.
pub(super) fn run(rest: &[String]) -> Result<ExitCode, String> {
    let args = Args::leading(rest, &SWITCHES, &VALUED)?;
    if args.words.is_empty() {
        return Err(USAGE.to_owned());
    }
    let at_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let terminal = (at_terminal || args.has("-t")) && !args.has("-T");
    let interactive = terminal && (at_terminal || args.has("-i")) && !args.has("-I");
    let envelope = http::post("/v1/exec", &request(&args, terminal, interactive)?)?;
    let task = envelope
        .pointer("/result/task-id")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let raw = interactive.then(Raw::enter).flatten();
    let streamed = runtime.block_on(stream(task, terminal));
    drop(raw);
    let change = http::wait(&envelope)?;
    drop(streamed?);
    // Reading a terminal goes on in a thread that cannot be stopped.
    runtime.shutdown_background();
    let code = change
        .pointer("/tasks/0/data/exit-code")
        .and_then(Value::as_i64)
        .unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn request(args: &Args, terminal: bool, interactive: bool) -> Result<Value, String> {
    let mut environment = serde_json::Map::new();
    if terminal && let Ok(kind) = std::env::var("TERM") {
        environment.insert("TERM".to_owned(), json!(kind));
    }
    for pair in args.all("--env") {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        environment.insert(name.to_owned(), json!(value));
    }
    let number = |flag: &str| match args.value(flag).map(str::parse::<u32>) {
        None => Ok(None),
        Some(Ok(number)) => Ok(Some(number)),
        Some(Err(_)) => Err(format!("invalid argument for flag `{flag}'")),
    };
    let size = tcgetwinsize(std::io::stdout()).ok();
    Ok(json!({
        "command": args.words,
        "environment": environment,
        "working-dir": args.value("-w"),
        "timeout": args.value("--timeout"),
        "service-context": args.value("--context"),
        "user-id": number("--uid")?,
        "user": args.value("--user"),
        "group-id": number("--gid")?,
        "group": args.value("--group"),
        "terminal": terminal,
        "interactive": interactive,
        "split-stderr": !terminal,
        "width": size.map(|size| size.ws_col),
        "height": size.map(|size| size.ws_row),
    }))
}

/// A terminal that passes every key on, until this value goes.
struct Raw(Termios);

impl Raw {
    fn enter() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

async fn connect(task: &str, id: &str) -> Result<Socket, String> {
    let (_, socket) = crate::run::places();
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| error.to_string())?;
    let url = format!("ws://localhost/v1/tasks/{task}/websocket/{id}");
    let connected = tokio_tungstenite::client_async(url, stream).await;
    connected
        .map(|(socket, _)| socket)
        .map_err(|error| error.to_string())
}

/// Carries the streams until the command has closed its output. What it gives back has to be kept
/// until the command has ended: to lose it is to end a command that may still be at its last steps.
async fn stream(task: &str, terminal: bool) -> Result<Socket, String> {
    let mut control = connect(task, "control").await?;
    let (sink, stdout) = connect(task, "stdio").await?.split();
    let stdin = tokio::spawn(feed(tokio::io::stdin(), sink));
    let failed = |error: std::io::Error| error.to_string();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut resize = signal(SignalKind::window_change()).map_err(failed)?;
    let stderr = if terminal {
        None
    } else {
        Some(connect(task, "stderr").await?)
    };
    let output = async {
        let errors = async {
            if let Some(stderr) = stderr {
                let (_sink, stream) = stderr.split();
                drain(stream, tokio::io::stderr()).await;
            }
        };
        tokio::join!(drain(stdout, tokio::io::stdout()), errors);
    };
    tokio::pin!(output);
    let next = |signal: &'static str| json!({"command": "signal", "signal": {"name": signal}});
    loop {
        let command = tokio::select! {
            () = &mut output => break,
            () = hear(&mut interrupt) => next("SIGINT"),
            () = hear(&mut terminate) => next("SIGTERM"),
            () = hear(&mut resize) => match tcgetwinsize(std::io::stdout()) {
                Ok(size) => json!({
                    "command": "resize",
                    "resize": {"width": size.ws_col, "height": size.ws_row},
                }),
                Err(_) => continue,
            },
        };
        let _ = control.send(Message::text(command.to_string())).await;
    }
    stdin.abort();
    Ok(control)
}

async fn hear(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

async fn feed(mut input: impl AsyncRead + Unpin, mut sink: SplitSink<Socket, Message>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count) = input.read(&mut buffer).await {
        let chunk = buffer.get(..count).unwrap_or_default().to_vec();
        if count == 0 || sink.send(Message::binary(chunk)).await.is_err() {
            break;
        }
    }
    let _ = sink.send(Message::text(r#"{"command":"end"}"#)).await;
}

async fn drain(mut stream: SplitStream<Socket>, mut output: impl AsyncWrite + Unpin) {
    while let Some(Ok(message)) = stream.next().await {
        match message {
            Message::Binary(bytes) => {
                let _ = output.write_all(&bytes).await;
                let _ = output.flush().await;
            }
            Message::Text(_) | Message::Close(_) => return,
            _ => {}
        }
    }
}
