//! What services wrote: the last lines, or lines as they come.

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

use crate::Error;
use crate::client::Client;
use crate::http::{self, Driver, Request};
use crate::types::LogEntry;

/// Longest line; Pebble itself splits lines of more than 4 KiB.
const LONGEST_LINE: usize = 1 << 20;

impl Client {
    /// The last `count` lines of services' output; of all services if no name is given.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn logs(&self, names: &[&str], count: u32) -> Result<Vec<LogEntry>, Error> {
        let request = request(names, count, false);
        let response = self.send(request).await?;
        if response.status != 200 {
            response.envelope()?;
        }
        let lines = response.body.split(|byte| *byte == b'\n');
        lines.filter(|line| !line.is_empty()).map(entry).collect()
    }

    /// The last `count` lines of services' output and those that follow.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn follow_logs(&self, names: &[&str], count: u32) -> Result<LogStream, Error> {
        let open = async {
            let (response, driver) = http::open(&self.socket, request(names, count, true)).await?;
            if response.status() != 200 {
                http::collect(&self.socket, response).await?.envelope()?;
                return Err(Error::Malformed("logs that are none".into()));
            }
            Ok(LogStream {
                socket: self.socket.clone(),
                body: response.into_body(),
                rest: Vec::new(),
                _driver: driver,
            })
        };
        tokio::time::timeout(self.limit, open)
            .await
            .map_err(|_| Error::TimedOut(self.limit))?
    }
}

fn request(names: &[&str], count: u32, follow: bool) -> Request<'static> {
    let count = count.to_string();
    let mut pairs: Vec<_> = names.iter().map(|name| ("services", *name)).collect();
    pairs.push(("n", &count));
    if follow {
        pairs.push(("follow", "true"));
    }
    Request::get(format!("/v1/logs{}", http::query(&pairs)))
}

fn entry(line: &[u8]) -> Result<LogEntry, Error> {
    serde_json::from_slice(line).map_err(|error| Error::Malformed(error.to_string()))
}

/// Lines as they come, until Pebble ends or this is dropped.
pub struct LogStream {
    socket: PathBuf,
    body: Incoming,
    rest: Vec<u8>,
    _driver: Driver,
}

impl LogStream {
    /// The next line, for which it waits at most `wait`; none when Pebble has ended. Nothing is
    /// lost by a time-out, nor when the call is given up.
    ///
    /// # Errors
    /// [`Error::TimedOut`] where no line comes in time.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<LogEntry>, Error> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return entry(&line).map(Some);
            }
            if self.rest.len() > LONGEST_LINE {
                return Err(Error::Malformed("a line of a log that does not end".into()));
            }
            let frame = tokio::time::timeout_at(deadline, self.body.frame())
                .await
                .map_err(|_| Error::TimedOut(wait))?;
            let data = match frame {
                None => return Ok(None),
                Some(frame) => frame.map_err(|e| Error::broken(&self.socket, e))?,
            };
            self.rest
                .extend_from_slice(&data.into_data().unwrap_or_else(|_| Bytes::new()));
        }
    }
}
