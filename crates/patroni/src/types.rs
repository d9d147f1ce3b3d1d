//! What Patroni's answers say.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// `GET /cluster`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Cluster {
    /// Members.
    pub members: Vec<Member>,
    /// Maintenance mode.
    #[serde(default, deserialize_with = "lenient")]
    pub pause: bool,
    /// A switchover that was put off.
    #[serde(default, deserialize_with = "lenient")]
    pub scheduled_switchover: Option<ScheduledSwitchover>,
}

/// A switchover that was put off.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ScheduledSwitchover {
    /// When, RFC 3339.
    pub at: String,
    /// Who leads.
    #[serde(default)]
    pub from: Option<String>,
    /// Who shall.
    #[serde(default)]
    pub to: Option<String>,
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
    #[serde(default)]
    pub role: Role,
    /// State.
    #[serde(default)]
    pub state: State,
    /// Address of its REST API.
    #[serde(default, deserialize_with = "lenient")]
    pub api_url: String,
    /// Host of its PostgreSQL.
    #[serde(default, deserialize_with = "lenient")]
    pub host: String,
    /// Port of its PostgreSQL.
    #[serde(default, deserialize_with = "lenient")]
    pub port: Option<u16>,
    /// Timeline.
    #[serde(default, deserialize_with = "lenient_number")]
    pub timeline: Option<u64>,
    /// Bytes behind the leader; none for the leader and where Patroni says `unknown`.
    #[serde(default, deserialize_with = "lenient_number")]
    pub lag: Option<u64>,
    /// Bytes that it has not received; since Patroni 4.1.
    #[serde(default, deserialize_with = "lenient_number")]
    pub receive_lag: Option<u64>,
    /// Bytes that it has not replayed; since Patroni 4.1.
    #[serde(default, deserialize_with = "lenient_number")]
    pub replay_lag: Option<u64>,
    /// A parameter waits for a restart.
    #[serde(default, deserialize_with = "lenient")]
    pub pending_restart: bool,
    /// Tags: an object, or null where it has none.
    #[serde(default)]
    pub tags: Value,
}

impl Member {
    /// Whether it has this tag, and not as false.
    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        match self.tags.get(tag) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(_) => true,
        }
    }
}

/// The answer to a health question.
#[derive(Debug, Clone)]
pub struct Health {
    /// Patroni says yes.
    pub healthy: bool,
    /// What the member tells of itself; none for liveness and readiness.
    pub member: Option<MemberStatus>,
}

/// `GET /patroni`, and what the health questions give too.
#[derive(Debug, Clone, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are Patroni's, and independent of one another"
)]
pub struct MemberStatus {
    /// State.
    #[serde(default)]
    pub state: State,
    /// Role: [`Role::Leader`] for what versions call `master` or `primary`.
    #[serde(default)]
    pub role: Role,
    /// PostgreSQL's version as a number, 150018 for 15.18; none while it does not run.
    #[serde(default, deserialize_with = "lenient_number")]
    pub server_version: Option<u64>,
    /// When PostgreSQL was started.
    #[serde(default, deserialize_with = "lenient")]
    pub postmaster_start_time: Option<String>,
    /// Timeline.
    #[serde(default, deserialize_with = "lenient_number")]
    pub timeline: Option<u64>,
    /// Positions in the WAL.
    #[serde(default, deserialize_with = "lenient")]
    pub xlog: Xlog,
    /// A synchronous standby.
    #[serde(default, deserialize_with = "lenient")]
    pub sync_standby: bool,
    /// A standby of the quorum; since Patroni 4.
    #[serde(default, deserialize_with = "lenient")]
    pub quorum_standby: bool,
    /// `streaming` or `in archive recovery`; since Patroni 3.0.4.
    #[serde(default, deserialize_with = "lenient")]
    pub replication_state: Option<State>,
    /// A parameter waits for a restart.
    #[serde(default, deserialize_with = "lenient")]
    pub pending_restart: bool,
    /// Maintenance mode.
    #[serde(default, deserialize_with = "lenient")]
    pub pause: bool,
    /// Nobody holds the leader lock.
    #[serde(default, deserialize_with = "lenient")]
    pub cluster_unlocked: bool,
    /// The store is away and failsafe mode keeps the primary.
    #[serde(default, deserialize_with = "lenient")]
    pub failsafe_mode_is_active: bool,
    /// When the store was last reached, seconds since 1970.
    #[serde(default, deserialize_with = "lenient_number")]
    pub dcs_last_seen: Option<u64>,
    /// The cluster's system identifier.
    #[serde(default, deserialize_with = "lenient_text")]
    pub database_system_identifier: Option<String>,
    /// Tags: an object, or null where it has none.
    #[serde(default)]
    pub tags: Value,
    /// Patroni itself.
    #[serde(default, deserialize_with = "lenient")]
    pub patroni: Option<About>,
}

impl MemberStatus {
    /// Patroni's version.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        Version::parse(&self.patroni.as_ref()?.version)
    }

    /// Whether it is a replica that streams; as far as this Patroni tells (since 3.0.4).
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.replication_state == Some(State::Streaming)
    }
}

/// Positions in the WAL, in bytes: `location` of a primary, the others of a replica.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Xlog {
    /// Written.
    #[serde(default, deserialize_with = "lenient_number")]
    pub location: Option<u64>,
    /// Received.
    #[serde(default, deserialize_with = "lenient_number")]
    pub received_location: Option<u64>,
    /// Replayed.
    #[serde(default, deserialize_with = "lenient_number")]
    pub replayed_location: Option<u64>,
    /// Replay is paused.
    #[serde(default, deserialize_with = "lenient")]
    pub paused: bool,
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
    /// From `3.0.2`; of `4.1.0rc1` the numbers.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |part: &str| {
            part.split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        };
        let mut numbers = text.split('.').map(digits);
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
    /// A word that this crate does not know; empty where there is none.
    Other(String),
}

impl Default for Role {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word: String = lenient(deserializer)?;
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
    /// Runs as a replica and streams (in `/cluster` since Patroni 3.0.4).
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

impl Default for State {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word: String = lenient(deserializer)?;
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

/// A value, or the default for null and whatever else has another form.
pub(crate) fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// A number, or none for `unknown` and whatever else is not one.
pub(crate) fn lenient_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    })
}

/// A text, also where it came as a number.
fn lenient_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_ordered() {
        let version = |text| Version::parse(text).unwrap();
        assert!(version("3.0.2") < version("3.0.10"));
        assert!(version("3.3.6") < version("4.0.0"));
        assert_eq!(version("4.1.0rc1").patch, 0);
        assert_eq!(version("4.1").minor, 1);
        assert_eq!(Version::parse("four"), None);
    }
}
