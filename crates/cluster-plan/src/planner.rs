//! The planner: from what a unit sees and what its operator wants, to what it does next.

use serde_json::{Map, Value};

use crate::membership::{self, Bootstrap};
use crate::names::Member;
use crate::observed::{
    Account, Cluster, Given, Kubernetes, Note, Observed, Role, ServiceState, SystemUser, Volume,
    Workload, WorkloadFacts,
};
use crate::options::{Config, OptionError};
use crate::plan::{Plan, Problem, Step, Waiting};
use crate::{disk, follow, outlook, predefined, refresh, restarts, roles, synchronous, tls};

/// What the operator wants, as far as it goes into a plan.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The options, or those with values that are not allowed.
    pub config: Result<Config, Vec<OptionError>>,
    /// Patroni's dynamic configuration as it should be; empty where it isn't known.
    pub dynamic: Map<String, Value>,
    /// From when on a filling volume is told, and guarded.
    pub thresholds: disk::Thresholds,
    /// Tell Juju the workload's version: the workload may be a new one.
    pub publish_version: bool,
}

/// Path of Patroni's configuration file.
pub const PATRONI_YML: &str = "/var/lib/postgresql/data/patroni.yml";

const SYNCHRONOUS_MODE: &str = "synchronous_mode";

/// Decides what this unit does next.
#[must_use]
pub fn plan(observed: &Observed, desired: &Desired) -> Plan {
    let mut plan = Plan::default();
    relations(&mut plan, observed);
    juju(&mut plan, observed);
    tls::keep(&mut plan, observed);
    kubernetes(&mut plan, observed);
    workload(&mut plan, observed, desired);
    tls::settle(&mut plan, observed);
    disk::plan(&mut plan, observed, desired.thresholds);
    cluster(&mut plan, observed, desired);
    own_server(&mut plan, observed, desired);
    refresh::plan(&mut plan, observed);
    let patch = plan.steps.iter().find_map(|planned| match &planned.step {
        Step::PatchDynamic(patch) => Some(patch),
        _ => None,
    });
    plan.outlook.extend(outlook::lines(observed, patch));
    plan
}

fn relations(plan: &mut Plan, observed: &Observed) {
    for endpoint in &observed.unserved_relations {
        plan.problem(Problem::UnservedRelation(endpoint.clone()));
    }
}

fn juju(plan: &mut Plan, observed: &Observed) {
    let Some(peer_data) = &observed.peer_data else {
        plan.wait(Waiting::PeerRelation, "database-peers-relation-created");
        return;
    };
    if observed.leader {
        if let Some(passwords) = &observed.passwords {
            let missing: Vec<_> = SystemUser::GENERATED
                .into_iter()
                .filter(|user| !passwords.contains(user))
                .collect();
            if !missing.is_empty() {
                plan.step(Step::StorePasswords(missing), "the secret lacks them");
            }
        }
        given(plan, observed);
        let hosts: Vec<String> = membership::wanted(observed)
            .iter()
            .map(|m| observed.names.host(m))
            .collect();
        if hosts != peer_data.endpoints {
            plan.step(
                Step::PublishEndpoints(hosts),
                "the units of the application have changed",
            );
        }
    }
    let volume = observed
        .workload
        .facts()
        .and_then(|facts| facts.volume.as_ref());
    if let (Some(volume), None) = (volume, peer_data.volumes.get(&observed.me)) {
        plan.step(
            Step::PublishVolume(volume.clone()),
            "the leader must not bootstrap over a cluster on another volume",
        );
    }
}

/// The application's secret follows the operator's, and all else follows the application's: the
/// primary's own unit sets the passwords in the database, every unit those in its Patroni's file.
fn given(plan: &mut Plan, observed: &Observed) {
    match &observed.given {
        None => {}
        Some(Given::Unreadable(id)) => plan.problem(Problem::SecretUnreadable(id.clone())),
        Some(Given::Wrong(why)) => plan.problem(Problem::SecretWrong(why.clone())),
        Some(Given::Passwords(others)) if others.is_empty() => {}
        Some(Given::Passwords(others)) => plan.step(
            Step::TakePasswords(others.clone()),
            "the secret of option system-users has other ones",
        ),
    }
}

fn kubernetes(plan: &mut Plan, observed: &Observed) {
    let names = &observed.names;
    if names.app().len() > names.longest() {
        return plan.problem(Problem::NameTooLong(names.longest()));
    }
    let facts = match &observed.kubernetes {
        None => return,
        Some(Kubernetes::Forbidden(_)) => return plan.problem(Problem::Untrusted),
        Some(Kubernetes::Failing(why)) => return plan.problem(Problem::Kubernetes(why.clone())),
        Some(Kubernetes::Answers(facts)) => facts,
    };
    for foreign in &facts.foreign {
        plan.problem(Problem::Foreign(foreign.clone()));
        if let Some(name) = foreign.held.as_ref().filter(|_| observed.leader) {
            let why = "it has become another's, and would go with this application";
            plan.step(Step::ReleaseService(name.clone()), why);
        }
    }
    if !facts.headless && observed.leader {
        plan.step(
            Step::ApplyHeadless,
            "it is gone, so members cannot find each other",
        );
    } else if !facts.headless {
        plan.problem(Problem::HeadlessService(observed.names.headless()));
    }
    if observed.leader && membership::leftovers(observed) {
        plan.step(
            Step::RemoveLeftovers,
            "they are older than this application, which has no cluster yet",
        );
    }
    if facts.labels_missing {
        plan.step(
            Step::LabelPod,
            "Patroni and the Services find members by label",
        );
    }
    for kind in &facts.stale_services {
        plan.step(Step::ApplyService(*kind), "it is missing or differs");
    }
}

fn workload(plan: &mut Plan, observed: &Observed, desired: &Desired) {
    let facts = match &observed.workload {
        Workload::Unreachable(_) => {
            return plan.wait(Waiting::Pebble, "postgresql-pebble-ready");
        }
        Workload::Up(facts) => facts,
    };
    let Some(version) = &facts.postgresql else {
        return plan.problem(Problem::Image("PostgreSQL's binaries".into()));
    };
    if facts.patroni.is_none() {
        return plan.problem(Problem::Image("Patroni".into()));
    }
    if desired.publish_version {
        plan.step(
            Step::PublishVersion(version.clone()),
            "the workload may be a new one",
        );
    }
    if let Err(errors) = &desired.config {
        plan.problem(Problem::Options(
            errors.iter().map(ToString::to_string).collect(),
        ));
    }
    if !may_run(plan, observed) {
        return;
    }
    if !facts.storage_ready {
        plan.step(
            Step::PrepareStorage,
            "owner or modes on the volume are not PostgreSQL's",
        );
    }
    if !facts.configured && facts.service == ServiceState::Absent {
        return; // nothing to run on yet; a running member keeps its last good configuration
    }
    files_and_services(plan, facts, observed.leaving.contains(&observed.me));
    if facts.volume == Some(Volume::Empty) && !observed.initialised() && !registered(observed) {
        match membership::bootstrap(observed) {
            Bootstrap::May => {}
            Bootstrap::MustNot(_) => {
                plan.wait(Waiting::Bootstrap, "Patroni's start callback");
            }
            Bootstrap::HeldBy(member) => plan.problem(empty_leader_volume(&member)),
        }
    }
}

fn empty_leader_volume(member: &Member) -> Problem {
    Problem::EmptyLeaderVolume {
        member: member.unit(),
    }
}

fn other_major(observed: &Observed) -> Option<Problem> {
    let facts = observed.workload.facts()?;
    let image = facts.postgresql.clone()?;
    let volume = facts.data_major?;
    let major = image.split('.').next()?.parse::<u32>().ok()?;
    (major != volume).then_some(Problem::OtherMajor { volume, image })
}

/// Whether Patroni may be started at all; notes what is missing.
fn may_run(plan: &mut Plan, observed: &Observed) -> bool {
    if observed.peer_data.is_none() {
        return false;
    }
    let complete = observed
        .passwords
        .as_ref()
        .is_some_and(|p| SystemUser::GENERATED.iter().all(|user| p.contains(user)));
    if !complete {
        plan.wait(Waiting::Passwords, "database-peers-relation-changed");
        return false;
    }
    if let Some((holds, cluster)) = membership::foreign_volume(observed) {
        plan.problem(Problem::ForeignVolume { holds, cluster });
        return false;
    }
    // Before anything is started, so that going back is all that a wrong refresh takes.
    if let Some(problem) = refresh::unreadable(observed).or_else(|| other_major(observed)) {
        plan.problem(problem);
        return false;
    }
    let names = &observed.names;
    if names.app().len() > names.longest() {
        return false;
    }
    if let Some(Kubernetes::Answers(facts)) = &observed.kubernetes
        && facts.foreign.iter().any(|foreign| foreign.registration)
    {
        return false;
    }
    // Without permission Patroni could not keep its leader key, so it would never lead.
    !matches!(observed.kubernetes, Some(Kubernetes::Forbidden(_)))
}

fn files_and_services(plan: &mut Plan, facts: &WorkloadFacts, leaving: bool) {
    for path in &facts.stale_files {
        plan.step(Step::PushFile(path.clone()), "it is missing or differs");
    }
    if facts.layer_stale {
        plan.step(Step::SetLayer, "the services differ from the ones wanted");
    }
    let down = matches!(facts.service, ServiceState::Absent | ServiceState::Inactive);
    if down && facts.account == Account::Missing && !leaving {
        plan.step(
            Step::GivePatroniAccount,
            "what runs as postgres must not have the pod's own rights",
        );
    }
    if facts.service == ServiceState::Active && facts.account == Account::Missing {
        let why = "somebody has deleted it, and without it this member can't lead";
        plan.step(Step::RenewPatroniAccount, why);
    }
    match facts.service {
        // Stopped so that another leads before this unit is gone.
        ServiceState::Absent | ServiceState::Inactive if leaving => {}
        ServiceState::Absent => plan.step(Step::StartServices, "Patroni does not run yet"),
        ServiceState::Inactive => plan.step(Step::StartServices, "Patroni is stopped"),
        ServiceState::Active if facts.stale_files.contains(PATRONI_YML) => {
            plan.step(Step::ReloadPatroni, "its configuration has changed");
        }
        ServiceState::Active if facts.note == Note::Differs => {
            plan.step(
                Step::ReloadPatroni,
                "it may not have read its configuration",
            );
        }
        // Pebble restarts it with a back-off of its own.
        ServiceState::Active | ServiceState::Failing => return,
    }
    if facts.configured {
        let why = "a process that dies before this reloads again";
        plan.step(Step::NoteRead, why);
    }
}

fn registered(observed: &Observed) -> bool {
    match &observed.kubernetes {
        Some(Kubernetes::Answers(facts)) => {
            facts.registered.is_some() && !membership::leftovers(observed)
        }
        _ => observed
            .cluster
            .as_ref()
            .is_some_and(|cluster| cluster.primary().is_some()),
    }
}

/// What the primary tells of its standbys: the leader speaks for the application, and only the
/// primary's unit is woken when one comes or goes. A hook that has not asked leaves it as it was.
fn standbys(observed: &Observed, role: &str) -> String {
    let said = observed.peer_data.as_ref().and_then(|data| {
        let rest = data.announced.as_deref()?.strip_prefix(role)?;
        Some(rest.split_once(", restart").map_or(rest, |(rest, _)| rest))
    });
    match &observed.database {
        _ if role == "replica" => String::new(),
        Some(database) => match database.streaming.len() {
            0 => String::new(),
            n => format!(
                ", standbys: {n} stream, {} synchronous",
                observed.synchronous()
            ),
        },
        None => said.unwrap_or_default().to_owned(),
    }
}

/// Patroni's dynamic configuration as it should be just now.
fn wanted(
    observed: &Observed,
    view: &Cluster,
    desired: &Desired,
    plan: &Plan,
) -> Map<String, Value> {
    let mut wanted = disk::guarded(&desired.dynamic, plan);
    let stays = |member: &Member| !observed.leaving.contains(member);
    let primary_stays = view
        .primary()
        .is_some_and(|primary| primary.member.as_ref().is_none_or(stays));
    // While members are on their way out, fewer synchronous standbys may mean those that leave: a
    // primary that leaves with them would leave none behind that may follow it. Nor may one that
    // leaves acknowledge alone, though no other stands just now.
    let mut present = u32::try_from(view.members.len()).unwrap_or(u32::MAX);
    if !primary_stays {
        present = present.max(observed.planned.saturating_add(1));
    }
    if present > observed.planned
        && let Ok(config) = &desired.config
        && wanted.contains_key(SYNCHRONOUS_MODE)
    {
        wanted.extend(membership::sync_settings(config, present));
    }
    if primary_stays && membership::last(observed, view) && wanted.contains_key(SYNCHRONOUS_MODE) {
        wanted.extend(alone());
    }
    wanted
}

/// Promoted in strict mode, PostgreSQL waits for any standby until Patroni lists one. Where the last
/// other member has gone none ever comes, and only without synchronous mode does Patroni take that
/// back: commits would wait for ever.
fn alone() -> Map<String, Value> {
    [(SYNCHRONOUS_MODE.to_owned(), Value::Bool(false))]
        .into_iter()
        .collect()
}

/// Compares the dynamic configuration, which is the leader's to keep; but for the last unit that has the
/// primary: commits must not wait until Juju has made it the leader.
fn dynamic(plan: &mut Plan, observed: &Observed, view: &Cluster, desired: &Desired) {
    let Some(current) = &view.dynamic else {
        return;
    };
    let leads = view.primary().and_then(|p| p.member.as_ref()) == Some(&observed.me);
    let (wanted, why) = if observed.leader {
        let why = "policy, scale, options or room on the volumes have changed";
        (wanted(observed, view, desired, plan), why)
    } else if leads && membership::last(observed, view) {
        (alone(), "all other units have gone")
    } else {
        return;
    };
    let Some(patch) = membership::merge_difference(current, &wanted) else {
        return;
    };
    let guard = patch.pointer(&format!("/postgresql/parameters/{}", disk::READ_ONLY));
    let why = match guard.and_then(Value::as_str) {
        Some("on") if !plan.disks.is_empty() => "a volume is full: new transactions only read",
        _ => why,
    };
    plan.step(Step::PatchDynamic(patch), why);
}

/// The parameters as they should be, where no member runs: it may be for these that none starts. While
/// one runs nobody touches the configuration before there is a primary.
fn restore(
    plan: &mut Plan,
    observed: &Observed,
    view: &crate::observed::Cluster,
    desired: &Desired,
) {
    const KEY: &str = "postgresql";
    let (Some(current), Some(parameters)) = (&view.dynamic, desired.dynamic.get(KEY)) else {
        return;
    };
    let wanted = Map::from_iter([(KEY.to_owned(), parameters.clone())]);
    if observed.leader
        && view.lies()
        && let Some(patch) = membership::merge_difference(current, &wanted)
    {
        plan.step(
            Step::PatchDynamic(patch),
            "options have changed, and no member runs",
        );
    }
}

/// What the own PostgreSQL lacks to be what it is to be.
fn own_server(plan: &mut Plan, observed: &Observed, desired: &Desired) {
    let Some(own) = observed.own_member() else {
        return;
    };
    let failure = observed.workload.facts().and_then(|f| f.failure.as_ref());
    if let Some(words) = failure.filter(|_| !own.running()) {
        plan.problem(Problem::DoesNotStart(words.clone()));
    }
    let Ok(config) = &desired.config else { return };
    let count = membership::sync_node_count(config.synchronous_node_count(), observed.planned);
    let short = observed.synchronous() < usize::try_from(count).unwrap_or(usize::MAX);
    if own.role == Role::Replica && own.started() && short {
        plan.wait(Waiting::Synchronous, "a timer");
    }
}

fn cluster(plan: &mut Plan, observed: &Observed, desired: &Desired) {
    let Some(peer_data) = &observed.peer_data else {
        return;
    };
    let running = observed
        .workload
        .facts()
        .is_some_and(|f| f.service != ServiceState::Absent);
    let own = observed.own_member();
    if !own.is_some_and(crate::observed::ClusterMember::running) {
        if running || plan.steps.iter().any(|p| p.step == Step::StartServices) {
            plan.wait(Waiting::OwnMember, "Patroni's start callback");
        }
    } else if let Some(own) = own {
        let role = match own.role {
            crate::observed::Role::Leader => "primary",
            crate::observed::Role::StandbyLeader => "standby-leader",
            _ => "replica",
        };
        let waits = if own.pending_restart {
            ", restart pending"
        } else {
            ""
        };
        let standbys = standbys(observed, role);
        // Only the primary's own unit can mend that, and nothing but this wakes it.
        let shut_out = if observed.shut_out { ", shut out" } else { "" };
        let state = format!("{role}{standbys}{waits}{shut_out}");
        if peer_data.announced.as_ref() != Some(&state) {
            plan.step(Step::Announce(state), "the others' view depends on it");
            if own.role == Role::Leader {
                // What is announced may have lasted so briefly that the watcher, which looks every two
                // seconds, has seen nothing of it, and so does not tell of its end.
                plan.wait(Waiting::Standbys, "a timer");
            }
        }
    }
    if own.is_some_and(crate::observed::ClusterMember::running)
        && let Some(Kubernetes::Answers(facts)) = &observed.kubernetes
        && let Some(revision) = &facts.revision
        && peer_data.revision.as_ref() != Some(revision)
    {
        plan.step(
            Step::AnnounceRevision(revision.clone()),
            "the leader lets the next unit be refreshed when this one stands",
        );
    }
    if observed.shut_out {
        plan.wait(Waiting::OperatorPassword, "a timer");
    }
    let Some(view) = &observed.cluster else {
        return;
    };
    if view.primary().is_none() {
        synchronous::left(plan, observed);
        restore(plan, observed, view, desired);
        return plan.wait(Waiting::Primary, "Patroni's role-change callback");
    }
    follow::plan(plan, observed, view);
    synchronous::plan(plan, observed, view);
    dynamic(plan, observed, view, desired);
    if desired.config.is_ok() {
        restarts::plan(plan, observed, view, desired);
    }
    let Some(database) = &observed.database else {
        return;
    };
    let mut statements = if observed.leader {
        roles::statements(database)
    } else {
        roles::password_statements(database)
    };
    // Also by the primary's own unit, which lets such a user in.
    statements.extend(predefined::acting(database));
    if !statements.is_empty() {
        plan.step(
            Step::ChangeDatabase(statements),
            "the charm's roles are not as they must be",
        );
    }
    if observed.leader && !peer_data.initialised {
        plan.step(
            Step::MarkInitialised,
            "a primary leads and has the charm's roles",
        );
    }
}
