//! Restarts that changed parameters wait for: which member is next.
//!
//! One member at a time, and only while all others run: standbys first, the primary last. Patroni
//! says who waits (`pending_restart`). A parameter that was lowered stays pending on a standby
//! until the primary has it, so each standby gets one restart before the primary's and one after.

use std::collections::BTreeSet;

use crate::names::Member;
use crate::observed::{Cluster, ClusterMember, Observed, Role};
use crate::plan::{Plan, Step, Waiting};

/// Adds the next restart to the leader's plan, and what is still to come.
pub fn plan(plan: &mut Plan, observed: &Observed, view: &Cluster) {
    let Some(peer_data) = observed.peer_data.as_ref().filter(|data| data.initialised) else {
        return;
    };
    if !observed.leader {
        return;
    }
    let done = &peer_data.restarted;
    let pending: Vec<&ClusterMember> = view.members.iter().filter(|m| m.pending_restart).collect();
    if pending.is_empty() {
        if !done.is_empty() {
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
    let order = order(&pending, done);
    let Some((next, rest)) = order.split_first() else {
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
        "each member is restarted once, the primary last",
    );
}

/// Standbys that were not restarted yet, then the primary.
fn order<'a>(pending: &[&'a ClusterMember], done: &BTreeSet<Member>) -> Vec<&'a Member> {
    let leads = |m: &&ClusterMember| matches!(m.role, Role::Leader | Role::StandbyLeader);
    let mut standbys: Vec<&Member> = pending
        .iter()
        .filter(|m| !leads(m))
        .filter_map(|m| m.member.as_ref())
        .filter(|member| !done.contains(member))
        .collect();
    standbys.sort();
    let primary = pending.iter().filter(|m| leads(m));
    standbys.extend(primary.filter_map(|m| m.member.as_ref()));
    standbys
}
