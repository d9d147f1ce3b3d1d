//! A Pebble of ours: a unix socket that answers requests as a test says.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::needless_pass_by_value,
    reason = "helpers of tests, of which each test file uses some"
)]

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pebble::Client;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Join, ReadHalf, WriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio_tungstenite::WebSocketStream;

type Rejoined =
    Join<tokio::io::Chain<Cursor<Vec<u8>>, ReadHalf<UnixStream>>, WriteHalf<UnixStream>>;
/// A websocket of the fake's side.
pub type FakeSocket = WebSocketStream<Rejoined>;

/// What a client asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Method and address.
    pub line: String,
    /// Headers as sent.
    pub head: String,
    /// Body.
    pub body: Vec<u8>,
}

impl Asked {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What it is told.
pub enum Reply {
    /// Status and JSON body.
    Json(u16, Value),
    /// Status, content type and body.
    Raw(u16, String, Vec<u8>),
    /// A streamed body, sent bit by bit; then the connection stays.
    Stream(Vec<Vec<u8>>),
    /// Nothing at all: the connection is held.
    Silence,
    /// The connection ends.
    HangUp,
    /// A websocket, served by this.
    Upgrade(Box<dyn FnOnce(FakeSocket) -> tokio::task::JoinHandle<()> + Send>),
}

/// A good answer with this result.
pub fn sync(result: Value) -> Reply {
    let body = json!({"type": "sync", "status-code": 200, "status": "OK", "result": result});
    Reply::Json(200, body)
}

/// A change that was begun.
pub fn background(change: &str, result: Value) -> Reply {
    let mut body =
        json!({"type": "async", "status-code": 202, "status": "Accepted", "change": change});
    if !result.is_null() {
        body["result"] = result;
    }
    Reply::Json(202, body)
}

/// A refusal.
pub fn refusal(status: u16, kind: &str, message: &str) -> Reply {
    let mut result = json!({"message": message});
    if !kind.is_empty() {
        result["kind"] = kind.into();
    }
    Reply::Json(
        status,
        json!({"type": "error", "status-code": status, "status": "X", "result": result}),
    )
}

/// The fake; it ends with the test.
pub struct Fake {
    /// A client of it.
    pub client: Client,
    asked: Arc<Mutex<Vec<Asked>>>,
    directory: TempDir,
}

impl Fake {
    /// Answers each request by `answer`.
    pub fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pebble.socket");
        let (client, asked) = serve(&path, answer);
        Self {
            client,
            asked,
            directory,
        }
    }

    /// Answers at a path that is longer than a socket's address.
    pub fn start_far_down(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let far = directory.path().join("x".repeat(120));
        std::fs::create_dir(&far).unwrap();
        let near = directory.path().join("s");
        let (_, asked) = serve(&near, answer);
        std::fs::rename(&near, far.join("pebble.socket")).unwrap();
        Self {
            client: Client::new(far.join("pebble.socket")),
            asked,
            directory,
        }
    }

    /// What was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The directory of the socket.
    pub fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }
}

fn serve(
    path: &Path,
    answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> (Client, Arc<Mutex<Vec<Asked>>>) {
    let listener = UnixListener::bind(path).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, answer) = (seen.clone(), answer.clone());
            tokio::spawn(async move { one(stream, &seen, answer.as_ref()).await });
        }
    });
    let client = Client::new(path).with_timeout(Duration::from_secs(5));
    (client, asked)
}

async fn one(
    mut stream: UnixStream,
    seen: &Mutex<Vec<Asked>>,
    answer: &(dyn Fn(&Asked) -> Reply + Send + Sync),
) {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let lower = head.to_lowercase();
    let length = lower.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
    while bytes.len() < head_end + length.unwrap_or(0) {
        let count = stream.read(&mut buffer).await.unwrap();
        bytes.extend_from_slice(&buffer[..count]);
    }
    let line = head.split(" HTTP/1.1").next().unwrap().to_owned();
    let asked = Asked {
        line,
        head,
        body: bytes[head_end..].to_vec(),
    };
    seen.lock().unwrap().push(asked.clone());
    match answer(&asked) {
        Reply::Json(status, body) => {
            write(
                &mut stream,
                status,
                "application/json",
                body.to_string().as_bytes(),
            )
            .await;
        }
        Reply::Raw(status, kind, body) => write(&mut stream, status, &kind, &body).await,
        Reply::Stream(chunks) => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\
                        Transfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.unwrap();
            for chunk in chunks {
                let head = format!("{:x}\r\n", chunk.len());
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(&chunk).await.unwrap();
                stream.write_all(b"\r\n").await.unwrap();
            }
            std::future::pending::<()>().await;
        }
        Reply::Silence => std::future::pending().await,
        Reply::HangUp => {}
        Reply::Upgrade(serve) => {
            let (read, writer) = tokio::io::split(stream);
            let rejoined = tokio::io::join(Cursor::new(bytes).chain(read), writer);
            let socket = tokio_tungstenite::accept_async(rejoined).await.unwrap();
            let _ = serve(socket).await;
        }
    }
}

async fn write(stream: &mut UnixStream, status: u16, kind: &str, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body).await;
}
