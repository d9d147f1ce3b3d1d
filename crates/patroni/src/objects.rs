//! What Patroni keeps in Kubernetes, as far as it tells the cluster.
//!
//! `GET /cluster` has the member read all of it anew, in the middle of its own loop: asked during an
//! election, it can make two members lead for a moment (patroni/patroni#3718). These objects tell the
//! same and disturb nobody.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::types::lenient_number;
use crate::{Cluster, Member, Role, State};

/// An object with what Patroni wrote into its annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    /// Name.
    pub name: String,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// The objects of one cluster: those with its labels `application` and `cluster-name`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects {
    /// The members' pods.
    pub pods: Vec<Object>,
    /// Endpoints: the leader's lease, the configuration, the synchronous standbys.
    pub endpoints: Vec<Object>,
}

/// Who holds the leader lock, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Name of the member.
    pub holder: String,
    /// By the clock of the holder's pod; none where the object does not tell.
    pub until: Option<Timestamp>,
}

impl Lease {
    /// Whether it has ended by this machine's clock, which may be another than the holder's.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.until.is_some_and(|until| until < Timestamp::now())
    }
}

/// What a member writes about itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    #[serde(deserialize_with = "crate::types::lenient")]
    state: State,
    #[serde(deserialize_with = "crate::types::lenient")]
    replication_state: Option<State>,
    #[serde(deserialize_with = "crate::types::lenient")]
    api_url: String,
    #[serde(deserialize_with = "lenient_number")]
    timeline: Option<u64>,
    #[serde(deserialize_with = "crate::types::lenient")]
    pending_restart: bool,
    tags: Value,
}

impl Objects {
    /// The lease as it was last renewed; none where nobody holds it.
    #[must_use]
    pub fn lease(&self, scope: &str) -> Option<Lease> {
        let holder = self.annotation(scope, "leader")?;
        let renewed = self.annotation(scope, "renewTime");
        let renewed = renewed.and_then(|time| time.parse::<Timestamp>().ok());
        let seconds = self.annotation(scope, "ttl").and_then(|s| s.parse().ok());
        let until = renewed.zip(seconds.map(SignedDuration::from_secs));
        Some(Lease {
            holder: holder.to_owned(),
            until: until.and_then(|(renewed, ttl)| renewed.checked_add(ttl).ok()),
        })
    }

    /// The cluster of this scope with this leader, as `GET /cluster` would tell it: members by name,
    /// without positions, addresses of PostgreSQL and a switchover that was put off.
    #[must_use]
    pub fn cluster(&self, scope: &str, leader: Option<&str>) -> Cluster {
        let config = self.annotation(&format!("{scope}-config"), "config");
        let config: Value = config
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let standbys = self.annotation(&format!("{scope}-sync"), "sync_standby");
        let standbys: Vec<&str> = standbys.unwrap_or_default().split(',').collect();
        let leads = if follows_another(&config) {
            Role::StandbyLeader
        } else {
            Role::Leader
        };
        let waited_for = match config.get("synchronous_mode") {
            Some(Value::String(mode)) if mode == "quorum" => Role::QuorumStandby,
            _ => Role::SyncStandby,
        };
        let role = |name: &str| {
            if leader == Some(name) {
                leads.clone()
            } else if standbys.iter().any(|standby| standby.trim() == name) {
                waited_for.clone()
            } else {
                Role::Replica
            }
        };
        let members = self.pods.iter().map(|pod| member(pod, role(&pod.name)));
        let mut members: Vec<Member> = members.collect();
        members.sort_by(|one, other| one.name.cmp(&other.name));
        Cluster {
            members,
            pause: config.get("pause").and_then(Value::as_bool) == Some(true),
            ..Cluster::default()
        }
    }

    fn annotation(&self, object: &str, key: &str) -> Option<&str> {
        let object = self.endpoints.iter().find(|found| found.name == object)?;
        let value = object.annotations.get(key)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }
}

/// Whether its leader follows a primary of another cluster.
fn follows_another(config: &Value) -> bool {
    let from = config.get("standby_cluster");
    let told = |key| from.and_then(|from| from.get(key)).is_some();
    told("host") || told("port") || told("restore_command")
}

fn member(pod: &Object, role: Role) -> Member {
    let told = pod.annotations.get("status").map(String::as_str);
    let told: Told = told
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let streams = told.replication_state.filter(|_| role != Role::Leader);
    Member {
        name: pod.name.clone(),
        role,
        state: streams.unwrap_or(told.state),
        api_url: told.api_url,
        host: String::new(),
        port: None,
        timeline: told.timeline,
        lag: None,
        receive_lag: None,
        replay_lag: None,
        pending_restart: told.pending_restart,
        tags: told.tags,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, annotations: &[(&str, &str)]) -> Object {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Object {
            name: name.to_owned(),
            annotations: annotations.iter().map(own).collect(),
        }
    }

    fn objects(config: &str, leader: &[(&str, &str)]) -> Objects {
        let status = |name: &str, state: &str| {
            format!(
                r#"{{"conn_url":"postgres://{name}:5432/postgres","api_url":"https://{name}.db-endpoints:8008/patroni",
                  {state},"timeline":3,"version":"3.0.2"}}"#
            )
        };
        let pod = |name: &str, state: &str| object(name, &[("status", &status(name, state))]);
        Objects {
            pods: vec![
                pod(
                    "db-2",
                    r#""state":"running","role":"replica","pending_restart":true"#,
                ),
                pod(
                    "db-0",
                    r#""state":"running","role":"master","replication_state":"streaming""#,
                ),
                pod(
                    "db-1",
                    r#""state":"running","replication_state":"streaming","tags":{"nosync":true}"#,
                ),
                object("db-3", &[]),
                object("db-4", &[("status", "[not what it was")]),
            ],
            endpoints: vec![
                object(
                    "patroni-db-config",
                    &[("config", config), ("initialize", "77")],
                ),
                object(
                    "patroni-db-sync",
                    &[("leader", "db-0"), ("sync_standby", "db-1, db-2")],
                ),
                object("patroni-db", leader),
                object("patroni-dba", &[("leader", "db-1")]),
            ],
        }
    }

    #[test]
    fn the_objects_tell_what_the_rest_api_tells() {
        let found = objects(r#"{"pause":true,"ttl":30}"#, &[]).cluster("patroni-db", Some("db-0"));
        assert!(found.pause);
        let told: Vec<_> = found
            .members
            .iter()
            .map(|m| {
                (
                    m.name.as_str(),
                    m.role.to_string(),
                    m.state.to_string(),
                    m.timeline,
                )
            })
            .collect();
        let row = |name, role: &str, state: &str, timeline| {
            (name, role.to_owned(), state.to_owned(), timeline)
        };
        assert_eq!(
            told,
            [
                row("db-0", "leader", "running", Some(3)),
                row("db-1", "sync_standby", "streaming", Some(3)),
                row("db-2", "sync_standby", "running", Some(3)),
                row("db-3", "replica", "", None),
                row("db-4", "replica", "", None),
            ]
        );
        let pending = found.members.iter().map(|m| m.pending_restart);
        assert_eq!(
            pending.collect::<Vec<_>>(),
            [false, false, true, false, false]
        );
        assert!(found.members[1].has_tag("nosync"));
        assert_eq!(
            found.members[1].api_url,
            "https://db-1.db-endpoints:8008/patroni"
        );
    }

    #[test]
    fn quorum_standby_clusters_and_nobody_who_leads_are_told() {
        let quorum = objects(r#"{"synchronous_mode":"quorum"}"#, &[]).cluster("patroni-db", None);
        assert!(quorum.leader().is_none());
        assert_eq!(quorum.members[2].role, Role::QuorumStandby);
        let follows = r#"{"standby_cluster":{"host":"far.example"}}"#;
        let follows = objects(follows, &[]).cluster("patroni-db", Some("db-0"));
        assert_eq!(follows.members[0].role, Role::StandbyLeader);
    }

    #[test]
    fn a_lease_ends_when_its_holder_has_not_renewed_it() {
        let lease = [
            ("leader", "db-0"),
            ("renewTime", "2026-12-01T02:13:56.123456+00:00"),
            ("ttl", "30"),
        ];
        let lease = |without: &str| {
            let kept = lease.iter().filter(|(key, _)| *key != without).copied();
            objects("{}", &kept.collect::<Vec<_>>()).lease("patroni-db")
        };
        let told = lease("").unwrap();
        assert_eq!(told.holder, "db-0");
        assert_eq!(
            told.until.unwrap().to_string(),
            "2026-12-01T02:14:26.123456Z"
        );
        let ended = |year: &str| {
            let renewed = format!("{year}-12-01T02:13:56+00:00");
            let lease = [("leader", "db-0"), ("renewTime", &renewed), ("ttl", "30")];
            objects("{}", &lease).lease("patroni-db").unwrap().ended()
        };
        assert!(ended("2020"));
        assert!(!ended("9000"));
        assert!(!lease("ttl").unwrap().ended(), "nothing tells when");
        assert_eq!(lease("ttl").unwrap().until, None);
        assert_eq!(lease("renewTime").unwrap().until, None);
        assert_eq!(lease("leader"), None);
        assert_eq!(
            objects("{}", &[("leader", "")]).lease("patroni-db"),
            None,
            "a lock that was given back"
        );
    }
}
