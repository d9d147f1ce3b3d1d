//! What comes of a run, and what may go wrong in it on purpose.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::state::State;
use crate::status::Status;

/// What came of a hook or action.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The state afterwards. Of a hook that failed it has only what takes effect at once.
    pub state: State,
    /// Why the hook failed: the charm's own error, or Juju's where it refused what was written.
    pub failure: Option<String>,
    /// Lines of the log, in order.
    pub logs: Vec<Line>,
    /// Statuses of the unit that were set, in order.
    pub unit_statuses: Vec<Status>,
    /// Statuses of the application that were set, in order.
    pub app_statuses: Vec<Status>,
    /// Storages that were asked for: names and how many.
    pub requested_storages: BTreeMap<String, u32>,
    /// The action's part; none for a hook.
    pub action: Option<ActionOutcome>,
    /// The calls of tools, in order.
    pub calls: Vec<Call>,
}

impl Outcome {
    /// Whether the hook succeeded; for an action, whether it completed.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        let action_failed = |action: &ActionOutcome| action.failure.is_some();
        self.failure.is_none() && !self.action.as_ref().is_some_and(action_failed)
    }

    /// The calls of one tool.
    pub fn calls_of<'a>(&'a self, tool: &'a str) -> impl Iterator<Item = &'a Call> {
        self.calls.iter().filter(move |call| call.tool == tool)
    }
}

/// What came of an action.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ActionOutcome {
    /// Its results; keys with periods are nested.
    pub results: Map<String, Value>,
    /// Its message, if it failed.
    pub failure: Option<String>,
    /// Its lines of progress.
    pub log: Vec<String>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `INFO`, ...
    pub level: String,
    /// Its text.
    pub message: String,
}

/// One call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The tool.
    pub tool: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// What it was given to read.
    pub stdin: Option<String>,
    /// Its error, if it refused.
    pub refusal: Option<String>,
}

/// Something that goes wrong in each run of a harness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Another unit becomes the leader when this many calls were made.
    LeadershipLost {
        /// Calls before that.
        after_calls: usize,
    },
    /// The charm's process dies when this many calls were made.
    Killed {
        /// Calls before that.
        after_calls: usize,
    },
    /// A tool refuses whatever it is asked.
    ToolRefuses {
        /// The tool.
        tool: String,
        /// Its error, without `ERROR`.
        text: String,
    },
    /// Juju does not take what the hook wrote, though it exited 0.
    CommitRefused {
        /// Juju's words.
        text: String,
    },
}
