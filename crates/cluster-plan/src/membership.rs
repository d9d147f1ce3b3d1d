//! Who belongs to the cluster, who may bootstrap it, and how many standbys commits wait for.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::names::{Member, ServiceKind};
use crate::observed::{Cluster, Kubernetes, Observed, Role, ServiceState, Volume};
use crate::options::{Config, SyncCount};
use crate::refresh;

/// Whether this unit's Patroni may bootstrap a new cluster.
///
/// Patroni bootstraps only with a `bootstrap` section in its file, so the verdict decides whether
/// the file has one. All members can then start side by side: those without it wait in Patroni for
/// the first one and take their base backup the moment it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bootstrap {
    /// It may, if nobody has.
    May,
    /// It must not; why.
    MustNot(&'static str),
    /// It must not: this member's volume holds a cluster, so that one has to come up.
    HeldBy(Member),
}

/// Decides who may bootstrap.
#[must_use]
pub fn bootstrap(observed: &Observed) -> Bootstrap {
    if !observed.leader {
        return Bootstrap::MustNot("only the leader's member bootstraps");
    }
    let Some(peer_data) = &observed.peer_data else {
        return Bootstrap::MustNot("the peer relation is not there yet");
    };
    if peer_data.initialised {
        return Bootstrap::MustNot("the cluster is initialised");
    }
    let own = observed
        .workload
        .facts()
        .and_then(|facts| facts.volume.as_ref());
    let Some(own) = own else {
        return Bootstrap::MustNot("what this unit's volume holds is not known");
    };
    if *own == Volume::Empty {
        let holder = peer_data
            .volumes
            .iter()
            .find(|(member, volume)| **member != observed.me && **volume != Volume::Empty);
        if let Some((member, _)) = holder {
            return Bootstrap::HeldBy(member.clone());
        }
    }
    Bootstrap::May
}

/// The system identifier on the own volume and the registered one, where they differ. A volume on
/// which something runs may be in the middle of a base backup: Patroni itself refuses a foreign one.
#[must_use]
pub fn foreign_volume(observed: &Observed) -> Option<(String, String)> {
    let Some(Kubernetes::Answers(kubernetes)) = &observed.kubernetes else {
        return None;
    };
    let registered = kubernetes
        .registered
        .as_ref()
        .filter(|_| !leftovers(observed))?;
    let facts = observed.workload.facts()?;
    if facts.service == ServiceState::Active {
        return None;
    }
    match facts.volume.as_ref()? {
        Volume::Holds(id) if id != registered => Some((id.clone(), registered.clone())),
        _ => None,
    }
}

/// Whether what Patroni registered is from an earlier application of this name: it is older than
/// this application's pods, and this application has never had a cluster.
#[must_use]
pub fn leftovers(observed: &Observed) -> bool {
    let uninitialised = observed
        .peer_data
        .as_ref()
        .is_some_and(|data| !data.initialised);
    match &observed.kubernetes {
        Some(Kubernetes::Answers(kubernetes)) => uninitialised && kubernetes.registered_before_us,
        _ => false,
    }
}

/// The members that stay, this unit among them, in order.
#[must_use]
pub fn members(observed: &Observed) -> Vec<Member> {
    let mut members: Vec<Member> = observed.peers.iter().cloned().collect();
    members.push(observed.me.clone());
    members.retain(|member| !observed.leaving.contains(member));
    members.sort();
    members
}

/// Whether there shall be one unit, this one or another, and every member but one has ended: what the
/// others had, the one that is left has too, or it could not lead, and none of them comes back.
#[must_use]
pub fn last(observed: &Observed, view: &Cluster) -> bool {
    observed.counted && observed.planned == 1 && view.lone()
}

/// Whether all units but one are on their way out, so that the policy of commits follows as soon as they
/// have ended, of which nobody tells.
#[must_use]
pub fn becomes_last(observed: &Observed) -> bool {
    let Some(view) = &observed.cluster else {
        return false;
    };
    let leads = view.primary().and_then(|p| p.member.as_ref()) == Some(&observed.me);
    observed.counted && observed.planned == 1 && (leads || observed.leader) && !view.lone()
}

/// Who leads once a member has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Successor {
    /// Another member leads already, or a synchronous standby that stays takes over, and no other can.
    Ready,
    /// One that stays can take over, and so can one that leaves too: writes would move twice.
    MayLeaveToo,
    /// Others stay, none of them is a synchronous standby.
    Missing,
    /// Nobody leads just now.
    Unknown,
    /// This member leads and no other stays.
    Nobody,
}

/// Whether a member's unit may still be somewhere, so that what it holds is not lost: Juju knows it, be it
/// on its way in or out, Kubernetes has its pod, or Patroni lists it. Where one of these has not told, it
/// may be.
#[must_use]
pub fn may_be_there(observed: &Observed, name: &str) -> bool {
    let Some(rollout) = refresh::rollout(observed).filter(|_| observed.counted) else {
        return true;
    };
    let juju = [&observed.units, &observed.peers, &observed.leaving];
    let juju = juju.into_iter().flatten().chain([&observed.me]);
    let pods = rollout.pods.keys().chain(&rollout.strangers);
    let patroni = observed.cluster.iter().flat_map(|view| &view.members);
    juju.chain(pods).any(|member| member.to_string() == name)
        || patroni.into_iter().any(|member| member.name == name)
}

/// Who leads once `me` has gone, of the other units `others`, without those that leave too. Units that
/// have not joined yet are among them.
///
/// A synchronous standby that leaves is released from commits by Patroni in its next loop.
#[must_use]
pub fn successor(
    view: &Cluster,
    me: &Member,
    others: &BTreeSet<Member>,
    leaving: &BTreeSet<Member>,
) -> Successor {
    let primary = view.primary().map(|primary| primary.member.as_ref());
    if primary.is_some_and(|primary| primary != Some(me)) {
        return Successor::Ready;
    }
    let stays = |member: &Member| member != me && !leaving.contains(member);
    if !others.iter().any(stays) {
        return primary.map_or(Successor::Ready, |_| Successor::Nobody);
    }
    if primary.is_none() {
        return Successor::Unknown;
    }
    let standbys = view
        .members
        .iter()
        .filter(|member| member.started() && member.role == Role::SyncStandby)
        .filter_map(|member| member.member.as_ref());
    let (staying, leaving): (Vec<_>, Vec<_>) = standbys.partition(|member| stays(member));
    match (staying.is_empty(), leaving.is_empty()) {
        (true, _) => Successor::Missing,
        (false, true) => Successor::Ready,
        (false, false) => Successor::MayLeaveToo,
    }
}

/// Where clients read: at the primary where there are no replicas.
#[must_use]
pub fn reads(observed: &Observed) -> ServiceKind {
    if members(observed).len() > 1 {
        ServiceKind::Replicas
    } else {
        ServiceKind::Primary
    }
}

/// The members that there shall be, in order. Units that have not joined yet are among them: one list
/// for all of those that come at once, instead of one for each that joins, wakes the others once.
#[must_use]
pub fn wanted(observed: &Observed) -> Vec<Member> {
    let mut wanted: BTreeSet<Member> = observed.units.union(&observed.peers).cloned().collect();
    wanted.insert(observed.me.clone());
    wanted.retain(|member| !observed.leaving.contains(member));
    wanted.into_iter().collect()
}

/// How many standbys commits wait for, with so many units wanted.
///
/// `all`: every standby; `majority`: half of the units, rounded down; a number: that many, unless
/// there would be no more standbys than that anyway, then all.
#[must_use]
pub fn sync_node_count(count: SyncCount, planned: u32) -> u32 {
    let standbys = planned.saturating_sub(1);
    match count {
        SyncCount::All => standbys,
        SyncCount::Majority => planned / 2,
        SyncCount::Number(n) => n.min(standbys),
    }
}

/// The part of Patroni's dynamic configuration that follows policy and scale.
#[must_use]
pub fn sync_settings(config: &Config, planned: u32) -> Map<String, Value> {
    let count = sync_node_count(config.synchronous_node_count(), planned);
    let strict = planned > 1 && count > 0 && config.synchronous_mode_strict();
    let mut settings = config.timing();
    let mode = if config.quorum() {
        json!("quorum")
    } else {
        json!(true)
    };
    settings.insert("synchronous_mode".into(), mode);
    settings.insert("synchronous_mode_strict".into(), json!(strict));
    // Patroni takes no count below 1; with one unit there is no standby to pick anyway.
    settings.insert("synchronous_node_count".into(), json!(count.max(1)));
    settings.insert(
        "maximum_lag_on_failover".into(),
        json!(config.maximum_lag_on_failover()),
    );
    settings
}

/// What of `wanted` differs from `current`, as a JSON merge patch; none when nothing does.
#[must_use]
pub fn merge_difference(current: &Value, wanted: &Map<String, Value>) -> Option<Value> {
    let mut patch = Map::new();
    for (key, value) in wanted {
        let now = current.get(key);
        let difference = match value {
            Value::Object(inner) => merge_difference(now.unwrap_or(&Value::Null), inner),
            Value::Null if now.is_none_or(Value::is_null) => None,
            other if now.is_some_and(|n| same(n, other)) => None,
            other => Some(other.clone()),
        };
        if let Some(difference) = difference {
            patch.insert(key.clone(), difference);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Equal as Patroni takes them: `"100"` and `100` are the same parameter value.
fn same(a: &Value, b: &Value) -> bool {
    let text = |v: &Value| match v {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    a == b || (!a.is_object() && !b.is_object() && text(a) == text(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Names;
    use crate::observed::ClusterMember;

    #[test]
    fn synchronous_standbys_follow_policy_and_scale() {
        let cases = [
            (SyncCount::All, 1, 0),
            (SyncCount::All, 3, 2),
            (SyncCount::Majority, 3, 1),
            (SyncCount::Majority, 5, 2),
            (SyncCount::Number(1), 3, 1),
            (SyncCount::Number(2), 3, 2),
            (SyncCount::Number(9), 3, 2),
        ];
        for (policy, planned, expected) in cases {
            assert_eq!(
                sync_node_count(policy, planned),
                expected,
                "{policy:?} of {planned}"
            );
        }
    }

    #[test]
    fn only_what_differs_is_patched() {
        let current = json!({"a": 1, "p": {"x": "100", "y": 2}, "gone": 5});
        let wanted = json!({"a": 1, "p": {"x": 100, "y": 3}, "gone": null, "never": null});
        assert_eq!(
            merge_difference(&current, wanted.as_object().unwrap()),
            Some(json!({"p": {"y": 3}, "gone": null}))
        );
        let same = json!({"a": 1});
        assert_eq!(merge_difference(&current, same.as_object().unwrap()), None);
    }

    #[test]
    fn who_leads_once_a_primary_has_gone() {
        let of = |n: u32| Names::new("pg", "dev").member(n);
        let primary_is = |leader: u32, standbys: &[u32], others: &[u32]| {
            let listed = |n: u32, role: Role| ClusterMember {
                member: Some(of(n)),
                name: of(n).to_string(),
                role,
                state: "streaming".into(),
                timeline: Some(1),
                pending_restart: false,
            };
            let standbys = standbys.iter().map(|n| listed(*n, Role::SyncStandby));
            let others = others.iter().map(|n| listed(*n, Role::Replica));
            let members = standbys.chain(others).chain([listed(leader, Role::Leader)]);
            Cluster {
                members: members.collect(),
                ..Cluster::default()
            }
        };
        let peers = [of(0), of(1)].into();
        let when = |view: &Cluster, leaving: &[u32]| {
            let leaving = leaving.iter().map(|n| of(*n)).collect();
            successor(view, &of(2), &peers, &leaving)
        };
        let ready = primary_is(2, &[0, 1], &[]);
        assert_eq!(when(&ready, &[2]), Successor::Ready);
        assert_eq!(when(&ready, &[1, 2]), Successor::MayLeaveToo);
        assert_eq!(when(&ready, &[0, 1, 2]), Successor::Nobody);
        let promoted = primary_is(2, &[], &[0, 1]);
        assert_eq!(when(&promoted, &[2]), Successor::Missing);
        let kept = primary_is(2, &[1], &[0]);
        assert_eq!(when(&kept, &[1, 2]), Successor::Missing);
        let another = primary_is(1, &[2], &[0]);
        assert_eq!(when(&another, &[1, 2]), Successor::Ready);
        let mut nobody = ready;
        nobody.members.retain(|m| m.role != Role::Leader);
        assert_eq!(when(&nobody, &[2]), Successor::Unknown);
        assert_eq!(when(&nobody, &[0, 1, 2]), Successor::Ready);
    }
}
