//! A plan as data: steps in order, each with its reason; what is waited for; what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::disk;
use crate::extensions::ExtensionProblem;
use crate::names::{Member, ServiceKind};
use crate::observed::{SystemUser, Volume};
use crate::ownership::Foreign;
use crate::restarts::Attempt;
use crate::roles::Statement;
use crate::synchronous::SyncKey;
use crate::tls::TlsStep;

/// One effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make up passwords, where none are given, and keep them in the application's secret.
    StorePasswords(Vec<SystemUser>),
    /// Take the passwords of the operator's secret into the application's.
    TakePasswords(BTreeSet<SystemUser>),
    /// Write the application bag's `endpoints`.
    PublishEndpoints(Vec<String>),
    /// Tell the other units what the volume held when this unit came up.
    PublishVolume(Volume),
    /// Tell the other units of a change of this unit's member, which wakes them.
    Announce(String),
    /// Tell the leader how full this unit's volume is.
    PublishDisk(disk::Note),
    /// Write the application bag's `storage`.
    NoteDisks(BTreeMap<Member, disk::Note>),
    /// Write the application bag's `cluster_initialised`.
    MarkInitialised,
    /// Tell Juju the version of the workload.
    PublishVersion(String),
    /// Remove what an earlier application of this name left in Kubernetes.
    RemoveLeftovers,
    /// Put Patroni's labels on the own pod.
    LabelPod,
    /// Create or repair a Service.
    ApplyService(ServiceKind),
    /// Take back what this application has written into a Service that has become another's.
    ReleaseService(String),
    /// Create Juju's headless Service anew.
    ApplyHeadless,
    /// Make an account in Kubernetes for the own pod's Patroni, and hide the pod's own.
    GivePatroniAccount,
    /// Make that account anew, as somebody has deleted it, and restart Patroni, which reads it once.
    RenewPatroniAccount,
    /// Make the directories on the volume, with owner and mode.
    PrepareStorage,
    /// Push a file.
    PushFile(String),
    /// Add the Pebble layer.
    SetLayer,
    /// Start the services that the layer enables.
    StartServices,
    /// Let Patroni read its file again.
    ReloadPatroni,
    /// Note on the volume which `patroni.yml` Patroni has been told to read.
    NoteRead,
    /// Restart a member's PostgreSQL.
    RestartMember(Member),
    /// Give up the own member's data for a new copy of the primary's.
    Reinitialise,
    /// Tell the other units what this unit's pod is made from, which wakes them.
    AnnounceRevision(String),
    /// Let Kubernetes replace pods from this ordinal on.
    SetPartition(u32),
    /// The same for the next refresh, as the charm's own guard.
    GuardRefresh(u32),
    /// Write the application bag's `format`.
    NoteFormat(u32),
    /// Write the application bag's `restarted`.
    NoteRestarted(BTreeSet<Member>),
    /// Write the application bag's `restart-attempt`, or remove it.
    NoteAttempt(Option<Attempt>),
    /// Change Patroni's dynamic configuration by this merge patch.
    PatchDynamic(Value),
    /// Write Patroni's key of synchronous standbys, so that it sets them anew.
    RemindPatroni(SyncKey),
    /// Run statements in the primary's database.
    ChangeDatabase(Vec<Statement>),
    /// An effect of certificates alone.
    Tls(TlsStep),
}

impl Step {
    /// Whether it spreads what is in a secret: that has to be what the secret holds now.
    #[must_use]
    pub fn follows_secrets(&self) -> bool {
        matches!(
            self,
            Self::StorePasswords(_)
                | Self::TakePasswords(_)
                | Self::PushFile(_)
                | Self::ChangeDatabase(_)
                | Self::Tls(_)
        )
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StorePasswords(users) => {
                let names: Vec<_> = users.iter().map(|u| u.name()).collect();
                write!(f, "make up passwords of {}", names.join(", "))
            }
            Self::TakePasswords(users) => {
                let names: Vec<_> = users.iter().map(|u| u.name()).collect();
                write!(f, "take the given passwords of {}", names.join(", "))
            }
            Self::PublishEndpoints(hosts) => write!(f, "publish the members {}", hosts.join(", ")),
            Self::PublishVolume(Volume::Empty) => f.write_str("publish that the volume is empty"),
            Self::PublishVolume(Volume::Holds(id)) => {
                write!(f, "publish that the volume holds cluster {id}")
            }
            Self::Announce(state) => write!(f, "announce to the other units: {state}"),
            Self::PublishDisk(note) => match note.level {
                disk::Level::Fine => f.write_str("tell the leader that the volume has room"),
                _ => write!(
                    f,
                    "tell the leader that the volume is {} % full",
                    note.percent
                ),
            },
            Self::NoteDisks(notes) if notes.is_empty() => {
                f.write_str("note that every volume has room")
            }
            Self::NoteDisks(notes) => write!(f, "note volumes: {}", disk::to_bag(notes)),
            Self::Reinitialise => f.write_str("reinitialise the own member"),
            Self::AnnounceRevision(revision) => {
                write!(f, "announce to the other units: made from {revision}")
            }
            Self::SetPartition(ordinal) => {
                write!(
                    f,
                    "let Kubernetes replace the pods from ordinal {ordinal} on"
                )
            }
            Self::GuardRefresh(ordinal) => write!(
                f,
                "have Kubernetes begin a refresh with the pods from ordinal {ordinal} on alone"
            ),
            Self::NoteFormat(format) => write!(f, "note that all is kept in form {format}"),
            Self::MarkInitialised => f.write_str("mark the cluster as initialised"),
            Self::PublishVersion(version) => write!(f, "publish workload version {version}"),
            Self::RemoveLeftovers => {
                f.write_str("remove Patroni's objects of an earlier application of this name")
            }
            Self::LabelPod => f.write_str("label the pod for Patroni"),
            Self::ApplyService(kind) => write!(f, "apply the {kind} Service"),
            Self::ReleaseService(name) => write!(f, "take back what is ours in Service {name}"),
            Self::ApplyHeadless => f.write_str("make the headless Service anew"),
            Self::GivePatroniAccount => f.write_str("give Patroni a Kubernetes account of its own"),
            Self::RenewPatroniAccount => {
                f.write_str("make Patroni's Kubernetes account anew and restart Patroni")
            }
            Self::PrepareStorage => f.write_str("prepare the directories on the volume"),
            Self::PushFile(path) => write!(f, "push {path}"),
            Self::SetLayer => f.write_str("set the Pebble layer"),
            Self::StartServices => f.write_str("start the services"),
            Self::ReloadPatroni => f.write_str("reload Patroni"),
            Self::NoteRead => f.write_str("note which configuration Patroni has read"),
            Self::Tls(step) => step.fmt(f),
            Self::RestartMember(member) => write!(f, "restart PostgreSQL of {}", member.unit()),
            Self::NoteRestarted(members) if members.is_empty() => {
                f.write_str("end the round of restarts")
            }
            Self::NoteRestarted(members) => {
                let units: Vec<_> = members.iter().map(Member::unit).collect();
                write!(f, "note the restart of {}", units.join(", "))
            }
            Self::NoteAttempt(None) => f.write_str("forget that a restart had not ended well"),
            Self::NoteAttempt(Some(attempt)) => {
                write!(
                    f,
                    "note that the restart of {} failed",
                    attempt.member.unit()
                )
            }
            Self::PatchDynamic(patch) => {
                write!(f, "patch Patroni's dynamic configuration: {patch}")
            }
            Self::RemindPatroni(key) => write!(
                f,
                "let Patroni set its synchronous standbys anew (/sync: {})",
                key.standbys()
            ),
            Self::ChangeDatabase(statements) => {
                let notes: Vec<_> = statements.iter().map(|s| s.note.as_str()).collect();
                write!(f, "in the database: {}", notes.join("; "))
            }
        }
    }
}

/// A step and why it is taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// What.
    pub step: Step,
    /// Why.
    pub why: String,
}

/// Something that is not done now, and what will bring the charm back to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// What is waited for.
    pub for_what: Waiting,
    /// What wakes this unit.
    pub woken_by: &'static str,
}

impl Wait {
    /// Whether its end comes without an event, so that the charm has to look again.
    #[must_use]
    pub fn passes_by_itself(&self) -> bool {
        matches!(
            self.for_what,
            Waiting::Settings | Waiting::Synchronous | Waiting::Standbys
        )
    }
}

/// What can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waiting {
    /// The peer relation is not made yet.
    PeerRelation,
    /// The leader has not stored the passwords yet.
    Passwords,
    /// The database has another password of `operator` than the secret.
    OperatorPassword,
    /// Pebble in the workload container does not answer.
    Pebble,
    /// The own member has not started.
    OwnMember,
    /// A member is missing or does not run.
    AllMembers,
    /// What members run with is not known, or one has not read its new configuration.
    Settings,
    /// Fewer standbys are synchronous than are to be.
    Synchronous,
    /// Other standbys stream than were announced last.
    Standbys,
    /// A new copy of the primary's data.
    Copy,
    /// A unit that is being refreshed.
    Refreshed,
    /// An authority of certificates is on its way in or out.
    Authority,
    /// Patroni's REST API serving the new certificate.
    Certificate,
    /// No primary is known.
    Primary,
    /// No cluster exists yet: the leader bootstraps it.
    Bootstrap,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PeerRelation => "the peer relation",
            Self::Passwords => "the leader's passwords",
            Self::OperatorPassword => {
                "the primary's unit to give operator the password of the secret"
            }
            Self::Pebble => "Pebble in the workload container",
            Self::OwnMember => "this unit's member to start",
            Self::AllMembers => "all members to run, before the next restart",
            Self::Settings => {
                "all members to know their new configuration, before the next restart"
            }
            Self::Synchronous => "the own standby to be synchronous",
            Self::Standbys => "a second look at the standbys",
            Self::Copy => "a new copy of the primary's data",
            Self::Refreshed => "the refreshed unit to stand, before the next one",
            Self::Authority => "every unit to know the new authority",
            Self::Certificate => "Patroni to look for its new certificate",
            Self::Primary => "a primary",
            Self::Bootstrap => "the leader to bootstrap the cluster",
        })
    }
}

/// Something wrong that only a person, or the passing of an outage, can mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The Kubernetes API refuses: no `--trust`.
    Untrusted,
    /// The Kubernetes API does not answer as it should.
    Kubernetes(String),
    /// A Service could not be applied.
    Services,
    /// An object of a name that this application needs is another's.
    Foreign(Foreign),
    /// The application's name is longer than Kubernetes takes: at most so many characters.
    NameTooLong(usize),
    /// The pod could not be labelled.
    PodLabels(String),
    /// Options with values that are not allowed: option, value and range of each.
    Options(Vec<String>),
    /// The volume holds another cluster than the one that is registered.
    ForeignVolume {
        /// System identifier on the volume.
        holds: String,
        /// System identifier of the cluster.
        cluster: String,
    },
    /// The volume is of another major version of PostgreSQL than the image's.
    OtherMajor {
        /// The volume's.
        volume: u32,
        /// The image's.
        image: String,
    },
    /// What the application keeps is in this form, which this revision can't read.
    Format(u32),
    /// The leader's volume is empty while this member's one holds a cluster.
    EmptyLeaderVolume {
        /// A member whose volume holds data.
        member: String,
    },
    /// The image lacks what the charm runs.
    Image(String),
    /// Juju's headless Service is gone.
    HeadlessService(String),
    /// A relation that this charm does not serve yet.
    UnservedRelation(String),
    /// The relation `certificates` gives none that can be used.
    Certificates(String),
    /// An application hands over what is no authority: the relation and why.
    Authority(String),
    /// A client's request that cannot be served, or has changed what cannot change.
    Client {
        /// Id of the relation.
        relation: String,
        /// Why, in words for the operator.
        why: String,
    },
    /// A client's request that is served as soon as something is there.
    ClientWaits {
        /// Id of the relation.
        relation: String,
        /// For what, in words for the operator.
        why: String,
    },
    /// A client's user whose relation is gone, and that the database does not let go.
    ClientLeft {
        /// The user.
        user: String,
        /// The database's words.
        why: String,
    },
    /// Clients by `database` and by the legacy interface at once.
    MixedClients,
    /// The own volume is so full that the database only reads.
    StorageFull {
        /// Used.
        percent: u8,
        /// Below this it is over.
        release: u8,
        /// What fills it.
        filled_by: String,
    },
    /// The secret of the option `system-users` cannot be read: its id.
    SecretUnreadable(String),
    /// The secret of the option `system-users` holds what cannot be taken.
    SecretWrong(String),
    /// The own member needs WAL that the primary has removed, and must keep its data for now.
    CannotFollow {
        /// From where on.
        at: String,
        /// Why it keeps its data.
        why: &'static str,
    },
    /// The own member has what the primary has not.
    Diverged {
        /// The own member's timeline.
        timeline: u32,
        /// Where they part.
        from: String,
        /// Patroni has not been able to rewind it, or does not try, as both are of one timeline.
        stays: bool,
    },
    /// Nobody leads, and the units that may be promoted have been removed: these.
    NobodyMayLead(Vec<String>),
    /// Extensions that cannot be had as their options say.
    Extension(ExtensionProblem),
    /// The own PostgreSQL does not start: its own words.
    DoesNotStart(String),
    /// This unit's PostgreSQL did not come back from a restart, or not as the primary that it was.
    RestartFailed(String),
    /// More transactions are prepared than the primary would start with.
    Prepared {
        /// So many are.
        prepared: u64,
        /// For so many there would be room.
        wanted: u64,
    },
}

impl Problem {
    /// Whether its end comes without an event of Juju's, so that the charm has to look again.
    #[must_use]
    pub fn passes_by_itself(&self) -> bool {
        match self {
            Self::Kubernetes(_)
            | Self::ClientWaits { .. }
            | Self::Services
            | Self::PodLabels(_)
            | Self::HeadlessService(_)
            // Who removes it, or ends what holds it, does not tell us.
            | Self::Foreign(_)
            | Self::ClientLeft { .. }
            // Patroni, other members or a person may change that, and nobody tells.
            | Self::CannotFollow { .. }
            | Self::Diverged { .. }
            | Self::NobodyMayLead(_)
            | Self::DoesNotStart(_)
            | Self::RestartFailed(_)
            | Self::Prepared { .. }
            // A grant gives no event.
            | Self::SecretUnreadable(_)
            | Self::Untrusted => true,
            Self::Options(_)
            | Self::ForeignVolume { .. }
            | Self::OtherMajor { .. }
            | Self::Format(_)
            | Self::NameTooLong(_)
            | Self::EmptyLeaderVolume { .. }
            | Self::Image(_)
            | Self::Certificates(_)
            | Self::Authority(_)
            | Self::UnservedRelation(_)
            | Self::Client { .. }
            | Self::MixedClients
            | Self::SecretWrong(_)
            | Self::StorageFull { .. }
            | Self::Extension(_) => false,
        }
    }
}

/// What a unit should do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Volumes that are filling, of all members as far as is known.
    pub disks: BTreeMap<Member, disk::Note>,
    /// What the steps will mean, where they change parameters, and what a person can do.
    pub outlook: Vec<String>,
    /// In this order.
    pub steps: Vec<Planned>,
    /// What is left for later.
    pub waits: Vec<Wait>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Plan {
    /// Adds a step.
    pub fn step(&mut self, step: Step, why: impl Into<String>) {
        self.steps.push(Planned {
            step,
            why: why.into(),
        });
    }

    /// Leaves something for later.
    pub fn wait(&mut self, for_what: Waiting, woken_by: &'static str) {
        if !self.waits.iter().any(|w| w.for_what == for_what) {
            self.waits.push(Wait { for_what, woken_by });
        }
    }

    /// Notes a problem.
    pub fn problem(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

/// As the log shows it: a line a step.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.outlook {
            writeln!(f, "{line}")?;
        }
        for planned in &self.steps {
            writeln!(f, "do: {} ({})", planned.step, planned.why)?;
        }
        for wait in &self.waits {
            writeln!(
                f,
                "wait: for {} (woken by {})",
                wait.for_what, wait.woken_by
            )?;
        }
        for problem in &self.problems {
            writeln!(f, "problem: {problem:?}")?;
        }
        Ok(())
    }
}
