//! Restarts that changed parameters wait for: which member is next.
//!
//! One member at a time, and only while all others run. Patroni says who waits (`pending_restart`),
//! which each member finds out in its own time, so the order does not go by who says so first:
//!
//! * A parameter that a standby must have at least as high as its primary, and that is raised: the
//!   primary comes last, once every standby runs with the new value. One that does not would abort.
//! * One that is lowered: Patroni keeps the old value on a standby until the primary has the new one,
//!   so the primary comes first, where nothing else changes.
//! * Any other: standbys first. Each gets one restart before the primary's and one after.
//!
//! A restart that failed ends the round until an option changes or that member has its restart.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::membership;
use crate::names::{Member, Names};
use crate::observed::{Cluster, ClusterMember, Observed, PeerData, Role};
use crate::plan::{Plan, Problem, Step, Waiting};
use crate::planner::Desired;

/// Parameters of which a standby needs as much as its primary has.
const AS_THE_PRIMARY: [&str; 5] = [
    "max_connections",
    "max_locks_per_transaction",
    PREPARED,
    "max_wal_senders",
    "max_worker_processes",
];
/// The one that a server with prepared transactions needs to start.
const PREPARED: &str = "max_prepared_transactions";
const WAKES: &str = "the other members' announcements, or a timer";

/// What a server runs with, by parameter.
pub type Settings = BTreeMap<String, u64>;

/// A restart that was begun and of which no good end is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Whose.
    pub member: Member,
    /// It was the primary.
    pub led: bool,
    /// Patroni says that it failed; else it was still going on.
    pub failed: bool,
    /// Mark of the options that it was for.
    pub wanted: String,
}

impl Attempt {
    /// One that begins now.
    #[must_use]
    pub fn new(member: &Member, observed: &Observed, desired: &Desired) -> Self {
        let primary = observed.cluster.as_ref().and_then(Cluster::primary);
        Self {
            member: member.clone(),
            led: primary.and_then(|primary| primary.member.as_ref()) == Some(member),
            failed: false,
            wanted: mark(desired),
        }
    }

    /// As it stands in the databag.
    #[must_use]
    pub fn to_bag(&self) -> String {
        let role = if self.led { "primary" } else { "standby" };
        let state = if self.failed { "failed" } else { "going" };
        format!("{} {role} {state} {}", self.member.unit(), self.wanted)
    }

    /// From the databag; none for what no charm wrote.
    #[must_use]
    pub fn from_bag(text: &str, names: &Names) -> Option<Self> {
        let mut words = text.split(' ');
        Some(Self {
            member: names.member_of_unit(words.next()?)?,
            led: words.next()? == "primary",
            failed: words.next()? == "failed",
            wanted: words.next()?.to_owned(),
        })
    }

    /// What came of it: it failed, by Patroni's word, by the member's state or as another had to lead.
    fn has_failed(&self, view: &Cluster) -> bool {
        let member = member(view, &self.member);
        let down = member.is_some_and(|member| member.state.ends_with(" failed"));
        let leads = |primary: &ClusterMember| primary.member.as_ref() == Some(&self.member);
        let replaced = self.led && view.primary().is_some_and(|primary| !leads(primary));
        self.failed || down || replaced
    }

    /// The member runs as it should, or is gone.
    fn is_over(&self, observed: &Observed, view: &Cluster) -> bool {
        let runs = |member: &ClusterMember| member.started() && !member.pending_restart;
        member(view, &self.member).is_some_and(runs)
            || !membership::wanted(observed).contains(&self.member)
    }
}

/// A mark that differs for other options.
fn mark(desired: &Desired) -> String {
    let text = format!("{:?} {:?}", desired.config, desired.dynamic);
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, fold))
}

fn member<'a>(view: &'a Cluster, wanted: &Member) -> Option<&'a ClusterMember> {
    let mut members = view.members.iter();
    members.find(|member| member.member.as_ref() == Some(wanted))
}

/// Adds the next restart to the leader's plan, and what is still to come.
pub fn plan(plan: &mut Plan, observed: &Observed, view: &Cluster, desired: &Desired) {
    let Some(peer_data) = observed.peer_data.as_ref().filter(|data| data.initialised) else {
        return;
    };
    if !observed.leader {
        return;
    }
    let pending = view.members.iter().any(|member| member.pending_restart);
    if stopped(plan, observed, view, (peer_data, &mark(desired))) {
        return;
    }
    if !pending {
        if !peer_data.restarted.is_empty() {
            plan.step(
                Step::NoteRestarted(BTreeSet::new()),
                "no parameter waits for a restart any more",
            );
        }
        return;
    }
    let whole = view.members.iter().all(ClusterMember::started)
        && view.members.len() >= usize::try_from(observed.planned).unwrap_or(usize::MAX);
    if !whole {
        return plan.wait(Waiting::AllMembers, "the missing member's start callback");
    }
    if let Some(problem) = too_many_prepared(observed, view) {
        return plan.problem(problem);
    }
    match order(observed, view, &peer_data.restarted) {
        Order::Waits => plan.wait(Waiting::Settings, WAKES),
        Order::Members(members) => next(plan, view, &peer_data.restarted, &members),
    }
}

/// Whether a restart that failed keeps the others back.
fn stopped(
    plan: &mut Plan,
    observed: &Observed,
    view: &Cluster,
    (peer_data, wanted): (&PeerData, &str),
) -> bool {
    let Some(attempt) = &peer_data.attempt else {
        return false;
    };
    if attempt.wanted != wanted || attempt.is_over(observed, view) {
        let why = "that member has had its restart, or the options have changed";
        plan.step(Step::NoteAttempt(None), why);
        return false;
    }
    if !attempt.has_failed(view) {
        return false;
    }
    if !attempt.failed {
        let failed = Attempt {
            failed: true,
            ..attempt.clone()
        };
        let why = "it is down, or another leads since";
        plan.step(Step::NoteAttempt(Some(failed)), why);
    }
    plan.problem(Problem::RestartFailed(attempt.member.unit()));
    true
}

/// A primary does not start with room for fewer transactions than are prepared.
fn too_many_prepared(observed: &Observed, view: &Cluster) -> Option<Problem> {
    let prepared = observed.database.as_ref()?.prepared;
    let wanted = wanted(view, PREPARED)?;
    (prepared > wanted).then_some(Problem::Prepared { prepared, wanted })
}

/// A parameter's value in the dynamic configuration, or the one that Patroni takes without it.
fn wanted(view: &Cluster, name: &str) -> Option<u64> {
    let parameters = view.dynamic.as_ref()?.pointer("/postgresql/parameters")?;
    match (parameters.get(name), name) {
        (Some(Value::String(text)), _) => text.parse().ok(),
        (Some(value), _) if !value.is_null() => value.as_u64(),
        (_, PREPARED) => Some(0),
        (_, "max_locks_per_transaction") => Some(64),
        _ => None,
    }
}

enum Order<'a> {
    /// These, one after the other.
    Members(Vec<&'a Member>),
    /// What a member runs with is not known, or one has not read its configuration yet.
    Waits,
}

fn leads(member: &ClusterMember) -> bool {
    matches!(member.role, Role::Leader | Role::StandbyLeader)
}

fn order<'a>(observed: &Observed, view: &'a Cluster, done: &BTreeSet<Member>) -> Order<'a> {
    let settings = |member: &ClusterMember| {
        let database = observed.database.as_ref()?;
        database.settings.get(&member.name)
    };
    let primary = view.members.iter().find(|member| leads(member));
    let Some(now) = primary.and_then(settings) else {
        return Order::Waits;
    };
    let differs = |name: &&String| wanted(view, name).is_some_and(|n| now.get(*name) != Some(&n));
    let changed: Vec<&String> = now.keys().filter(differs).collect();
    let shared = |name: &&&String| AS_THE_PRIMARY.contains(&name.as_str());
    let raised = |name: &&&String| wanted(view, name) > now.get(**name).copied();
    let raised: Vec<&String> = changed
        .iter()
        .filter(shared)
        .filter(raised)
        .copied()
        .collect();
    let lowered_alone =
        !changed.is_empty() && raised.is_empty() && changed.iter().all(|name| shared(&name));
    let first = primary.filter(|primary| lowered_alone && primary.pending_restart);
    if let Some(primary) = first.and_then(|primary| primary.member.as_ref()) {
        return Order::Members(vec![primary]);
    }
    let behind = |member: &ClusterMember| {
        let of = |settings: &Settings, name: &str| settings.get(name).copied();
        let low = |settings| {
            raised
                .iter()
                .any(|name| of(settings, name) < wanted(view, name))
        };
        !raised.is_empty() && settings(member).is_none_or(low)
    };
    let (mut members, mut unread) = (Vec::new(), false);
    for standby in view.members.iter().filter(|member| !leads(member)) {
        let Some(member) = standby.member.as_ref() else {
            continue;
        };
        match (standby.pending_restart, behind(standby)) {
            (true, true) => members.push(member),
            (true, false) if !done.contains(member) => members.push(member),
            (false, true) => unread = true,
            _ => {}
        }
    }
    members.sort();
    if members.is_empty() && unread {
        return Order::Waits;
    }
    let last = primary.filter(|primary| primary.pending_restart && !unread);
    members.extend(last.and_then(|primary| primary.member.as_ref()));
    Order::Members(members)
}

fn next(plan: &mut Plan, view: &Cluster, done: &BTreeSet<Member>, members: &[&Member]) {
    let Some((next, rest)) = members.split_first() else {
        return;
    };
    let mut done: BTreeSet<Member> = done.clone();
    if view.primary().and_then(|m| m.member.as_ref()) == Some(*next) {
        done.clear();
    } else {
        done.insert((*next).clone());
    }
    let then = match rest {
        [] => String::new(),
        rest => {
            let names: Vec<String> = rest.iter().map(|member| member.unit()).collect();
            format!("; after it {}", names.join(", then "))
        }
    };
    plan.step(
        Step::RestartMember((*next).clone()),
        format!("a changed parameter waits for it{then}"),
    );
    plan.step(
        Step::NoteRestarted(done),
        "each member is restarted once before the primary and once after it at the most",
    );
}
