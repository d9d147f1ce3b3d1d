//! A server of a test's own, and a client that shows the answers as they are.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

pub const BINARY: &str = env!("CARGO_BIN_EXE_pebble");
/// Whatever is waited for comes sooner.
pub const LONG: Duration = Duration::from_secs(20);

/// A running server; it is stopped when this value goes.
pub struct Server {
    pub directory: TempDir,
    child: Option<Child>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub json: Value,
}

impl Answer {
    pub fn result(&self) -> &Value {
        &self.json["result"]
    }

    pub fn message(&self) -> &str {
        self.json["result"]["message"].as_str().unwrap_or_default()
    }
}

/// Waits for a condition.
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LONG;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

impl Server {
    pub fn start() -> Self {
        Self::with(&["--hold"], |_| {})
    }

    /// A server with these flags, once the directory is prepared.
    pub fn with(flags: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let directory = TempDir::with_prefix("pebble-test-").unwrap();
        prepare(directory.path());
        let mut server = Self {
            directory,
            child: None,
        };
        server.run(flags);
        server
    }

    /// Starts the server in its directory.
    pub fn run(&mut self, flags: &[&str]) {
        let mut command = Command::new(BINARY);
        command
            .args(["run", "--create-dirs"])
            .args(flags)
            .env("PEBBLE", self.directory.path())
            .env_remove("PEBBLE_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        self.until_ready();
    }

    pub fn until_ready(&self) {
        until("server listens", || UnixStream::connect(self.socket()).ok());
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path(".pebble.socket")
    }

    /// Sends a request as it stands.
    pub fn raw(&self, head: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let length = body.len();
        let head = format!(
            "{head}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let split = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = bytes[split + 4..].to_vec();
        if head
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked")
        {
            body = dechunk(&body);
        }
        (status, head, body)
    }

    pub fn get(&self, path: &str) -> Answer {
        let (status, _, body) = self.raw(&format!("GET {path} HTTP/1.1"), b"");
        Answer {
            status,
            json: serde_json::from_slice(&body).unwrap_or_default(),
        }
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let (status, _, body) = self.raw(
            &format!("POST {path} HTTP/1.1\r\nContent-Type: application/json"),
            body.to_string().as_bytes(),
        );
        Answer {
            status,
            json: serde_json::from_slice(&body).unwrap_or_default(),
        }
    }

    /// Combines a layer into that of the label.
    pub fn layer(&self, label: &str, yaml: &str) {
        let answer = self.try_layer(label, yaml);
        assert_eq!(
            (answer.status, answer.result()),
            (200, &json!(true)),
            "{answer:?}"
        );
    }

    pub fn try_layer(&self, label: &str, yaml: &str) -> Answer {
        let body = json!({
            "action": "add", "combine": true, "label": label, "format": "yaml", "layer": yaml,
        });
        self.post("/v1/layers", &body)
    }

    /// Asks for an action on services: the change when it has ended.
    pub fn act(&self, action: &str, services: &[&str]) -> Value {
        let answer = self.post(
            "/v1/services",
            &json!({"action": action, "services": services}),
        );
        assert_eq!(answer.status, 202, "{answer:?}");
        self.wait(answer.json["change"].as_str().unwrap())
    }

    pub fn wait(&self, change: &str) -> Value {
        let answer = self.get(&format!("/v1/changes/{change}/wait?timeout=20s"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json["result"].clone()
    }

    /// What a service's `current` is.
    pub fn current(&self, name: &str) -> String {
        let answer = self.get(&format!("/v1/services?names={name}"));
        answer.result()[0]["current"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub fn until_current(&self, name: &str, wanted: &str) {
        until(wanted, || (self.current(name) == wanted).then_some(()));
    }

    pub fn check(&self, name: &str) -> Value {
        self.get(&format!("/v1/checks?names={name}")).result()[0].clone()
    }

    /// Waits until a file has so many lines: them.
    pub fn lines(&self, name: &str, count: usize) -> Vec<String> {
        until(&format!("{count} lines in {name}"), || {
            let text = std::fs::read_to_string(self.path(name)).ok()?;
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            (lines.len() >= count && text.ends_with('\n')).then_some(lines)
        })
    }

    /// Runs the client.
    pub fn client(&self, args: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new(BINARY)
            .args(args)
            .env("PEBBLE", self.directory.path())
            .env_remove("PEBBLE_SOCKET")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feed = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        feed.join().unwrap();
        output
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.as_ref().unwrap().id()).unwrap()
    }

    /// Waits for the server's end: its exit code.
    pub fn ended(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        until("server ends", || child.try_wait().unwrap()).code()
    }

    /// Ends the server as a container's end does.
    pub fn stop(&mut self) -> Option<i32> {
        terminate(self.pid());
        self.ended()
    }

    /// A stream of lines of a request that does not end.
    pub fn follow(&self, path: &str) -> impl Iterator<Item = String> {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        BufReader::new(stream).lines().map(Result::unwrap)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            terminate(i32::try_from(child.id()).unwrap());
            let _ = child.wait();
        }
    }
}

pub fn terminate(pid: i32) {
    let _ = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(pid),
        nix::sys::signal::Signal::SIGTERM,
    );
}

fn dechunk(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&body[..end]), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        out.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 4 + size..];
    }
    out
}
