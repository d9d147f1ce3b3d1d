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
    /// `up`, `down` or `inactive`.
    #[serde(default)]
    pub status: String,
    /// Failures in a row.
    #[serde(default)]
    pub failures: u64,
    /// Failures that make it fail.
    #[serde(default)]
    pub threshold: u64,
    /// The change that runs it.
    #[serde(default)]
    pub change_id: String,
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
}

/// Which notices are asked for; empty fields do not restrict.
#[derive(Debug, Clone, Default)]
pub struct NoticeQuery {
    /// Those of every user; for admins.
    pub all_users: bool,
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
