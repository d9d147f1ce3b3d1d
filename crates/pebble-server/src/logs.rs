//! Output of services: a ring of the last lines of each, and the server's own output.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::daemon::Daemon;
use crate::time::Time;

/// Bytes kept for each service.
const RING: usize = 100 << 10;
/// Longest line; a longer one becomes several.
const LINE: usize = 4 << 10;
/// Lines that wait for a slow reader of the server's own output before more are dropped.
const WAITING: usize = 4096;

/// At the end the last lines have so long to be taken.
const FLUSH: Duration = Duration::from_secs(1);

const TRUNCATED: &str = "(... output truncated ...)";

/// A line of output as `GET /v1/logs` has it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    #[serde(serialize_with = "milliseconds")]
    time: Time,
    #[serde(serialize_with = "shared")]
    service: Arc<str>,
    #[serde(serialize_with = "shared")]
    message: Arc<str>,
    #[serde(skip)]
    number: u64,
}

fn milliseconds<S: serde::Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.millis())
}

fn shared<S: serde::Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

impl Line {
    fn size(&self) -> usize {
        self.message.len() + self.service.len() + 28
    }

    fn formatted(&self) -> String {
        format!(
            "{} [{}] {}\n",
            self.time.millis(),
            self.service,
            self.message
        )
    }
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Line>,
    bytes: usize,
    /// The number of the last line that had to go.
    dropped: u64,
}

/// The output of all services.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    last: u64,
    rings: BTreeMap<Arc<str>, Ring>,
}

impl Logs {
    fn push(&mut self, service: &Arc<str>, time: Time, message: &str) -> Line {
        self.last += 1;
        let line = Line {
            time,
            service: service.clone(),
            message: message.into(),
            number: self.last,
        };
        let ring = self.rings.entry(service.clone()).or_default();
        ring.bytes += line.size();
        ring.lines.push_back(line.clone());
        while ring.bytes > RING {
            let Some(gone) = ring.lines.pop_front() else {
                break;
            };
            ring.bytes -= gone.size();
            ring.dropped = gone.number;
        }
        line
    }

    /// The last `count` lines of these services together, in the order of their coming, and the
    /// number to go on from.
    pub fn tail(&self, wanted: &dyn Fn(&str) -> bool, count: usize) -> (Vec<Line>, u64) {
        let mut lines = self.since(wanted, 0);
        let surplus = lines.len().saturating_sub(count);
        lines.drain(..surplus);
        (lines, self.last)
    }

    /// Lines that came after that number; a gap is told by a line of its own.
    pub fn after(&self, wanted: &dyn Fn(&str) -> bool, number: u64) -> (Vec<Line>, u64) {
        let mut lines = self.since(wanted, number);
        for (service, ring) in self.rings.iter().filter(|(service, _)| wanted(service)) {
            if ring.dropped > number {
                let time = ring.lines.front().map_or_else(Time::now, |line| line.time);
                let message = TRUNCATED.into();
                lines.push(Line {
                    time,
                    service: service.clone(),
                    message,
                    number: ring.dropped,
                });
            }
        }
        lines.sort_by_key(|line| line.number);
        (lines, self.last)
    }

    fn since(&self, wanted: &dyn Fn(&str) -> bool, number: u64) -> Vec<Line> {
        let rings = self.rings.iter().filter(|(service, _)| wanted(service));
        let mut lines: Vec<Line> = rings
            .flat_map(|(_, ring)| {
                ring.lines
                    .iter()
                    .filter(|line| line.number > number)
                    .cloned()
            })
            .collect();
        lines.sort_by_key(|line| line.number);
        lines
    }

    /// Where a service's output stands.
    pub fn position(&self) -> u64 {
        self.last
    }

    /// The last lines of a service since a position, indented, for a task's log.
    pub fn last_lines(&self, service: &str, since: u64, count: usize) -> Option<String> {
        let ring = self.rings.get(service)?;
        let new: Vec<&Line> = ring
            .lines
            .iter()
            .filter(|line| line.number > since)
            .collect();
        let skipped = new.len().saturating_sub(count);
        let mut texts: Vec<String> = Vec::new();
        if skipped > 0 {
            texts.push("    (...)".to_owned());
        }
        texts.extend(
            new.iter()
                .skip(skipped)
                .map(|line| format!("    {}", line.message)),
        );
        (!texts.is_empty()).then(|| texts.join("\n"))
    }
}

/// The server's own output, written by a thread so that a reader that stalls cannot stall the
/// server.
pub(crate) struct Output {
    verbose: bool,
    lines: SyncSender<Written>,
}

/// What the output's thread is given.
enum Written {
    /// Of a service.
    Line(String),
    /// Of the server itself.
    Own(String),
    /// All before it is to be written now.
    Flush(SyncSender<()>),
}

impl Output {
    pub fn new(verbose: bool) -> Self {
        let (lines, waiting) = sync_channel(WAITING);
        let write = move || {
            while let Ok(written) = waiting.recv() {
                let _ = match written {
                    Written::Own(line) => std::io::stderr().write_all(line.as_bytes()),
                    Written::Line(line) => {
                        let mut out = std::io::stdout().lock();
                        out.write_all(line.as_bytes()).and_then(|()| out.flush())
                    }
                    Written::Flush(done) => {
                        drop(done);
                        Ok(())
                    }
                };
            }
        };
        let thread = std::thread::Builder::new().name("output".to_owned());
        // Without the thread there is no output, which must not keep the services from running.
        drop(thread.stack_size(128 << 10).spawn(write));
        Self { verbose, lines }
    }

    /// A line of the server itself.
    pub fn own(&self, text: &str) {
        let _ = self.lines.try_send(Written::Own(format!(
            "{} [pebble] {text}\n",
            Time::now().millis()
        )));
    }

    /// Waits until everything is written, unless nobody reads it.
    pub fn flush(&self) {
        let (done, wait) = sync_channel(0);
        if self.lines.try_send(Written::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH);
        }
    }

    fn of_service(&self, line: &Line) {
        if self.verbose {
            let _ = self.lines.try_send(Written::Line(line.formatted()));
        }
    }
}

impl Daemon {
    fn keep(&self, service: &Arc<str>, bytes: &[u8]) {
        let time = Time::now();
        let text = String::from_utf8_lossy(bytes);
        let mut rest: &str = text.strip_suffix('\r').unwrap_or(&text);
        let mut state = self.state();
        loop {
            let mut end = rest.len().min(LINE);
            while !rest.is_char_boundary(end) {
                end -= 1;
            }
            let (line, more) = rest.split_at(end);
            let line = state.logs.push(service, time, line);
            self.output.of_service(&line);
            rest = more;
            if rest.is_empty() {
                break;
            }
        }
        drop(state);
        self.lines.send_modify(|version| *version += 1);
    }

    /// Keeps what comes from a service until it has no writer any more.
    pub async fn capture(self: Arc<Self>, service: String, mut pipe: impl AsyncRead + Unpin) {
        let service: Arc<str> = service.into();
        let mut chunk = vec![0; 8 << 10];
        let mut line: Vec<u8> = Vec::new();
        while let Ok(count) = pipe.read(&mut chunk).await {
            if count == 0 {
                break;
            }
            for piece in chunk
                .get(..count)
                .unwrap_or_default()
                .split_inclusive(|b| *b == b'\n')
            {
                match piece.split_last() {
                    Some((b'\n', rest)) => {
                        line.extend_from_slice(rest);
                        self.keep(&service, &line);
                        line.clear();
                    }
                    _ => line.extend_from_slice(piece),
                }
                if line.len() > LINE {
                    self.keep(&service, &line);
                    line.clear();
                }
            }
        }
        if !line.is_empty() {
            self.keep(&service, &line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_keeps_the_newest_lines_and_tells_of_gaps() {
        let mut logs = Logs::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        for number in 0..3000 {
            logs.push(
                &a,
                Time::now(),
                &format!("a line with some length, number {number}"),
            );
        }
        logs.push(&b, Time::now(), "other");
        let (lines, last) = logs.tail(&|_| true, 2);
        assert_eq!(
            (lines[0].message.as_ref(), lines[1].message.as_ref()),
            ("a line with some length, number 2999", "other")
        );
        assert_eq!(last, 3001);
        let (lines, _) = logs.after(&|service| service == "a", 5);
        assert_eq!(lines[0].message.as_ref(), TRUNCATED);
        assert!(lines.len() < 1600);
        let (lines, _) = logs.after(&|_| true, 3000);
        assert_eq!(lines.len(), 1);
        let tail = logs.last_lines("a", 2990, 3).unwrap();
        assert_eq!(tail.lines().count(), 4);
        assert!(tail.starts_with("    (...)\n    a line"));
    }
}
