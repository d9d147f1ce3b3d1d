//! What a process writes: kept whole, and given on line by line.

use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt};

/// A pipe holds no more; who has written more than that after the end goes on writing.
const PIPE: usize = 64 << 10;

/// One of a process's two outputs.
pub(super) struct Output<R, L> {
    pipe: Option<R>,
    all: Vec<u8>,
    given: usize,
    line: L,
}

impl<R, L> Output<R, L>
where
    R: AsyncRead + Unpin + Send + 'static,
    L: Fn(String),
{
    /// Of a pipe; `line` hears of each line.
    pub(super) fn new(pipe: Option<R>, line: L) -> Self {
        Self {
            pipe,
            all: Vec::new(),
            given: 0,
            line,
        }
    }

    /// Whether somebody can still write.
    pub(super) fn open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Takes what is there, or waits for it. Nothing is lost where this is cut off.
    pub(super) async fn read(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        if !matches!(pipe.read_buf(&mut self.all).await, Ok(1..)) {
            self.pipe = None;
        }
        while let Some(rest) = self.all.get(self.given..)
            && let Some(end) = rest.iter().position(|byte| *byte == b'\n')
        {
            self.give(end);
            self.given += 1;
        }
    }

    /// Gives on so many bytes as a line.
    fn give(&mut self, length: usize) {
        let end = self.given + length;
        if let Some(line) = self.all.get(self.given..end) {
            (self.line)(String::from_utf8_lossy(line).into_owned());
        }
        self.given = end;
    }

    /// Takes the rest: all until nobody can write any more, or what is there until then.
    pub(super) async fn finish(&mut self, until: Option<Instant>) {
        let from = self.all.len();
        while self.open() {
            let Some(until) = until else {
                self.read().await;
                continue;
            };
            if Instant::now() >= until && self.all.len() > from + PIPE {
                break;
            }
            tokio::select! {
                // What was written before the end is there at once, however late this runs.
                biased;
                () = self.read() => {}
                () = tokio::time::sleep_until(until.into()) => break,
            }
        }
        let rest = self.all.len() - self.given;
        if rest > 0 {
            self.give(rest);
        }
    }

    /// All that was written. As in Juju nobody hears what comes later, but the pipe stays open until
    /// something does, so that a process which is silent lives on.
    pub(super) fn take(mut self) -> Vec<u8> {
        if let Some(mut pipe) = self.pipe.take() {
            tokio::spawn(async move {
                let _ = pipe.read(&mut [0]).await;
            });
        }
        self.all
    }
}
