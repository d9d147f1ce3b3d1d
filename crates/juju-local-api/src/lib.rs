//! What the parts of `juju-local` say to each other: the CLI and the unit agents are clients, the
//! controller daemon is the server.
//!
//! Transport: a unix stream socket; one request a connection. The client writes one JSON line
//! ([`Request`]); the server answers with JSON lines ([`Reply`]): any number of `Part`s, then one
//! `Done` or `Failed`, then closes.

pub mod agent;
pub mod status;
pub mod transport;
pub mod user;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A request: from a person's CLI, or from a unit's agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// From the CLI.
    User(Box<user::UserRequest>),
    /// From the agent of the named unit of the named model; `token` is the one in its pod.
    Agent {
        /// Model name.
        model: String,
        /// Unit name, `app/0`.
        unit: String,
        /// The unit's agent token, handed to its pod as a file.
        token: String,
        /// What it asks.
        request: Box<agent::AgentRequest>,
    },
}

/// One line of an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// A piece of a stream (a log line, a status, command output).
    Part(Value),
    /// The end of the answer, with its value.
    Done(Value),
    /// The request was refused or failed.
    Failed(ApiError),
}

/// Why the controller did not do it.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// What a program may decide on.
    pub kind: ErrorKind,
    /// Juju's words where it has some.
    pub message: String,
}

impl ApiError {
    /// An error of that kind with that text.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// The kinds of refusal that a client tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// No such model, application, unit, relation, secret, ...
    NotFound,
    /// The asker may not see or do this.
    PermissionDenied,
    /// The asker is not the leader.
    NotLeader,
    /// There is one already.
    AlreadyExists,
    /// The request itself is wrong.
    BadRequest,
    /// The state does not allow it now.
    Conflict,
    /// The controller failed.
    Internal,
}
