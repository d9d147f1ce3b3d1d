//! Why a call failed.

use std::path::PathBuf;
use std::time::Duration;

use crate::types::Change;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No Pebble listens on the socket, or the connection broke.
    #[error("cannot reach Pebble at {}", path.display())]
    Unreachable {
        /// The socket.
        path: PathBuf,
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
        /// HTTP status.
        status: u16,
        /// Pebble's kind, e.g. `not-found`; empty where it gives none.
        kind: String,
        /// Pebble's words.
        message: String,
    },
    /// A change ended in an error.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The answer is not what the API promises.
    #[error("cannot read Pebble's answer: {0}")]
    Malformed(String),
    /// A layer could not be written as YAML.
    #[error("cannot write the layer as YAML")]
    Layer(#[source] serde_yaml::Error),
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
}

/// A change that ended in an error, with what its tasks logged.
#[derive(Debug, thiserror::Error)]
#[error("{summary} failed: {text}")]
pub struct ChangeError {
    /// What was to be done.
    pub summary: String,
    /// Pebble's error and the tasks' logs.
    pub text: String,
}

impl ChangeError {
    pub(crate) fn of(change: &Change) -> Option<Self> {
        let error = change.err.as_ref()?;
        let mut text = error.clone();
        for line in change.tasks.iter().flat_map(|task| &task.log) {
            text.push_str("\n  ");
            text.push_str(line);
        }
        Some(Self {
            summary: change.summary.clone(),
            text,
        })
    }
}
