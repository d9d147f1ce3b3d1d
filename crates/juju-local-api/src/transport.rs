//! The client's side of the socket: how a request travels and an answer comes back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;

use crate::{ApiError, Reply, Request};

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No controller listens there.
    #[error("cannot reach the controller at {path}")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("the controller's connection broke")]
    Broken(#[source] std::io::Error),
    /// What came is not of the protocol.
    #[error("cannot read the controller's answer")]
    Malformed(#[source] serde_json::Error),
    /// The controller went away without an end.
    #[error("the controller closed the connection before it had answered")]
    Closed,
    /// No answer in time.
    #[error("the controller did not answer within {0:?}")]
    TimedOut(Duration),
    /// The controller's refusal.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// A client of one controller.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// An answer under way.
#[derive(Debug)]
pub struct Stream {
    lines: Lines<BufReader<OwnedReadHalf>>,
    // Held so that the server sees a close only when the reader is dropped.
    _write: tokio::net::unix::OwnedWriteHalf,
}

/// One item of an answer.
#[derive(Debug)]
pub enum Item {
    /// A part; more follows.
    Part(Value),
    /// The end.
    Done(Value),
}

impl Client {
    /// A client of the controller that listens on `socket`.
    #[must_use]
    pub fn new(socket: impl AsRef<Path>) -> Self {
        Self {
            socket: socket.as_ref().to_path_buf(),
        }
    }

    /// Sends a request and gives its answer as a stream.
    ///
    /// # Errors
    /// When the controller cannot be reached.
    pub async fn open(&self, request: &Request) -> Result<Stream, CallError> {
        let unreachable = |source| CallError::Unreachable {
            path: self.socket.clone(),
            source,
        };
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(unreachable)?;
        let (read, mut write) = stream.into_split();
        let mut line = serde_json::to_vec(request).map_err(CallError::Malformed)?;
        line.push(b'\n');
        write.write_all(&line).await.map_err(CallError::Broken)?;
        Ok(Stream {
            lines: BufReader::new(read).lines(),
            _write: write,
        })
    }

    /// Sends a request and gives the value at its end; parts are dropped.
    ///
    /// # Errors
    /// When there is no answer within `limit`, or the controller refuses.
    pub async fn call<T: DeserializeOwned>(
        &self,
        request: &Request,
        limit: Duration,
    ) -> Result<T, CallError> {
        let work = async {
            let mut stream = self.open(request).await?;
            loop {
                if let Item::Done(value) = stream.next().await? {
                    return serde_json::from_value(value).map_err(CallError::Malformed);
                }
            }
        };
        tokio::time::timeout(limit, work)
            .await
            .map_err(|_| CallError::TimedOut(limit))?
    }
}

impl Stream {
    /// The next item.
    ///
    /// # Errors
    /// When the connection breaks or the controller refuses.
    pub async fn next(&mut self) -> Result<Item, CallError> {
        let line = self.lines.next_line().await.map_err(CallError::Broken)?;
        let line = line.ok_or(CallError::Closed)?;
        match serde_json::from_str(&line).map_err(CallError::Malformed)? {
            Reply::Part(value) => Ok(Item::Part(value)),
            Reply::Done(value) => Ok(Item::Done(value)),
            Reply::Failed(error) => Err(error.into()),
        }
    }
}
