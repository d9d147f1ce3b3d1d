//! Refreshing the charm: how far the pods' rolling update is, when it may go on, and what an
//! operator is told.
//!
//! All of it is read off Kubernetes: each pod says which revision it is made from, and the
//! `StatefulSet` which one is wanted and from which ordinal on (the partition). The one thing that
//! is kept is the operator's consent, as the name of the revision that it is for: the next refresh
//! has another name, so no consent outlives what it was given for.
//!
//! Kubernetes goes by the pods' readiness, and a pod is ready as soon as its server answers, which says
//! nothing of its standby. So the charm keeps all pods but the highest back at all times (the guard),
//! and in a refresh that nobody has prepared it lets one after the other go by itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::membership;
use crate::names::Member;
use crate::observed::{Kubernetes, Observed, Role};
use crate::plan::{Plan, Problem, Step, Waiting};
use crate::status::{self, Status};

/// Number of the form of what the charm keeps in databags and secrets. It grows with a change that
/// earlier revisions could not read.
pub const FORMAT: u32 = 1;
/// The oldest form that this revision reads.
pub const OLDEST_FORMAT: u32 = 1;

/// The rolling update of the application's pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollout {
    /// Pods below this ordinal stay as they are.
    pub partition: u32,
    /// The partition is the charm's own guard, which no operator has asked for.
    pub guarded: bool,
    /// Kubernetes' name of what the pods shall be made from.
    pub wanted: String,
    /// What each unit's pod is made from.
    pub pods: BTreeMap<Member, String>,
    /// Pods whose unit Juju does not know, or not any more: nothing waits for them.
    pub strangers: BTreeSet<Member>,
}

impl Rollout {
    /// Pods that are not replaced yet.
    #[must_use]
    pub fn old(&self) -> BTreeSet<&Member> {
        self.of(false)
    }

    /// Pods that are as they shall be.
    #[must_use]
    pub fn new_pods(&self) -> BTreeSet<&Member> {
        self.of(true)
    }

    fn of(&self, new: bool) -> BTreeSet<&Member> {
        let pods = self.pods.iter();
        pods.filter(|(_, revision)| (**revision == self.wanted) == new)
            .map(|(member, _)| member)
            .collect()
    }

    /// The next pod that waits behind the partition; none while Kubernetes is at work above it.
    fn next(&self) -> Option<&Member> {
        let next = self.old().into_iter().next_back()?;
        (next.ordinal() < self.partition).then_some(next)
    }

    /// `pre-upgrade-check` has been run.
    fn prepared(&self) -> bool {
        self.partition > 0 && !self.guarded
    }
}

/// What the leader has seen of the pods.
#[must_use]
pub fn rollout(observed: &Observed) -> Option<&Rollout> {
    match &observed.kubernetes {
        Some(Kubernetes::Answers(facts)) => facts.rollout.as_ref(),
        _ => None,
    }
}

/// Why an action is refused; the text is its message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is the leader's to do.
    #[error("Action must be ran on the Juju leader.")]
    NotLeader,
    /// Kubernetes tells nothing of the pods.
    #[error("cannot tell which revision the pods are of: {0}")]
    Unknown(String),
    /// A refresh is not over.
    #[error(
        "Cannot run pre-upgrade checks, cluster already upgrading: {0}. To go on run resume-upgrade, \
         to go back run `juju refresh` to the former revision"
    )]
    UnderWay(String),
    /// Something is not as it must be.
    #[error("Pre-upgrade check failed and cannot safely upgrade: {0}")]
    Unwell(String),
    /// The lowest unit cannot lead.
    #[error(
        "{0} needs to be a synchronous standby in order to become the primary before the upgrade \
         process can start - run this action again when it is, or set synchronous_node_count to all \
         until the refresh is done"
    )]
    NotSynchronous(String),
    /// All pods are of the same revision.
    #[error("Nothing to resume: every unit runs the same revision. Run `juju refresh` first")]
    NothingToResume,
    /// Kubernetes replaces a pod just now.
    #[error("The upgrade goes on already: Kubernetes replaces {0}")]
    Rolling(String),
    /// What was refreshed does not stand.
    #[error("Cannot resume: {0}. Wait for it, or go back by `juju refresh` to the former revision")]
    NotYet(String),
}

/// What `pre-upgrade-check` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preparation {
    /// Leadership moves from the first to the second, so that the primary goes last and once.
    pub switchover: Option<(Member, Member)>,
    /// The partition: the highest unit alone goes at first.
    pub partition: u32,
}

fn known(observed: &Observed) -> Result<&Rollout, Refused> {
    if !observed.leader {
        return Err(Refused::NotLeader);
    }
    rollout(observed).ok_or_else(|| {
        Refused::Unknown(match &observed.kubernetes {
            Some(Kubernetes::Forbidden(why) | Kubernetes::Failing(why)) => why.clone(),
            _ => "there is no StatefulSet of this application".into(),
        })
    })
}

/// Decides what `pre-upgrade-check` does.
///
/// # Errors
/// When a refresh would not be safe now; why.
pub fn prepare(observed: &Observed) -> Result<Preparation, Refused> {
    let rollout = known(observed)?;
    if !rollout.old().is_empty() {
        return Err(Refused::UnderWay(progress(rollout)));
    }
    if let Some(why) = unwell(observed) {
        return Err(Refused::Unwell(why));
    }
    let members = membership::members(observed);
    let view = observed.cluster.as_ref();
    let primary = view.and_then(|v| v.primary()?.member.clone());
    let (Some(lowest), Some(highest), Some(primary), Some(view)) =
        (members.first(), members.last(), primary, view)
    else {
        return Err(Refused::Unwell("no primary is known".into()));
    };
    let preparation = |switchover| Preparation {
        switchover,
        partition: highest.ordinal(),
    };
    if primary == *lowest {
        return Ok(preparation(None));
    }
    let synchronous = view
        .members
        .iter()
        .any(|m| m.member.as_ref() == Some(lowest) && m.role == Role::SyncStandby);
    if !synchronous {
        return Err(Refused::NotSynchronous(lowest.unit()));
    }
    Ok(preparation(Some((primary, lowest.clone()))))
}

/// Decides what `resume-upgrade` does: the unit that is next.
///
/// # Errors
/// When nothing waits, or what was refreshed first does not stand; why.
pub fn resume(observed: &Observed) -> Result<Member, Refused> {
    let rollout = known(observed)?;
    let old = rollout.old();
    let Some(highest) = old.last() else {
        return Err(Refused::NothingToResume);
    };
    let next = rollout
        .next()
        .ok_or_else(|| Refused::Rolling(highest.unit()))?;
    match unwell(observed) {
        Some(why) => Err(Refused::NotYet(why)),
        None => Ok(next.clone()),
    }
}

/// What keeps the next pod from being replaced: a member that is missing or does not stream, or too
/// few synchronous standbys.
fn unwell(observed: &Observed) -> Option<String> {
    let Some(view) = &observed.cluster else {
        return Some("no member of the cluster answers".into());
    };
    let started = |member: &Member| {
        let mut seen = view.members.iter();
        seen.any(|m| m.member.as_ref() == Some(member) && m.started())
    };
    let members = membership::members(observed);
    let missing: Vec<String> = members
        .iter()
        .filter(|member| !started(member))
        .map(Member::unit)
        .collect();
    if !missing.is_empty() {
        return Some(format!("{} not healthy", is(&missing)));
    }
    if members.len() < usize::try_from(observed.planned).unwrap_or(usize::MAX) {
        return Some("not all units have joined".into());
    }
    if view.primary().is_none() {
        return Some("no member leads".into());
    }
    status::incomplete(observed).then(|| "not all standbys are synchronous".into())
}

fn is(units: &[String]) -> String {
    let verb = if units.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", units.join(", "))
}

/// Lets the next pod go once those before it stand, if the operator has said so or has prepared
/// nothing; and notes the form of what is kept, once no earlier revision has to read it.
pub fn plan(plan: &mut Plan, observed: &Observed) {
    let (Some(rollout), Some(peer_data)) = (rollout(observed), &observed.peer_data) else {
        return;
    };
    if !observed.leader || !peer_data.initialised {
        return;
    }
    let Some(next) = rollout.old().into_iter().next_back() else {
        let all = rollout.pods.len() >= usize::try_from(observed.planned).unwrap_or(usize::MAX);
        if all && peer_data.format != Some(FORMAT) && unreadable(observed).is_none() {
            plan.step(
                Step::NoteFormat(FORMAT),
                "no unit runs another revision, so none has to read another form",
            );
        }
        if all {
            guard(plan, observed, rollout);
        }
        return;
    };
    let resumed = rollout.guarded || peer_data.resumed.as_ref() == Some(&rollout.wanted);
    // One member at a time, whatever for.
    let restarts = |step: &Step| matches!(step, Step::RestartMember(_));
    let busy = plan.steps.iter().any(|planned| restarts(&planned.step))
        || plan.waits.iter().any(|w| w.for_what == Waiting::Settings);
    if rollout.next().is_none() || (resumed && (busy || unwell(observed).is_some())) {
        plan.wait(Waiting::Refreshed, "the refreshed unit's announcement");
    } else if resumed {
        plan.step(
            Step::SetPartition(next.ordinal()),
            format!("{} is next in the refresh: all others stand", next.unit()),
        );
    }
}

/// Keeps Kubernetes from replacing more than the highest pod when the next refresh comes, which may be
/// as soon as all pods are of the last one's revision, before their members stand.
fn guard(plan: &mut Plan, observed: &Observed, rollout: &Rollout) {
    let members = membership::members(observed);
    let highest = members.last().map_or(0, Member::ordinal);
    if rollout.prepared() || rollout.partition == highest {
        return;
    }
    plan.step(
        Step::GuardRefresh(highest),
        "a refresh goes on only when the members that it has replaced stand",
    );
}

/// What the application keeps is in a form that this revision can't read.
#[must_use]
pub fn unreadable(observed: &Observed) -> Option<Problem> {
    let format = observed.peer_data.as_ref()?.format?;
    (!(OLDEST_FORMAT..=FORMAT).contains(&format)).then_some(Problem::Format(format))
}

/// Names the pods that belong to no unit.
#[must_use]
pub fn strangers(rollout: &Rollout) -> Option<String> {
    let pods: Vec<String> = rollout.strangers.iter().map(Member::to_string).collect();
    match pods.as_slice() {
        [] => None,
        [pod] => Some(format!("pod {pod} has no unit in Juju")),
        _ => Some(format!("pods {} have no unit in Juju", pods.join(", "))),
    }
}

fn progress(rollout: &Rollout) -> String {
    let new: Vec<String> = rollout.new_pods().iter().map(|m| m.unit()).collect();
    let old: Vec<String> = rollout.old().iter().map(|m| m.unit()).collect();
    match new.len() {
        0 => "no unit runs the new revision yet".into(),
        1 => format!(
            "{} runs the new revision, {} not yet",
            new.join(", "),
            old.join(", ")
        ),
        _ => format!(
            "{} run the new revision, {} not yet",
            new.join(", "),
            old.join(", ")
        ),
    }
}

/// What the application's status tells of a refresh; `guarantee` is what it tells otherwise.
#[must_use]
pub fn tell(observed: &Observed, guarantee: &str) -> Option<Status> {
    let rollout = rollout(observed)?;
    if rollout.old().is_empty() {
        let guarantee = if guarantee.is_empty() {
            String::new()
        } else {
            format!("; {guarantee}")
        };
        return rollout.prepared().then(|| {
            Status::Active(format!(
                "prepared for juju refresh: one unit goes first, the others after \
                 resume-upgrade{guarantee}"
            ))
        });
    }
    let peer_data = observed.peer_data.as_ref();
    let agreed = peer_data.and_then(|data| data.resumed.as_ref()) == Some(&rollout.wanted);
    let resumed = agreed || rollout.guarded;
    let progress = progress(rollout);
    let next = match (rollout.next(), resumed, unwell(observed)) {
        (None, ..) | (Some(_), true, None) => String::new(),
        (Some(_), true, Some(why)) if agreed => format!("; waits: {why}"),
        (Some(_), false, None) => {
            "; to go on run resume-upgrade, to go back juju refresh to the former revision".into()
        }
        (Some(_), _, Some(why)) => {
            format!("; {why}: wait for it, or go back by juju refresh to the former revision")
        }
    };
    let strangers = strangers(rollout);
    let strangers = strangers.map_or_else(String::new, |pods| format!("; {pods}"));
    Some(Status::Waiting(format!(
        "refresh: {progress}{strangers}{next}"
    )))
}
