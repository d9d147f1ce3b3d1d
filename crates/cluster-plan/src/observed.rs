//! What the charm has looked up before it decides: the facts, and which of them it could not get.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::names::{Member, Names, ServiceKind};

/// Everything that the planner may look at.
#[derive(Debug, Clone)]
pub struct Observed {
    /// Names of application and model.
    pub names: Names,
    /// This unit.
    pub me: Member,
    /// This unit is Juju's leader.
    pub leader: bool,
    /// Juju has told which units there are; else they are those that were known last.
    pub counted: bool,
    /// Units that the operator wants.
    pub planned: u32,
    /// The units of the application that are wanted; some may not have joined yet.
    pub units: BTreeSet<Member>,
    /// The other units of the application that Juju knows.
    pub peers: BTreeSet<Member>,
    /// Units among `peers`, or this one, that are on their way out.
    pub leaving: BTreeSet<Member>,
    /// The peer relation; none before it is made.
    pub peer_data: Option<PeerData>,
    /// System users whose password the application's secret holds; none where it can't be read.
    pub passwords: Option<BTreeSet<SystemUser>>,
    /// The passwords that the operator gives; none where there is no such option, or this unit
    /// does not lead.
    pub given: Option<Given>,
    /// The workload container.
    pub workload: Workload,
    /// The Kubernetes objects; none where this hook does not look.
    pub kubernetes: Option<Kubernetes>,
    /// Patroni's view of the cluster; none when no member answers, or this hook does not look.
    pub cluster: Option<Cluster>,
    /// The database's roles; none where this hook does not look or cannot.
    pub database: Option<Database>,
    /// The primary refused the password that the secret has for `operator`.
    pub shut_out: bool,
    /// Who may be promoted; looked at only where commits wait for a member that does not stream.
    pub sync_key: Option<crate::synchronous::SyncKey>,
    /// Whether the own standby follows the primary; none where it is none, or does not answer.
    pub following: Option<crate::follow::Following>,
    /// Endpoints with a relation that this charm does not serve yet.
    pub unserved_relations: BTreeSet<String>,
    /// Certificates; none before there is an authority to sign any.
    pub tls: Option<crate::tls::TlsFacts>,
}

impl Observed {
    /// The cluster has been bootstrapped, by the application's own word.
    #[must_use]
    pub fn initialised(&self) -> bool {
        self.peer_data.as_ref().is_some_and(|data| data.initialised)
    }

    /// Patroni's service runs.
    #[must_use]
    pub fn patroni_runs(&self) -> bool {
        let facts = self.workload.facts();
        facts.is_some_and(|facts| facts.service == ServiceState::Active)
    }

    /// The member as Patroni sees it.
    #[must_use]
    pub fn own_member(&self) -> Option<&ClusterMember> {
        self.cluster
            .as_ref()?
            .members
            .iter()
            .find(|m| m.member.as_ref() == Some(&self.me))
    }

    /// Members that run: the primary, and standbys that stream from it. Patroni's view of a member
    /// that is lost stays as it was for a while, so where the primary was asked, its word counts.
    #[must_use]
    pub fn standing(&self) -> usize {
        let leads = |member: &ClusterMember| {
            matches!(member.role, Role::Leader | Role::StandbyLeader) && member.running()
        };
        self.members()
            .filter(|member| match &self.database {
                Some(database) => leads(member) || database.streaming.contains_key(&member.name),
                None => member.running(),
            })
            .count()
    }

    /// Standbys that commits wait for and that stream.
    #[must_use]
    pub fn synchronous(&self) -> usize {
        self.members()
            .filter(|member| match &self.database {
                Some(database) => database.streaming.get(&member.name) == Some(&true),
                None => member.role == Role::SyncStandby && member.started(),
            })
            .count()
    }

    fn members(&self) -> impl Iterator<Item = &ClusterMember> {
        self.cluster.iter().flat_map(|cluster| &cluster.members)
    }
}

/// The peer relation's databags, as far as they matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerData {
    /// Application bag `endpoints`.
    pub endpoints: Vec<String>,
    /// Application bag `cluster_initialised`.
    pub initialised: bool,
    /// Unit bag `pgdata` of each unit: what its volume held when it came up.
    pub volumes: BTreeMap<Member, Volume>,
    /// Application bag `restarted`: members that have had their restart in this round.
    pub restarted: BTreeSet<Member>,
    /// Application bag `restart-attempt`: a restart of which no good end is known.
    pub attempt: Option<crate::restarts::Attempt>,
    /// This unit's bag key `disk`: what it last told of its volume.
    pub disk: crate::disk::Note,
    /// The other units' notes of their volumes, as far as this unit knows.
    pub disks: BTreeMap<Member, crate::disk::Note>,
    /// Application bag `storage`: the volumes that the leader has noted.
    pub noted_disks: BTreeMap<Member, crate::disk::Note>,
    /// Application bag `refresh_resumed`: the revision of the pods that the operator has agreed to.
    pub resumed: Option<String>,
    /// Application bag `format`: the form of what the charm keeps.
    pub format: Option<u32>,
    /// This unit's bag key `revision`: what it last told the others of its pod.
    pub revision: Option<String>,
    /// This unit's bag key `member`: what it last told the others of its member.
    pub announced: Option<String>,
    /// Application bag `external-nodes`: nodes by which clients come from outside Kubernetes.
    pub external: BTreeSet<String>,
}

/// What a data directory holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Volume {
    /// Nothing that PostgreSQL left.
    Empty,
    /// A cluster with this system identifier.
    Holds(String),
}

impl Volume {
    /// As it stands in the databag.
    #[must_use]
    pub fn to_bag(&self) -> String {
        match self {
            Self::Empty => "empty".to_owned(),
            Self::Holds(id) => id.clone(),
        }
    }

    /// From the databag; none for what no charm wrote.
    #[must_use]
    pub fn from_bag(text: &str) -> Option<Self> {
        match text {
            "empty" => Some(Self::Empty),
            id if !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()) => {
                Some(Self::Holds(id.to_owned()))
            }
            _ => None,
        }
    }
}

/// Users of the charm itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SystemUser {
    /// pgBackRest's superuser, local only.
    Backup,
    /// Streams the WAL.
    Replication,
    /// Runs `pg_rewind`.
    Rewind,
    /// The charm's superuser.
    Operator,
    /// The exporter.
    Monitoring,
    /// Patroni's REST API; no role in the database.
    Patroni,
}

impl SystemUser {
    /// All, in the order that messages list them.
    pub const ALL: [Self; 6] = [
        Self::Backup,
        Self::Replication,
        Self::Rewind,
        Self::Operator,
        Self::Monitoring,
        Self::Patroni,
    ];

    /// Those whose password the leader makes up.
    pub const GENERATED: [Self; 5] = [
        Self::Replication,
        Self::Rewind,
        Self::Operator,
        Self::Monitoring,
        Self::Patroni,
    ];

    /// Those that are roles in the database.
    pub const ROLES: [Self; 5] = [
        Self::Backup,
        Self::Replication,
        Self::Rewind,
        Self::Operator,
        Self::Monitoring,
    ];

    /// User name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Replication => "replication",
            Self::Rewind => "rewind",
            Self::Operator => "operator",
            Self::Monitoring => "monitoring",
            Self::Patroni => "patroni",
        }
    }

    /// Key in the application's secret.
    #[must_use]
    pub fn secret_key(self) -> String {
        format!("{}-password", self.name())
    }

    /// By user name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|u| u.name() == name)
    }
}

/// The secret of the option `system-users`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// It is not there, or not granted.
    Unreadable(String),
    /// It holds what cannot be taken; why, without any password.
    Wrong(String),
    /// These users have another password so far.
    Passwords(BTreeSet<SystemUser>),
}

/// The workload container.
#[derive(Debug, Clone)]
pub enum Workload {
    /// Pebble does not answer.
    Unreachable(String),
    /// Pebble answers.
    Up(Box<WorkloadFacts>),
}

impl Workload {
    /// The facts, where Pebble answers.
    #[must_use]
    pub fn facts(&self) -> Option<&WorkloadFacts> {
        match self {
            Self::Unreachable(_) => None,
            Self::Up(facts) => Some(facts),
        }
    }
}

/// What Pebble and the container's files tell.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Clone, Default)]
pub struct WorkloadFacts {
    /// Version of PostgreSQL in the image, e.g. `15.18`; none where it can't be found.
    pub postgresql: Option<String>,
    /// Version of Patroni in the image.
    pub patroni: Option<PatroniVersion>,
    /// Major version of PostgreSQL that the data directory is of.
    pub data_major: Option<u32>,
    /// The data directory.
    pub volume: Option<Volume>,
    /// Storage root and data directory stand with the right owner and modes.
    pub storage_ready: bool,
    /// Patroni's configuration could be worked out: options, size and passwords are known.
    pub configured: bool,
    /// Paths whose file differs from the one wanted (content, mode or owner) or is missing.
    pub stale_files: BTreeSet<String>,
    /// How full the volume is; none where that can't be told.
    pub disk: Option<crate::disk::Disk>,
    /// Whether Patroni has been told to read the `patroni.yml` that is wanted.
    pub note: Note,
    /// Parameters that the new `patroni.yml` gives another value.
    pub changes: Vec<crate::outlook::Change>,
    /// The layer in force differs from the one wanted.
    pub layer_stale: bool,
    /// State of the service `postgresql`.
    pub service: ServiceState,
    /// By what Patroni asks Kubernetes.
    pub account: Account,
    /// Why PostgreSQL did not start, in its own words; looked at where it does not run.
    pub failure: Option<String>,
}

/// The note on the volume of the configuration that Patroni was told to read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Note {
    /// It is the one that is wanted, or nothing runs that could read it.
    #[default]
    Fits,
    /// It is another one, or there is none.
    Differs,
}

/// By what Patroni asks Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Account {
    /// By its own account, as far as was looked.
    #[default]
    Own,
    /// By the pod's, where Patroni does not run; where it does, its own account is gone.
    Missing,
}

/// State of a Pebble service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServiceState {
    /// Not in the plan.
    #[default]
    Absent,
    /// In the plan, not running.
    Inactive,
    /// Running.
    Active,
    /// Given up on or waiting to be restarted.
    Failing,
}

/// Version of Patroni.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PatroniVersion {
    /// First number.
    pub major: u32,
    /// Second.
    pub minor: u32,
}

impl PatroniVersion {
    /// From `patroni 3.0.2` or `4.1.4`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = text.split_whitespace().next_back()?;
        let mut parts = number.split('.');
        Some(Self {
            major: parts.next()?.parse().ok()?,
            minor: parts.next()?.parse().ok()?,
        })
    }

    /// The value of the pod label `role` on the leader's pod: since 3.2 it can be chosen
    /// (`leader_label_value`), before that it is always `master`.
    #[must_use]
    pub fn leader_label(self) -> &'static str {
        if self >= (Self { major: 3, minor: 2 }) {
            "primary"
        } else {
            "master"
        }
    }
}

/// What the Kubernetes API tells.
#[derive(Debug, Clone)]
pub enum Kubernetes {
    /// Not permitted: deployed without `--trust`.
    Forbidden(String),
    /// It does not answer, or with an error.
    Failing(String),
    /// It answers.
    Answers(Box<KubernetesFacts>),
}

/// The objects that matter.
#[derive(Debug, Clone, Default)]
pub struct KubernetesFacts {
    /// Own pod's labels lack what Patroni looks for.
    pub labels_missing: bool,
    /// Services that are missing or differ; looked at by the leader only.
    pub stale_services: BTreeSet<ServiceKind>,
    /// Patroni's `initialize` key: the system identifier of the cluster that is registered.
    pub registered: Option<String>,
    /// What Patroni registered is older than this application's StatefulSet.
    pub registered_before_us: bool,
    /// The headless Service that Juju makes stands.
    pub headless: bool,
    /// What the own pod is made from.
    pub revision: Option<String>,
    /// The pods' rolling update; looked at by the leader only.
    pub rollout: Option<crate::refresh::Rollout>,
    /// Own pod's address.
    pub address: Option<String>,
    /// Objects of this application's names that are another's.
    pub foreign: BTreeSet<crate::ownership::Foreign>,
}

/// What Patroni tells of the cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cluster {
    /// Members.
    pub members: Vec<ClusterMember>,
    /// Dynamic configuration, where it was asked for.
    pub dynamic: Option<Value>,
    /// A commit waits for some of the synchronous standbys, whichever answer first.
    pub quorum: bool,
    /// Maintenance mode: Patroni is told to change nothing.
    pub paused: bool,
    /// PostgreSQL's version as a number, e.g. 150018.
    pub server_version: Option<u64>,
    /// The primary's PostgreSQL was asked, and does not answer.
    pub silent: bool,
}

/// A member in `/cluster`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterMember {
    /// Which; none when its name is not one of ours.
    pub member: Option<Member>,
    /// Patroni's name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// State word: `running`, `streaming`, `starting`, ...
    pub state: String,
    /// Timeline.
    pub timeline: Option<u64>,
    /// A parameter waits for a restart.
    pub pending_restart: bool,
}

impl ClusterMember {
    /// PostgreSQL runs there.
    #[must_use]
    pub fn started(&self) -> bool {
        matches!(self.state.as_str(), "running" | "streaming")
    }

    /// PostgreSQL runs there or is about to.
    #[must_use]
    pub fn running(&self) -> bool {
        self.started() || self.state == "starting"
    }
}

/// Role of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Holds the leader lock.
    Leader,
    /// Leads a standby cluster.
    StandbyLeader,
    /// Commits wait for it.
    SyncStandby,
    /// Any other.
    Replica,
}

impl Cluster {
    /// The member that takes writes.
    #[must_use]
    pub fn primary(&self) -> Option<&ClusterMember> {
        self.members.iter().find(|m| m.role == Role::Leader)
    }

    /// No member runs, so none can come to lead by itself.
    #[must_use]
    pub fn lies(&self) -> bool {
        self.primary().is_none() && !self.members.iter().any(ClusterMember::running)
    }

    /// Every member but one has ended, whether it stays or leaves. One that has crashed or hangs may come
    /// back for as long as its pod is there.
    #[must_use]
    pub fn lone(&self) -> bool {
        self.members.iter().filter(|m| m.state != "stopped").count() <= 1
    }

    /// Every member runs and one leads.
    #[must_use]
    pub fn all_ready(&self) -> bool {
        self.members.iter().all(ClusterMember::started)
            && self
                .members
                .iter()
                .any(|m| matches!(m.role, Role::Leader | Role::StandbyLeader))
    }
}

/// What the primary's catalogue tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Database {
    /// Roles by name.
    pub roles: BTreeMap<String, RoleFacts>,
    /// PUBLIC may do nothing in the databases `postgres` and `template1`.
    pub public_revoked: bool,
    /// The schemas that mark the charm's roles are there.
    pub marks: bool,
    /// The server's major version.
    pub major: u32,
    /// Text of the function that makes a database's own roles, as database `postgres` has it.
    pub catalog_roles: Option<String>,
    /// Users that others made and whose sessions do not act yet as they are to.
    pub acting: BTreeSet<crate::predefined::Acting>,
    /// Databases that can be entered, template1 among them, each with its object id.
    pub databases: BTreeMap<String, String>,
    /// Members that stream from the primary, by name, and whether commits wait for them.
    pub streaming: BTreeMap<String, bool>,
    /// Members by name that commits wait for though they do not stream.
    pub awaited: BTreeSet<String>,
    /// Transactions that are prepared.
    pub prepared: u64,
    /// What members run with, by name; looked at where a restart is pending.
    pub settings: BTreeMap<String, crate::restarts::Settings>,
}

/// A role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoleFacts {
    /// May log in.
    pub login: bool,
    /// Superuser.
    pub superuser: bool,
    /// Groups.
    pub member_of: BTreeSet<String>,
    /// The stored verifier fits the password in the secret; none where there is none to compare.
    pub password_fits: Option<bool>,
    /// May connect to the database `postgres` by a grant of its own.
    pub connects_postgres: bool,
    /// Databases in which its sessions begin with settings of its own; empty text for all of them.
    pub settings: BTreeSet<String>,
}
