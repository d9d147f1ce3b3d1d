//! Application: carries out a plan's steps, in order, through the ports.

mod tls;
mod workload;

pub(crate) use workload::run;

use cluster_plan::names::{Member, ServiceKind};
use cluster_plan::observed::SystemUser;
use cluster_plan::ownership::Foreign;
use cluster_plan::plan::{Plan, Problem, Step};
use cluster_plan::restarts::Attempt;
use cluster_plan::roles::{self, Sql, Statement};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::juju_port::{Bag, JujuError, JujuPort};
use crate::observe::juju::JujuFacts;
use crate::observe::{self, Observation, database};
use crate::ports::{Kubernetes, PortError, PortResult, Ports, Restarted, patroni_labels};
use crate::{scram, services};

/// Key of the application bag for a restart of which no good end is known.
pub const ATTEMPT: &str = "restart-attempt";

/// Why a plan stopped.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Juju refused: the hook fails and is repeated.
    #[error("cannot {0}")]
    Juju(String, #[source] JujuError),
}

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// Problems that showed themselves on the way.
    pub problems: Vec<Problem>,
    /// Steps that had their effect.
    pub done: usize,
    /// The plan was left after a step that failed; what is left is planned again next time.
    pub stopped: bool,
}

/// Carries out a plan. A step that fails outside Juju ends it: what follows may depend on it, and
/// the next hook plans anew.
///
/// # Errors
/// When Juju itself refuses something.
pub fn apply(
    plan: &Plan,
    observation: &Observation,
    facts: &mut JujuFacts,
    juju: &dyn JujuPort,
    ports: &Ports<'_>,
) -> Result<Applied, ApplyError> {
    let mut applied = Applied::default();
    let mut apply = Apply {
        observation,
        facts,
        juju,
        ports,
    };
    for planned in &plan.steps {
        tracing::info!("{} ({})", planned.step, planned.why);
        match apply.step(&planned.step) {
            Ok(()) => applied.done += 1,
            Err(StepError::Juju(source)) => {
                return Err(ApplyError::Juju(planned.step.to_string(), source));
            }
            Err(StepError::Port(error)) => {
                tracing::warn!("cannot {}: {}", planned.step, error.chain());
                applied
                    .problems
                    .extend(problem(&planned.step, &error, observation));
                applied.stopped = true;
                break;
            }
        }
    }
    Ok(applied)
}

/// What a failed step means for the status, beyond being tried again.
fn problem(step: &Step, error: &PortError, observation: &Observation) -> Option<Problem> {
    match (step, error) {
        (_, PortError::Forbidden("the Kubernetes API", _)) => Some(Problem::Untrusted),
        (_, PortError::Foreign(object, _)) => Some(Problem::Foreign(Foreign {
            object: object.clone(),
            whose: None,
            registration: false,
            held: None,
        })),
        (Step::ApplyService(_), _) => Some(Problem::Services),
        (Step::ApplyHeadless, _) => Some(Problem::HeadlessService(
            observation.observed.names.headless(),
        )),
        (Step::LabelPod, _) => Some(Problem::PodLabels(error.chain())),
        _ => None,
    }
}

enum StepError {
    Juju(JujuError),
    Port(PortError),
}

impl From<JujuError> for StepError {
    fn from(error: JujuError) -> Self {
        Self::Juju(error)
    }
}

impl From<PortError> for StepError {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

struct Apply<'a> {
    observation: &'a Observation,
    facts: &'a mut JujuFacts,
    juju: &'a dyn JujuPort,
    ports: &'a Ports<'a>,
}

impl Apply<'_> {
    fn step(&mut self, step: &Step) -> Result<(), StepError> {
        let ports = self.ports;
        let names = &self.observation.observed.names;
        let me = &self.observation.observed.me;
        match step {
            Step::StorePasswords(users) => self.store_passwords(users.iter().copied())?,
            Step::TakePasswords(users) => self.store_passwords(users.iter().copied())?,
            Step::PublishEndpoints(hosts) => {
                let text = Value::from(hosts.clone()).to_string();
                self.juju.set_peer(Bag::Application, "endpoints", &text)?;
            }
            Step::PublishVolume(volume) => {
                self.juju.set_peer(Bag::Unit, "pgdata", &volume.to_bag())?;
            }
            Step::PublishDisk(note) => {
                self.juju.set_peer(Bag::Unit, "disk", &note.to_string())?;
            }
            Step::NoteDisks(notes) => {
                let text = cluster_plan::disk::to_bag(notes);
                self.juju.set_peer(Bag::Application, "storage", &text)?;
            }
            Step::Announce(state) => self.juju.set_peer(Bag::Unit, "member", state)?,
            Step::AnnounceRevision(revision) => {
                self.juju.set_peer(Bag::Unit, "revision", revision)?;
            }
            Step::SetPartition(ordinal) => {
                ports.kubernetes.set_partition(names.app(), *ordinal)?;
            }
            Step::GuardRefresh(ordinal) => {
                let guard = *ordinal > 0;
                ports
                    .kubernetes
                    .guard_partition(names.app(), *ordinal, guard)?;
            }
            Step::NoteFormat(format) => {
                let text = format.to_string();
                self.juju.set_peer(Bag::Application, "format", &text)?;
            }
            Step::MarkInitialised => {
                self.juju
                    .set_peer(Bag::Application, "cluster_initialised", "True")?;
            }
            Step::PublishVersion(version) => self.juju.set_workload_version(version)?,
            Step::RemoveLeftovers => {
                for name in [names.scope(), names.config(), names.sync()] {
                    ports.kubernetes.delete_registration(&name, names)?;
                }
            }
            Step::LabelPod => {
                ports
                    .kubernetes
                    .label_pod(&me.to_string(), &patroni_labels(&names.scope()))?;
            }
            Step::ApplyService(kind) => self.apply_service(*kind)?,
            Step::ReleaseService(name) => ports.kubernetes.release_service(name, names)?,
            Step::ApplyHeadless => {
                let service = services::headless(names, self.owners()?);
                ports.kubernetes.apply_service(&service, names)?;
            }
            Step::GivePatroniAccount | Step::RenewPatroniAccount => {
                if let Some(access) = ports.kubernetes.patroni_access(names, me)? {
                    workload::give_access(ports.workload, &access)?;
                    if *step == Step::RenewPatroniAccount {
                        ports.workload.restart(crate::layer::SERVICE)?;
                    }
                }
            }
            Step::PrepareStorage => workload::prepare_storage(ports.workload)?,
            Step::PushFile(path) => {
                workload::push(ports.workload, &self.observation.files, path)?;
            }
            Step::SetLayer => {
                workload::set_layer(ports.workload, &self.observation.layer)?;
            }
            Step::StartServices => ports.workload.replan()?,
            Step::ReloadPatroni => ports.workload.signal(crate::layer::SERVICE, "SIGHUP")?,
            Step::NoteRead => workload::note_read(ports.workload, &self.observation.files)?,
            Step::RestartMember(member) => self.restart(member)?,
            Step::Reinitialise => ports.members.reinitialise(&names.host(me))?,
            Step::NoteRestarted(members) => {
                let units: Vec<String> = members.iter().map(Member::unit).collect();
                self.juju
                    .set_peer(Bag::Application, "restarted", &units.join(","))?;
            }
            Step::NoteAttempt(attempt) => self.note_attempt(attempt.as_ref())?,
            Step::Tls(step) => tls::apply(self, step)?,
            Step::PatchDynamic(patch) => self.patch_dynamic(patch)?,
            Step::RemindPatroni(key) => ports.kubernetes.write_sync_key(&names.sync(), key)?,
            Step::ChangeDatabase(statements) => self.change_database(statements)?,
        }
        Ok(())
    }

    /// The given ones, else new ones.
    fn store_passwords(
        &mut self,
        users: impl Iterator<Item = SystemUser>,
    ) -> Result<(), StepError> {
        let mut passwords = self.facts.passwords.clone().unwrap_or_default();
        let given = self
            .facts
            .given
            .as_ref()
            .and_then(|given| given.as_ref().ok());
        for user in users {
            let password = given.and_then(|given| given.get(user)).cloned();
            passwords.set(
                user,
                password.unwrap_or_else(|| self.ports.random.password()),
            );
        }
        self.juju.store_passwords(&passwords)?;
        self.facts.passwords = Some(passwords);
        Ok(())
    }

    fn apply_service(&self, kind: ServiceKind) -> Result<(), PortError> {
        let names = &self.observation.observed.names;
        let owners = self.owners()?;
        let service = services::service(names, kind, self.observation.leader_label, owners);
        self.ports.kubernetes.apply_service(&service, names)
    }

    fn owners(&self) -> PortResult<Option<Vec<OwnerReference>>> {
        owners(self.ports.kubernetes, &self.observation.observed.me)
    }

    /// Through the primary, else through the first member that answers: all change the same.
    fn patch_dynamic(&self, patch: &Value) -> Result<(), PortError> {
        let names = &self.observation.observed.names;
        let hosts = match primary(self.observation) {
            Some(primary) => vec![names.host(primary)],
            None => observe::member_hosts(self.facts),
        };
        let mut last = Ok(());
        for host in hosts {
            last = self.ports.members.patch_dynamic_config(&host, patch);
            if !matches!(last, Err(PortError::Unreachable(..))) {
                break;
            }
        }
        last
    }

    fn note_attempt(&self, attempt: Option<&Attempt>) -> Result<(), JujuError> {
        let text = attempt.map(Attempt::to_bag).unwrap_or_default();
        self.juju.set_peer(Bag::Application, ATTEMPT, &text)
    }

    /// Notes what is not known to have ended well.
    fn restart(&self, member: &Member) -> Result<(), StepError> {
        let Observation {
            observed, desired, ..
        } = self.observation;
        let mut attempt = Attempt::new(member, observed, desired);
        match self.ports.members.restart(&observed.names.host(member))? {
            Restarted::Done => Ok(()),
            Restarted::Going => Ok(self.note_attempt(Some(&attempt))?),
            Restarted::Failed => {
                attempt.failed = true;
                self.note_attempt(Some(&attempt))?;
                let what = format!("restart PostgreSQL of {}", member.unit());
                let why = "Patroni says that it failed, and its unit's log why";
                Err(PortError::Failed(what, why.into()).into())
            }
        }
    }

    fn change_database(&self, statements: &[Statement]) -> Result<(), PortError> {
        let Some(server) = database::server(self.facts, &self.observation.observed) else {
            return Ok(());
        };
        let texts: Vec<SecretString> = statements
            .iter()
            .filter_map(|statement| self.text(statement))
            .collect();
        self.ports.database.execute(&server, &texts)
    }

    fn text(&self, statement: &Statement) -> Option<SecretString> {
        match &statement.sql {
            Sql::Text(text) => Some(text.clone().into()),
            // In batches of its own, see `clients`.
            Sql::ClientPassword(_) => None,
            Sql::Password(user) => {
                let password = self.facts.passwords.as_ref()?.get(*user)?;
                Some(password_statement(
                    *user,
                    password,
                    &self.ports.random.salt(),
                ))
            }
        }
    }
}

/// Sets a role's password by its verifier, so that the password itself never travels.
#[must_use]
pub fn password_statement(user: SystemUser, password: &SecretString, salt: &[u8]) -> SecretString {
    verifier_statement(user.name(), password, salt)
}

/// The same for any role.
#[must_use]
pub fn verifier_statement(role: &str, password: &SecretString, salt: &[u8]) -> SecretString {
    let verifier = scram::verifier(password, salt);
    // A verifier is of base64, `$` and `:`; it cannot end a literal.
    format!(
        "ALTER ROLE {} PASSWORD '{}'",
        roles::quote(role),
        verifier.expose_secret()
    )
    .into()
}

/// What owns the own pod, so that what is made goes with it.
pub(crate) fn owners(
    kubernetes: &dyn Kubernetes,
    me: &Member,
) -> PortResult<Option<Vec<OwnerReference>>> {
    let pod = kubernetes.pod(&me.to_string())?;
    Ok(pod.and_then(|pod| pod.metadata.owner_references))
}

/// The member that leads, where one is known.
#[must_use]
pub fn primary(observation: &Observation) -> Option<&Member> {
    observation
        .observed
        .cluster
        .as_ref()?
        .primary()?
        .member
        .as_ref()
}
