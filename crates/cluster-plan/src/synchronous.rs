//! What follows from Patroni's key of synchronous standbys: who may be promoted, and whether commits
//! wait for a standby that Patroni has forgotten, and how it is reminded.
//!
//! Patroni lists a new synchronous standby in PostgreSQL's `synchronous_standby_names` first and in its
//! key `/sync` a loop later, once that standby has caught up. One that comes and goes in between stays
//! in the former: before 4.1.1 Patroni then compares those that stream with its key alone, finds no
//! difference and does nothing (patroni#3468). Every commit waits for as long as that standby is away.
//!
//! The remedy is a difference: with the leader's own name in the key Patroni sets both anew. The leader
//! may lead in any case, so at no time may anybody be promoted who could not be before.

use std::collections::BTreeSet;

use crate::membership;
use crate::observed::{Cluster, Observed};
use crate::outlook::patronictl;
use crate::plan::{Plan, Problem, Step};

/// Patroni's key `/sync`: who may be promoted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncKey {
    /// Name of the member that wrote it.
    pub leader: String,
    /// Names of the synchronous standbys.
    pub members: BTreeSet<String>,
    /// Kubernetes' `resourceVersion` of the object that it was read from.
    pub version: String,
}

impl SyncKey {
    /// The annotation `sync_standby`, in Patroni's form.
    #[must_use]
    pub fn standbys(&self) -> String {
        let names: Vec<&str> = self.members.iter().map(String::as_str).collect();
        names.join(",")
    }
}

impl SyncKey {
    /// Of the members that commits wait for though they do not stream, those that Patroni will not
    /// remove by itself.
    fn forgets<'a>(&self, awaited: &'a BTreeSet<String>, view: &Cluster) -> Vec<&'a str> {
        let leads = view
            .primary()
            .is_some_and(|primary| primary.name == self.leader);
        // With its own name among them Patroni has been reminded already.
        if !leads || self.members.contains(&self.leader) || view.quorum {
            return vec![];
        }
        let names = awaited.iter().filter(|name| !self.members.contains(*name));
        names.map(String::as_str).collect()
    }
}

/// Reminds Patroni where it has forgotten one.
pub(crate) fn plan(plan: &mut Plan, observed: &Observed, view: &Cluster) {
    let (Some(database), Some(key)) = (&observed.database, &observed.sync_key) else {
        return;
    };
    let names = key.forgets(&database.awaited, view);
    if names.is_empty() {
        return;
    }
    let why = format!(
        "commits wait for {}, which does not stream, and Patroni would leave it so",
        names.join(", ")
    );
    let mut key = key.clone();
    key.members.insert(key.leader.clone());
    plan.step(Step::RemindPatroni(key), why);
}

/// Where nobody leads: whether a unit that may be promoted is left at all. Patroni promotes no other, and
/// rightly so: it may lack what was acknowledged last. Only where each of them is gone for certain is a
/// person told how to go on without.
pub(crate) fn left(plan: &mut Plan, observed: &Observed) {
    let Some(key) = observed
        .sync_key
        .as_ref()
        .filter(|key| !key.leader.is_empty())
    else {
        return;
    };
    let may_lead: BTreeSet<&String> = key.members.iter().chain([&key.leader]).collect();
    if may_lead
        .iter()
        .any(|name| membership::may_be_there(observed, name))
    {
        return;
    }
    let units = may_lead.into_iter().map(|name| {
        let member = observed.names.member_named(name);
        member.map_or_else(|| name.clone(), |member| member.unit())
    });
    plan.outlook.push(promote_anyway(observed));
    plan.problem(Problem::NobodyMayLead(units.collect()));
}

/// What a person does for whom the newest data is lost.
fn promote_anyway(observed: &Observed) -> String {
    let options = format!("--candidate {} --force", observed.me);
    let command = patronictl(observed, "failover", &options);
    format!("to go on without what only units that are gone have: {command}")
}

/// Whether all commits wait until Patroni has acted.
pub(crate) fn stuck(plan: &Plan) -> bool {
    plan.steps
        .iter()
        .any(|planned| matches!(planned.step, Step::RemindPatroni(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{ClusterMember, Role};

    fn key(leader: &str, members: &[&str]) -> SyncKey {
        SyncKey {
            leader: leader.into(),
            members: members.iter().map(|name| (*name).to_owned()).collect(),
            version: "1".into(),
        }
    }

    fn led_by(name: &str) -> Cluster {
        let primary = ClusterMember {
            member: None,
            name: name.into(),
            role: Role::Leader,
            state: "running".into(),
            timeline: Some(1),
            pending_restart: false,
        };
        Cluster {
            members: vec![primary],
            ..Cluster::default()
        }
    }

    fn forgotten(key: &SyncKey, view: &Cluster) -> Vec<String> {
        let awaited = ["db-2".to_owned()].into();
        let names = key.forgets(&awaited, view);
        names.into_iter().map(str::to_owned).collect()
    }

    #[test]
    fn one_that_commits_wait_for_and_patronis_key_lacks_is_forgotten() {
        assert_eq!(
            forgotten(&key("db-0", &["db-1"]), &led_by("db-0")),
            ["db-2"]
        );
        assert_eq!(forgotten(&key("db-0", &[]), &led_by("db-0")), ["db-2"]);
    }

    #[test]
    fn one_that_the_key_lists_is_removed_by_patroni_itself() {
        let key = key("db-0", &["db-1", "db-2"]);
        assert!(forgotten(&key, &led_by("db-0")).is_empty());
    }

    #[test]
    fn patroni_is_reminded_once() {
        let key = key("db-0", &["db-0", "db-1"]);
        assert!(forgotten(&key, &led_by("db-0")).is_empty());
    }

    #[test]
    fn a_key_of_a_former_leader_is_left_to_the_new_one() {
        assert!(forgotten(&key("db-1", &["db-0"]), &led_by("db-0")).is_empty());
    }

    #[test]
    fn a_quorum_has_bookkeeping_of_its_own() {
        let view = Cluster {
            quorum: true,
            ..led_by("db-0")
        };
        assert!(forgotten(&key("db-0", &["db-1"]), &view).is_empty());
    }

    #[test]
    fn standbys_are_written_as_patroni_writes_them() {
        assert_eq!(key("db-0", &["db-2", "db-1"]).standbys(), "db-1,db-2");
        assert_eq!(key("db-0", &[]).standbys(), "");
    }
}
