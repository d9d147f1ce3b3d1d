//! What Pebble's answers say.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// `GET /v1/system-info`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SystemInfo {
    /// Differs after each start of the container.
    #[serde(default)]
    pub boot_id: String,
    /// Pebble's version.
    #[serde(default)]
    pub version: String,
    /// Where it listens for HTTP besides the socket.
    #[serde(default)]
    pub http_address: Option<String>,
}

/// A service's state.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceInfo {
    /// Name.
    pub name: String,
    /// `enabled` or `disabled`.
    #[serde(default)]
    pub startup: String,
    /// `active`, `inactive`, `backoff` or `error`.
    pub current: String,
    /// RFC 3339.
    #[serde(default)]
    pub current_since: Option<String>,
}

/// A change: what was asked for, as tasks.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// Id.
    pub id: String,
    /// Kind.
    #[serde(default)]
    pub kind: String,
    /// In words.
    #[serde(default)]
    pub summary: String,
    /// Status.
    #[serde(default)]
    pub status: String,
    /// Tasks.
    #[serde(default)]
    pub tasks: Vec<Task>,
    /// It has ended.
    #[serde(default)]
    pub ready: bool,
    /// Why it failed.
    #[serde(default)]
    pub err: Option<String>,
    /// When it was asked for, RFC 3339.
    #[serde(default)]
    pub spawn_time: String,
    /// When it ended, RFC 3339.
    #[serde(default)]
    pub ready_time: Option<String>,
}

/// A task of a change.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Task {
    /// Id.
    pub id: String,
    /// Kind.
    #[serde(default)]
    pub kind: String,
    /// In words.
    #[serde(default)]
    pub summary: String,
    /// Status.
    #[serde(default)]
    pub status: String,
    /// What it logged.
    #[serde(default)]
    pub log: Vec<String>,
    /// How far it is.
    #[serde(default)]
    pub progress: Progress,
    /// Data, e.g. `exit-code`.
    #[serde(default)]
    pub data: BTreeMap<String, Value>,
}

/// How far a task is.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Progress {
    /// In words.
    #[serde(default)]
    pub label: String,
    /// Done.
    #[serde(default)]
    pub done: i64,
    /// Of so many.
    #[serde(default)]
    pub total: i64,
}

/// A check's state.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckInfo {
    /// Name.
    pub name: String,
    /// `alive`, `ready` or empty.
    #[serde(default)]
    pub level: String,
    /// `enabled` or `disabled`; empty before Pebble 1.19.
    #[serde(default)]
    pub startup: String,
    /// `up`, `down` or `inactive`.
    #[serde(default)]
    pub status: String,
    /// Successes in a row; 0 before Pebble 1.23.
    #[serde(default)]
    pub successes: u64,
    /// Failures in a row.
    #[serde(default)]
    pub failures: u64,
    /// Failures that make it fail.
    #[serde(default)]
    pub threshold: u64,
    /// The change that runs it; empty where it is inactive.
    #[serde(default)]
    pub change_id: String,
    /// The change that ran it before it failed or recovered.
    #[serde(default)]
    pub prev_change_id: String,
}

/// A check that was run on demand.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CheckRun {
    /// Its state after the run.
    pub info: CheckInfo,
    /// Why the run failed, if it did.
    #[serde(default)]
    pub error: Option<String>,
}

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Notice {
    /// Id.
    pub id: String,
    /// The user that made it; none for a public one.
    #[serde(default)]
    pub user_id: Option<u32>,
    /// `custom`, `change-update`, `warning`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Key.
    pub key: String,
    /// RFC 3339.
    #[serde(default)]
    pub first_occurred: String,
    /// RFC 3339.
    #[serde(default)]
    pub last_occurred: String,
    /// RFC 3339, what `after` compares with.
    #[serde(default)]
    pub last_repeated: String,
    /// How often.
    #[serde(default)]
    pub occurrences: u64,
    /// Data of the last occurrence.
    #[serde(default)]
    pub last_data: BTreeMap<String, String>,
    /// Repetitions within this time (a Go duration) wake nobody.
    #[serde(default)]
    pub repeat_after: Option<String>,
    /// It is forgotten so long after its last occurrence (a Go duration).
    #[serde(default)]
    pub expire_after: Option<String>,
}

/// A warning of Pebble's own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Warning {
    /// In words.
    pub message: String,
    /// RFC 3339.
    #[serde(default)]
    pub first_added: String,
    /// RFC 3339.
    #[serde(default)]
    pub last_added: String,
}

impl From<Notice> for Warning {
    fn from(notice: Notice) -> Self {
        Self {
            message: notice.key,
            first_added: notice.first_occurred,
            last_added: notice.last_occurred,
        }
    }
}

/// Which notices are asked for; empty fields do not restrict.
#[derive(Debug, Clone, Default)]
pub struct NoticeQuery {
    /// Those of every user; for admins.
    pub all_users: bool,
    /// Those of this user; for admins, and not with `all_users`.
    pub user_id: Option<u32>,
    /// Types.
    pub types: Vec<String>,
    /// Keys.
    pub keys: Vec<String>,
    /// Repeated after this time (RFC 3339).
    pub after: Option<String>,
}

/// A line of a service's output.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogEntry {
    /// RFC 3339.
    pub time: String,
    /// Service.
    pub service: String,
    /// Text.
    pub message: String,
}
