//! Why a call failed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::exec::ExecOutput;
use crate::types::{Change, Task};

pub(crate) type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No Pebble listens on the socket, or the connection broke.
    #[error("cannot reach Pebble at {}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// In which way.
        failure: ConnectFailure,
        /// Why.
        #[source]
        source: Source,
    },
    /// No answer in time.
    #[error("Pebble did not answer within {0:?}")]
    TimedOut(Duration),
    /// Pebble refused.
    #[error("Pebble answers {status}: {message}")]
    Api {
        /// HTTP status; 200 where the call went through and a file of it failed.
        status: u16,
        /// Pebble's kind, e.g. `not-found`; empty where it gives none.
        kind: String,
        /// Pebble's words.
        message: String,
    },
    /// A change ended in an error.
    #[error(transparent)]
    Change(#[from] Box<ChangeError>),
    /// A command did not end well.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The answer is not what the API promises.
    #[error("cannot read Pebble's answer: {0}")]
    Malformed(String),
    /// What the API has no form for; nothing was sent.
    #[error("cannot be asked of Pebble: {0}")]
    Argument(String),
    /// A layer could not be written as YAML.
    #[error("cannot write the layer as YAML")]
    Layer(#[source] serde_yaml::Error),
}

/// In which way Pebble's socket failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// There is no socket: the container has not started, or not yet.
    NoSocket,
    /// There is a socket and nobody listens: Pebble has ended.
    Refused,
    /// This user may not connect.
    Denied,
    /// The connection broke.
    Broken,
}

impl Error {
    /// Whether a file, a service or a change was not found.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Api { status, kind, .. } if *status == 404 || kind == "not-found")
    }

    /// Whether Pebble itself could not be asked.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut(_))
    }

    /// Whether a change that was waited for is still under way.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Api { status: 504, .. })
    }

    pub(crate) fn connect(path: &Path, source: io::Error) -> Self {
        let failure = match source.kind() {
            io::ErrorKind::NotFound => ConnectFailure::NoSocket,
            io::ErrorKind::ConnectionRefused => ConnectFailure::Refused,
            io::ErrorKind::PermissionDenied => ConnectFailure::Denied,
            _ => ConnectFailure::Broken,
        };
        Self::Unreachable {
            path: path.to_owned(),
            failure,
            source: source.into(),
        }
    }

    pub(crate) fn broken(path: &Path, source: impl Into<Source>) -> Self {
        Self::Unreachable {
            path: path.to_owned(),
            failure: ConnectFailure::Broken,
            source: source.into(),
        }
    }
}

/// A change that ended in an error, with what its tasks logged.
#[derive(Debug, thiserror::Error)]
#[error("{summary} failed: {text}")]
pub struct ChangeError {
    /// The change's id.
    pub id: String,
    /// Kind: `start`, `replan`, `exec`, ...
    pub kind: String,
    /// What was to be done.
    pub summary: String,
    /// How it ended: `Error`, or `Hold` and `Undone` after an abort.
    pub status: String,
    /// Pebble's error and the tasks' logs.
    pub text: String,
    /// The tasks, each with its log.
    pub tasks: Vec<Task>,
}

impl ChangeError {
    pub(crate) fn of(change: &Change) -> Option<Box<Self>> {
        let undone = matches!(change.status.as_str(), "Error" | "Hold" | "Undone");
        if change.err.is_none() && !undone {
            return None;
        }
        let mut text = match &change.err {
            Some(error) => error.clone(),
            None => format!("it ended in status {}", change.status),
        };
        for line in change.tasks.iter().flat_map(|task| &task.log) {
            text.push_str("\n  ");
            text.push_str(line);
        }
        Some(Box::new(Self {
            id: change.id.clone(),
            kind: change.kind.clone(),
            summary: change.summary.clone(),
            status: change.status.clone(),
            text,
            tasks: change.tasks.clone(),
        }))
    }
}

/// A command that did not end well. Only the program is named: arguments and output may be secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// It was killed after its time.
    #[error("{program} did not end within {limit:?} and was killed")]
    TimedOut {
        /// The program.
        program: String,
        /// Its time.
        limit: Duration,
    },
    /// It exited with another code than 0.
    #[error("{program} exited with code {}", output.code)]
    Failed {
        /// The program.
        program: String,
        /// Code and output.
        output: Box<ExecOutput>,
    },
    /// A stream broke before its end, so that output may be missing.
    #[error("the connection to {program} broke before its output ended")]
    Cut {
        /// The program.
        program: String,
    },
    /// It wrote more than is taken.
    #[error("{program} wrote more than {limit} bytes")]
    TooLong {
        /// The program.
        program: String,
        /// What is taken.
        limit: usize,
    },
}
