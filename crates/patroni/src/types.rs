//! What Patroni's answers say.

use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// `GET /cluster`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Cluster {
    /// Members.
    #[serde(default)]
    pub members: Vec<Member>,
    /// Maintenance mode.
    #[serde(default)]
    pub pause: bool,
}

impl Cluster {
    /// The member that holds the leader lock.
    #[must_use]
    pub fn leader(&self) -> Option<&Member> {
        self.members
            .iter()
            .find(|m| matches!(m.role, Role::Leader | Role::StandbyLeader))
    }
}

/// A member in `GET /cluster`.
#[derive(Debug, Clone, Deserialize)]
pub struct Member {
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// State.
    pub state: State,
    /// Address of its REST API.
    #[serde(default)]
    pub api_url: String,
    /// Host of its PostgreSQL.
    #[serde(default)]
    pub host: String,
    /// Timeline.
    #[serde(default, deserialize_with = "lenient_number")]
    pub timeline: Option<u64>,
    /// Bytes behind the leader; none where Patroni says `unknown`.
    #[serde(default, deserialize_with = "lenient_number")]
    pub lag: Option<u64>,
    /// A parameter waits for a restart.
    #[serde(default)]
    pub pending_restart: bool,
    /// Tags.
    #[serde(default)]
    pub tags: Value,
}

/// `GET /patroni`.
#[derive(Debug, Clone, Deserialize)]
pub struct MemberStatus {
    /// State.
    pub state: State,
    /// Role: [`Role::Leader`] for what versions call `master` or `primary`.
    pub role: Role,
    /// PostgreSQL's version as a number, 150018 for 15.18.
    #[serde(default)]
    pub server_version: Option<u64>,
    /// Timeline.
    #[serde(default, deserialize_with = "lenient_number")]
    pub timeline: Option<u64>,
    /// A parameter waits for a restart.
    #[serde(default)]
    pub pending_restart: bool,
    /// The cluster's system identifier.
    #[serde(default)]
    pub database_system_identifier: Option<String>,
    /// Patroni itself.
    #[serde(default)]
    pub patroni: Option<About>,
}

impl MemberStatus {
    /// Patroni's version.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        Version::parse(&self.patroni.as_ref()?.version)
    }
}

/// Patroni about itself.
#[derive(Debug, Clone, Deserialize)]
pub struct About {
    /// Version.
    pub version: String,
    /// Scope.
    #[serde(default)]
    pub scope: String,
}

/// A change of timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The timeline that ended.
    pub timeline: u64,
    /// Where it ended, as a byte position.
    pub lsn: u64,
    /// PostgreSQL's reason.
    pub reason: String,
    /// When.
    pub time: Option<String>,
    /// Who led then.
    pub leader: Option<String>,
}

impl HistoryEntry {
    pub(crate) fn from_row(row: &[Value]) -> Option<Self> {
        let text = |n: usize| row.get(n).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            timeline: row.first()?.as_u64()?,
            lsn: row.get(1)?.as_u64()?,
            reason: text(2).unwrap_or_default(),
            time: text(3),
            leader: text(4),
        })
    }
}

/// A version of Patroni.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second.
    pub minor: u32,
    /// Third.
    pub patch: u32,
}

impl Version {
    /// From `3.0.2`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|part| part.parse().ok());
        Some(Self {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next().flatten().unwrap_or(0),
        })
    }
}

/// Role of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Leader: `leader`, `master` or `primary`.
    Leader,
    /// Leader of a standby cluster.
    StandbyLeader,
    /// Synchronous standby.
    SyncStandby,
    /// Standby of a quorum.
    QuorumStandby,
    /// Replica.
    Replica,
    /// A word that this crate does not know.
    Other(String),
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Ok(match word.as_str() {
            "leader" | "master" | "primary" => Self::Leader,
            "standby_leader" => Self::StandbyLeader,
            "sync_standby" => Self::SyncStandby,
            "quorum_standby" => Self::QuorumStandby,
            "replica" => Self::Replica,
            _ => Self::Other(word),
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "leader",
            Self::StandbyLeader => "standby_leader",
            Self::SyncStandby => "sync_standby",
            Self::QuorumStandby => "quorum_standby",
            Self::Replica => "replica",
            Self::Other(word) => word,
        })
    }
}

/// State of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Runs.
    Running,
    /// Runs as a replica and streams (since 3.0 in `/cluster`).
    Streaming,
    /// Starts.
    Starting,
    /// Any other word, as Patroni has it.
    Other(String),
}

impl State {
    /// PostgreSQL runs.
    #[must_use]
    pub fn is_started(&self) -> bool {
        matches!(self, Self::Running | Self::Streaming)
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        Ok(match word.as_str() {
            "running" => Self::Running,
            "streaming" => Self::Streaming,
            "starting" => Self::Starting,
            _ => Self::Other(word),
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Streaming => "streaming",
            Self::Starting => "starting",
            Self::Other(word) => word,
        })
    }
}

/// A number, or none for `unknown` and whatever else is not one.
fn lenient_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }))
}
