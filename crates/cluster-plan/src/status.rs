//! What Juju shows of a unit and of the application: the one place where statuses are decided.

use serde_json::Value;

use crate::disk::Level;
use crate::observed::{Observed, Role};
use crate::plan::{Plan, Problem, Waiting};
use crate::{clients, follow, refresh, synchronous};

const COPY: &str = "taking a new copy of the primary's data";
const MEMBER_STARTS: &str = "awaiting for member to start";
const CLUSTER_STARTS: &str = "awaiting for cluster to start";
const NO_PRIMARY: &str = "awaiting for primary endpoint to be ready";
const FOLLOWS_ALONE: &str = "awaiting to become a synchronous standby";
/// Patroni's word for a member that does so.
const COPIES: &str = "creating replica";

/// A workload status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// All is well.
    Active(String),
    /// Goes on by itself.
    Waiting(String),
    /// Needs a person.
    Blocked(String),
}

impl Status {
    /// Juju's word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Active(_) => "active",
            Self::Waiting(_) => "waiting",
            Self::Blocked(_) => "blocked",
        }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Active(message) | Self::Waiting(message) | Self::Blocked(message) => message,
        }
    }
}

/// What a unit says that has nothing to wait for but its member.
#[must_use]
pub fn starting() -> [Status; 3] {
    [MEMBER_STARTS, CLUSTER_STARTS, COPY].map(|message| Status::Waiting(message.to_owned()))
}

/// The statuses that follow from the facts and from what the plan could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses {
    /// This unit's.
    pub unit: Status,
    /// The application's; only a leader sets it.
    pub application: Option<Status>,
}

/// Decides both statuses.
#[must_use]
pub fn judge(observed: &Observed, plan: &Plan) -> Statuses {
    let problem = foremost(observed, plan);
    let application = observed.leader.then(|| match &problem {
        Some(Status::Blocked(message)) if app_wide(&plan.problems) => {
            Status::Blocked(message.clone())
        }
        _ => match observed
            .cluster
            .as_ref()
            .and_then(|cluster| cluster.primary())
        {
            Some(primary) if !primary.started() || silent(observed) => {
                Status::Waiting(NO_PRIMARY.into())
            }
            Some(_) => {
                let stuck = synchronous::stuck(plan);
                let guarantee = if stuck {
                    "writes wait for a standby that has gone: Patroni is told".into()
                } else {
                    guarantee(observed)
                };
                let stands = refresh::tell(observed, &guarantee).unwrap_or_else(|| {
                    if stuck {
                        Status::Waiting(guarantee)
                    } else {
                        promise(observed, guarantee)
                    }
                });
                storage(plan, stands)
            }
            None => Status::Waiting(NO_PRIMARY.into()),
        },
    });
    Statuses {
        unit: problem.unwrap_or_else(|| unit(observed, plan)),
        application,
    }
}

/// The problem that comes first, and how many more there are. Clients' problems are told together.
fn foremost(observed: &Observed, plan: &Plan) -> Option<Status> {
    let standing: Vec<&Problem> = plan
        .problems
        .iter()
        .filter(|problem| stands(problem, observed))
        .collect();
    let (first, rest) = standing.split_first()?;
    let told = text(first, observed);
    if rest.is_empty() {
        return Some(told);
    }
    let clients: Vec<&str> = standing.iter().filter_map(|p| client(p)).collect();
    let mut blocked = matches!(told, Status::Blocked(_));
    let message = if clients.len() == standing.len() {
        blocked = standing
            .iter()
            .any(|problem| matches!(text(problem, observed), Status::Blocked(_)));
        let names = format!(
            "{} clients have problems: {}",
            clients.len(),
            clients.join(", ")
        );
        format!("{}, see the log", cut(&names, MOST - 14))
    } else {
        format!("{}; {} more: see the log", told.message(), rest.len())
    };
    Some(if blocked {
        Status::Blocked(message)
    } else {
        Status::Waiting(message)
    })
}

/// What each problem says by itself, where the status cannot say all of them.
#[must_use]
pub fn each(observed: &Observed, plan: &Plan) -> Vec<String> {
    let standing = plan.problems.iter().filter(|p| stands(p, observed));
    let all: Vec<String> = standing
        .map(|problem| match problem {
            // Whole, as the status may have no room for it.
            Problem::ClientLeft { user, why } => format!("user {user} stays: {why}"),
            other => text(other, observed).message().to_owned(),
        })
        .collect();
    if all.len() > 1 { all } else { Vec::new() }
}

/// The relation or the user that a client's problem is about.
fn client(problem: &Problem) -> Option<&str> {
    match problem {
        Problem::Client { relation, .. } | Problem::ClientWaits { relation, .. } => Some(relation),
        Problem::ClientLeft { user, .. } => Some(user),
        _ => None,
    }
}

/// The primary was asked, and does not answer: Patroni's view of it is one of the past.
fn silent(observed: &Observed) -> bool {
    observed.cluster.as_ref().is_some_and(|view| view.silent)
}

/// How many standbys commits shall wait for; a hook that has not asked does not know.
fn promised(observed: &Observed) -> Option<usize> {
    let dynamic = observed.cluster.as_ref()?.dynamic.as_ref()?;
    let count = dynamic.get("synchronous_node_count")?.as_u64()?;
    let most = usize::try_from(observed.planned).unwrap_or(usize::MAX);
    Some(usize::try_from(count).ok()?.min(most.saturating_sub(1)))
}

/// Active only where as many standbys are synchronous as shall be.
fn promise(observed: &Observed, guarantee: String) -> Status {
    match promised(observed) {
        Some(promised) if observed.synchronous() < promised => {
            Status::Waiting(match observed.synchronous() {
                0 => guarantee,
                n => format!("commits wait for {n} of {promised} standbys"),
            })
        }
        _ => Status::Active(guarantee),
    }
}

/// Whether a problem is what the unit has to show. A member that runs goes on running without the
/// Kubernetes API (Patroni's failsafe mode), so its role is what counts; the log has the rest.
fn stands(problem: &Problem, observed: &Observed) -> bool {
    let running = observed
        .own_member()
        .is_some_and(crate::observed::ClusterMember::running);
    !(running && matches!(problem, Problem::Kubernetes(_)))
}

/// Whether this unit's member does not stream, the database refuses it, or its status tells of members that are missing or not
/// synchronous yet: it is the leader's or the primary's, which speak for the cluster.
#[must_use]
pub fn incomplete(observed: &Observed) -> bool {
    let Some(view) = &observed.cluster else {
        // A Patroni that begins to answer calls nobody.
        return observed.patroni_runs() && observed.initialised();
    };
    let own = observed.own_member();
    // Of one that does not start nobody tells either.
    let down = observed.initialised() && own.is_some_and(|own| !own.started());
    if down || follow::lags(observed) || observed.shut_out {
        return true;
    }
    let leads = view.primary().and_then(|m| m.member.as_ref()) == Some(&observed.me);
    let planned = usize::try_from(observed.planned).unwrap_or(usize::MAX);
    // A policy may want fewer synchronous standbys than there are; those it wants are told in the
    // dynamic configuration, where this hook has looked.
    let wanted = promised(observed)
        .unwrap_or(1)
        .min(planned.saturating_sub(1));
    // Once those that leave have ended the policy follows, and nobody tells of that.
    let leaving = view.members.len() > planned;
    let database = observed.database.as_ref();
    let awaits = database.is_some_and(|database| !database.awaited.is_empty());
    (observed.leader || leads)
        && (view.silent
            || observed.standing() < planned
            || observed.synchronous() < wanted
            || leaving
            || awaits)
}

/// What a commit waits for right now: the guarantee that holds if the primary is lost.
fn guarantee(observed: &Observed) -> String {
    let view = observed.cluster.as_ref();
    let synchronous = observed.synchronous();
    let dynamic = |key: &str| view.and_then(|view| view.dynamic.as_ref()?.get(key));
    let strict = dynamic("synchronous_mode_strict").and_then(Value::as_bool);
    let strict = strict.unwrap_or(true);
    // Of a quorum, whichever so many answer first.
    let any = dynamic("synchronous_node_count").and_then(Value::as_u64);
    let any = any.and_then(|count| usize::try_from(count).ok());
    if synchronous > 1 && view.is_some_and(|view| view.quorum) {
        match any {
            Some(any) if any >= synchronous => {}
            Some(any) => return format!("commits wait for any {any} of {synchronous} standbys"),
            // A hook that has not asked.
            None => return format!("commits wait for some of {synchronous} standbys"),
        }
    }
    match (synchronous, observed.planned) {
        (0, 1) => String::new(),
        (0, _) if strict => "writes wait: no standby is synchronous".into(),
        (0, _) => {
            "commits wait for no standby: losing the primary may lose the last of them".into()
        }
        (1, _) => "commits wait for 1 standby".into(),
        (n, _) => format!("commits wait for {n} standbys"),
    }
}

/// The same status with what the leader tells of volumes that are filling, foremost of the fullest one.
/// A full one comes first; one that is filling must not hide what else is wrong.
fn storage(plan: &Plan, stands: Status) -> Status {
    let disks = plan.disks.iter();
    let Some((member, note)) = disks.max_by_key(|(_, note)| (note.level, note.percent)) else {
        return stands;
    };
    let told = format!("storage of {} is {} % full", member.unit(), note.percent);
    let beside = |message: String| match message.as_str() {
        "" => told.clone(),
        _ => format!("{message}, {told}"),
    };
    match (note.level, stands) {
        (Level::Full, _) => Status::Blocked(format!("{told}: the database only reads")),
        (_, Status::Active(message)) => Status::Active(beside(message)),
        (_, Status::Waiting(message)) => Status::Waiting(beside(message)),
        (_, blocked @ Status::Blocked(_)) => blocked,
    }
}

fn app_wide(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| {
        matches!(
            problem,
            Problem::Untrusted
                | Problem::Options(_)
                | Problem::Extension(_)
                | Problem::SecretUnreadable(_)
                | Problem::SecretWrong(_)
                | Problem::UnservedRelation(_)
                | Problem::HeadlessService(_)
                | Problem::Foreign(_)
                | Problem::NameTooLong(_)
                | Problem::Format(_)
                | Problem::OtherMajor { .. }
                | Problem::NobodyMayLead(_)
                | Problem::RestartFailed(_)
                | Problem::Prepared { .. }
        )
    })
}

fn unit(observed: &Observed, plan: &Plan) -> Status {
    let waits = |what: Waiting| plan.waits.iter().any(|wait| wait.for_what == what);
    if waits(Waiting::PeerRelation) {
        return Status::Waiting("waiting for the peer relation".into());
    }
    if waits(Waiting::Pebble) {
        return Status::Waiting("waiting for Pebble in container postgresql".into());
    }
    if waits(Waiting::Passwords) {
        return Status::Waiting("waiting for the leader's passwords".into());
    }
    if waits(Waiting::Copy) {
        return Status::Waiting(COPY.into());
    }
    let Some(own) = observed.own_member().filter(|own| own.started()) else {
        let initialised = observed.initialised();
        let copies = observed.own_member().is_some_and(|own| own.state == COPIES);
        return Status::Waiting(
            if initialised && copies {
                COPY
            } else if initialised {
                MEMBER_STARTS
            } else {
                CLUSTER_STARTS
            }
            .into(),
        );
    };
    let role = match own.role {
        Role::Leader => "Primary",
        Role::StandbyLeader => "Standby",
        Role::SyncStandby | Role::Replica if follow::stays_away(observed) => {
            return Status::Waiting("its standby does not stream from the primary".into());
        }
        Role::Replica if waits(Waiting::Synchronous) => {
            return Status::Waiting(FOLLOWS_ALONE.into());
        }
        Role::SyncStandby | Role::Replica => return Status::Active(filling(observed, plan)),
    };
    let degraded = observed.standing() < usize::try_from(observed.planned).unwrap_or(usize::MAX);
    let mut message = role.to_owned();
    if degraded {
        message.push_str(" (degraded)");
    }
    if plan
        .problems
        .iter()
        .any(|problem| matches!(problem, Problem::Kubernetes(_)))
    {
        message.push_str(" (Kubernetes API fails)");
    }
    let filling = filling(observed, plan);
    if !filling.is_empty() {
        message.push_str(", ");
        message.push_str(&filling);
    }
    Status::Active(message)
}

fn too_long(app: &str, most: usize) -> String {
    let long = app.len();
    format!("the application's name has {long} characters, deploy it with {most} at most")
}

/// That the own volume is filling, and what fills it.
fn filling(observed: &Observed, plan: &Plan) -> String {
    let disk = observed.workload.facts().and_then(|f| f.disk.as_ref());
    match (plan.disks.get(&observed.me), disk) {
        (Some(_), Some(disk)) => format!("storage {} % full: {}", disk.percent, disk.filled_by),
        _ => String::new(),
    }
}

/// PostgreSQL's words, as far as they fit.
fn short(words: &str) -> String {
    cut(words, 80)
}

/// As many characters of a text, and a sign where some are missing.
fn cut(words: &str, most: usize) -> String {
    let mut text: String = words.chars().take(most).collect();
    if text.len() < words.len() {
        text.push('…');
    }
    text
}

/// Characters that a status has room for.
const MOST: usize = 70;

/// What is wrong and why; where there is no room for all of it, the log has the rest.
fn fitting(what: &str, why: &str) -> String {
    let whole = format!("{what}: {why}");
    if whole.chars().count() <= MOST {
        return whole;
    }
    format!("{}, see the log", cut(&whole, MOST - 14))
}

/// What keeps a server from starting, or would.
fn start(problem: &Problem) -> String {
    match problem {
        Problem::DoesNotStart(words) => format!("PostgreSQL does not start: {}", short(words)),
        Problem::RestartFailed(unit) => {
            format!(
                "restart of {unit} failed, others wait: see its log, or change the options back"
            )
        }
        Problem::Prepared { prepared, wanted } => format!(
            "memory_max_prepared_transactions={wanted} waits: end {prepared} prepared transaction(s)"
        ),
        _ => String::new(),
    }
}

/// The peer charm's words for it, which others compare with as a whole; what they leave out, the log and
/// the client's databag say.
fn peers_words(why: &str) -> Option<&'static str> {
    let words = [clients::INVALID_ROLES, clients::INVALID_DATABASE];
    words.into_iter().find(|words| why.starts_with(words))
}

fn text(problem: &Problem, observed: &Observed) -> Status {
    let app = observed.names.app();
    Status::Blocked(match problem {
        Problem::Untrusted => {
            format!("Insufficient permissions, try: `juju trust {app} --scope=cluster`")
        }
        Problem::Kubernetes(why) => {
            return Status::Waiting(format!("Kubernetes API fails, trying again: {why}"));
        }
        Problem::Foreign(foreign) => foreign.to_string(),
        Problem::NameTooLong(most) => too_long(app, *most),
        Problem::Services => "failed to create k8s services".into(),
        Problem::PodLabels(why) => format!("failed to patch pod with error {why}"),
        Problem::Options(errors) => format!("Configuration Error: {}", errors.join("; ")),
        Problem::ForeignVolume { holds, cluster } => format!(
            "volume holds another cluster ({holds}, not {cluster}): remove this unit with its \
             storage, or deploy that storage as an application of its own"
        ),
        Problem::OtherMajor { volume, image } => format!(
            "volume is of PostgreSQL {volume}, the image has {image}: juju refresh to a revision \
             with PostgreSQL {volume}"
        ),
        Problem::Format(format) => format!(
            "what {app} keeps is in form {format}, this revision reads {} to {}: juju refresh to \
             the revision that the other units run",
            refresh::OLDEST_FORMAT,
            refresh::FORMAT
        ),
        Problem::EmptyLeaderVolume { member } => format!(
            "leader's volume is empty but {member} holds a cluster: remove this unit, {member} \
             then leads"
        ),
        Problem::Image(what) => format!("the workload image has no {what}"),
        Problem::HeadlessService(name) => format!(
            "Service {name} is gone: members cannot reach each other until the leader makes it again"
        ),
        Problem::Certificates(why) => format!("relation certificates: {why}"),
        Problem::Authority(why) => format!("relation {why}"),
        Problem::UnservedRelation(endpoint) => {
            format!("relation {endpoint} is not served by this revision yet: remove it")
        }
        Problem::Client { relation, why } => match peers_words(why) {
            Some(words) => words.to_owned(),
            None => format!("relation {relation}: {why}"),
        },
        Problem::ClientLeft { user, why } => fitting(&format!("user {user} stays"), why),
        Problem::ClientWaits { relation, why } => {
            return Status::Waiting(format!("relation {relation} waits: {why}"));
        }
        Problem::StorageFull {
            percent,
            release,
            filled_by,
        } => format!(
            "storage {percent} % full, the database only reads until it is below {release} %: \
             {filled_by}: make room (BEGIN READ WRITE works) or grow the volume"
        ),
        Problem::CannotFollow { at, why } => {
            return Status::Waiting(format!(
                "cannot follow: the primary has removed the WAL from {at} on; data is kept, because {why}"
            ));
        }
        Problem::Diverged {
            timeline,
            from,
            stays: true,
        } => format!(
            "has data that the primary lacks (timeline {timeline} from {from} on) and cannot be rewound: \
             save it, or give it up by the command in the log"
        ),
        Problem::Diverged { timeline, from, .. } => {
            return Status::Waiting(format!(
                "has data that the primary lacks (timeline {timeline} from {from} on): Patroni rewinds it"
            ));
        }
        Problem::NobodyMayLead(units) => format!(
            "no unit can become primary, {} had the newest data: add units until it is back with its \
             storage, or go on without it (the log has the command)",
            units.join(" or ")
        ),
        Problem::SecretUnreadable(id) => format!(
            "cannot read the secret of option system-users, try: `juju grant-secret {id} {app}`"
        ),
        Problem::SecretWrong(why) => {
            format!("the secret of option system-users {why}: update it, or reset the option")
        }
        Problem::Extension(problem) => problem.to_string(),
        Problem::DoesNotStart(_) | Problem::RestartFailed(_) | Problem::Prepared { .. } => {
            start(problem)
        }
        Problem::MixedClients => {
            "Please choose one endpoint to use. No need to relate all of them \
             simultaneously!"
                .into()
        }
    })
}
