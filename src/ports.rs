//! The ports: every effect and look-up outside this process goes through one of these traits, so
//! that a test can stand in for any of them. The hook tools' port is [`juju::HookTools`].
//!
//! They are synchronous: a hook is one short line of work, and a fake stays simple.

mod accounts;
mod clock;
mod database;
mod kubernetes;
mod members;
mod objects;
mod random;
mod said;
mod secure;
mod workload;

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use cluster_plan::names::{Member, Names, ServiceKind};
use cluster_plan::synchronous::SyncKey;
use k8s_openapi::api::core::v1::{Pod, Service};
use secrecy::SecretString;
use serde_json::Value;

pub use accounts::patroni_rules;
pub use clock::SystemClock;
pub use database::PostgresDatabase;
pub use kubernetes::{ClusterApi, foreign};
pub use members::{Credentials, PatroniMembers};
pub use random::SystemRandom;
pub use secure::Trust;
pub use workload::PebbleWorkload;

/// An error of a library underneath.
pub type Source = Box<dyn Error + Send + Sync>;

/// Why an effect or a look-up failed, as far as the charm decides on it.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// It does not answer, or not in time.
    #[error("{0} does not answer")]
    Unreachable(&'static str, #[source] Source),
    /// It answers that this is not permitted.
    #[error("{0} does not permit it")]
    Forbidden(&'static str, #[source] Source),
    /// What has that name is not this application's, so it is left as it is.
    #[error("{0} is another's")]
    Foreign(String, #[source] Source),
    /// It answers, but not as it should.
    #[error("cannot {0}")]
    Failed(String, #[source] Source),
}

impl PortError {
    /// The error and all that is behind it, in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        crate::error_chain(self)
    }
}

/// Result of a port.
pub type PortResult<T> = Result<T, PortError>;

/// A file or directory in the workload container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// Name without its directory.
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner's name; empty where the container has none for the id.
    pub user: String,
    /// A symbolic link, as an entry of its directory.
    pub link: bool,
}

/// What a command in the workload container printed, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// The workload container, through its Pebble.
pub trait Workload {
    /// The entries of a directory; none where there is no such directory.
    ///
    /// # Errors
    /// When Pebble does not answer or refuses.
    fn list(&self, directory: &str) -> PortResult<Option<Vec<FileInfo>>>;
    /// A file or directory itself; none where there is none.
    ///
    /// # Errors
    /// When Pebble does not answer or refuses.
    fn stat(&self, path: &str) -> PortResult<Option<FileInfo>>;
    /// A file's content; none where there is none.
    ///
    /// # Errors
    /// When Pebble does not answer or refuses.
    fn pull(&self, path: &str) -> PortResult<Option<Vec<u8>>>;
    /// Writes a file with its directories, mode and owner, at once or not at all.
    ///
    /// # Errors
    /// When Pebble does not answer or refuses.
    fn push(&self, path: &str, content: &[u8], mode: u32, owner: &str) -> PortResult<()>;
    /// Makes a directory, and those above it, with mode and owner.
    ///
    /// # Errors
    /// When Pebble does not answer or refuses.
    fn make_directory(&self, path: &str, mode: u32, owner: &str) -> PortResult<()>;
    /// Runs a command to its end, as root; it is bounded to a few seconds.
    ///
    /// # Errors
    /// When it cannot be started or does not end in time.
    fn exec(&self, command: &[&str]) -> PortResult<Output>;
    /// The plan in force.
    ///
    /// # Errors
    /// When Pebble does not answer or refuses.
    fn plan(&self) -> PortResult<pebble::Layer>;
    /// Adds a layer, or replaces the one of that label.
    ///
    /// # Errors
    /// When Pebble does not answer or refuses.
    fn add_layer(&self, label: &str, layer: &pebble::Layer) -> PortResult<()>;
    /// State of a service; none where the plan has no such service.
    ///
    /// # Errors
    /// When Pebble does not answer or refuses.
    fn service(&self, name: &str) -> PortResult<Option<cluster_plan::observed::ServiceState>>;
    /// Runs a check now, so that its first failure is not waited for; what it finds shows in its state.
    ///
    /// # Errors
    /// When Pebble does not answer, or is too old to do so.
    fn run_check(&self, name: &str) -> PortResult<()>;
    /// Starts services that are enabled and restarts those whose definition has changed.
    ///
    /// # Errors
    /// When Pebble does not answer or a service does not start.
    fn replan(&self) -> PortResult<()>;
    /// Stops a service, and waits until it has ended, for some seconds at most.
    ///
    /// # Errors
    /// When Pebble does not answer or refuses.
    fn stop(&self, service: &str) -> PortResult<()>;
    /// Starts a service anew, whether it runs or not.
    ///
    /// # Errors
    /// When Pebble does not answer or the service does not start.
    fn restart(&self, service: &str) -> PortResult<()>;
    /// The last lines that a service wrote.
    ///
    /// # Errors
    /// When Pebble does not answer or refuses.
    fn logs(&self, service: &str, lines: u32) -> PortResult<String>;
    /// Sends a signal to a service.
    ///
    /// # Errors
    /// When Pebble does not answer or the service does not run.
    fn signal(&self, service: &str, signal: &str) -> PortResult<()>;
}

/// The members of the cluster, through Patroni's REST API.
pub trait Members {
    /// The cluster as Patroni's objects in Kubernetes tell it, where one of these members answers.
    ///
    /// # Errors
    /// When none answers in time, or Kubernetes does not.
    fn cluster(&self, hosts: &[String]) -> PortResult<patroni::Cluster>;
    /// Whether a host that was asked in this hook has shown a certificate that no authority of the
    /// members vouches for.
    fn distrusted(&self, host: &str) -> bool;
    /// The certificate that a host's REST API shows, in DER; none where that is one that no
    /// authority of the members vouches for, or it speaks no TLS.
    ///
    /// # Errors
    /// When the host does not answer.
    fn certificate(&self, host: &str) -> PortResult<Option<Vec<u8>>>;
    /// The dynamic configuration.
    ///
    /// # Errors
    /// When the host does not answer or refuses.
    fn dynamic_config(&self, host: &str) -> PortResult<Value>;
    /// Merges a patch into the dynamic configuration.
    ///
    /// # Errors
    /// When the host does not answer or refuses.
    fn patch_dynamic_config(&self, host: &str, patch: &Value) -> PortResult<()>;
    /// Restarts PostgreSQL of a member for which a parameter waits. It is begun when this returns,
    /// and may take longer.
    ///
    /// # Errors
    /// When the host does not answer or refuses; the text is Patroni's.
    fn restart(&self, host: &str) -> PortResult<Restarted>;
    /// Makes a member give up its data for a new copy of the leader's. It is begun when this returns.
    ///
    /// # Errors
    /// When the host does not answer or refuses; the text is Patroni's.
    fn reinitialise(&self, host: &str) -> PortResult<()>;
    /// Moves leadership from `leader` to `candidate`, or to whom Patroni picks.
    ///
    /// # Errors
    /// When the host does not answer or refuses; the text is Patroni's.
    fn switchover(&self, host: &str, leader: &str, candidate: Option<&str>) -> PortResult<()>;
}

/// What came of a restart within the time that a hook has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restarted {
    /// PostgreSQL runs again.
    Done,
    /// It goes on; a callback tells when it is done.
    Going,
    /// Patroni says that it failed.
    Failed,
}

/// The Kubernetes API.
pub trait Kubernetes {
    /// A pod.
    ///
    /// # Errors
    /// When the API does not answer or refuses.
    fn pod(&self, name: &str) -> PortResult<Option<Pod>>;
    /// Adds labels to a pod.
    ///
    /// # Errors
    /// When the API does not answer or refuses.
    fn label_pod(&self, name: &str, labels: &[(&str, &str)]) -> PortResult<()>;
    /// A Service.
    ///
    /// # Errors
    /// When the API does not answer or refuses.
    fn service(&self, name: &str) -> PortResult<Option<Service>>;
    /// Creates or changes a Service by server-side apply.
    ///
    /// # Errors
    /// When the API does not answer or refuses, or another's Service has that name.
    fn apply_service(&self, service: &Service, names: &Names) -> PortResult<()>;
    /// Takes back what this application has applied to a Service: fields that nobody else has set.
    ///
    /// # Errors
    /// When the API does not answer or refuses.
    fn release_service(&self, name: &str, names: &Names) -> PortResult<()>;
    /// Deletes a Service; one that is gone already is fine.
    ///
    /// # Errors
    /// When the API does not answer or refuses, or it is another's.
    fn delete_service(&self, name: &str, names: &Names) -> PortResult<()>;
    /// Where the pods of an application are, by name, as far as they are on a node and stay there:
    /// the node's address from outside where it tells one, else the one that the pod tells.
    ///
    /// # Errors
    /// When the API does not answer or refuses.
    fn hosts(&self, app: &str) -> PortResult<BTreeMap<String, String>>;
    /// Annotations and creation time (RFC 3339) of an Endpoints object.
    ///
    /// # Errors
    /// When the API does not answer or refuses.
    fn endpoints(&self, name: &str) -> PortResult<Option<Registered>>;
    /// Patroni's key of synchronous standbys, which that Endpoints object holds.
    ///
    /// # Errors
    /// When the API does not answer or refuses.
    fn sync_key(&self, name: &str) -> PortResult<Option<SyncKey>>;
    /// Writes its standbys, unless it has been written since.
    ///
    /// # Errors
    /// When the API does not answer or refuses, or has a newer one.
    fn write_sync_key(&self, name: &str, key: &SyncKey) -> PortResult<()>;
    /// Deletes an Endpoints object and the Service of its name; what is gone already is fine.
    ///
    /// # Errors
    /// When the API does not answer or refuses, or one of them is another's.
    fn delete_registration(&self, name: &str, names: &Names) -> PortResult<()>;
    /// When the `StatefulSet` was created (RFC 3339).
    ///
    /// # Errors
    /// When the API does not answer or refuses.
    fn stateful_set_created(&self, name: &str) -> PortResult<Option<String>>;
    /// How far the rolling update of a `StatefulSet`'s pods is; none where there is no such set.
    ///
    /// # Errors
    /// When the API does not answer or refuses.
    fn rolling_update(&self, name: &str) -> PortResult<Option<RollingUpdate>>;
    /// Lets pods of a `StatefulSet` follow its template from this ordinal on, and no others.
    ///
    /// # Errors
    /// When the API does not answer or refuses.
    fn set_partition(&self, name: &str, ordinal: u32) -> PortResult<()>;
    /// The same, with a note whether that is the charm's own guard or an operator's wish.
    ///
    /// # Errors
    /// When the API does not answer or refuses.
    fn guard_partition(&self, name: &str, ordinal: u32, guard: bool) -> PortResult<()>;
    /// Allocatable cores and bytes of memory of a node.
    ///
    /// # Errors
    /// When the API does not answer or refuses.
    fn node(&self, name: &str) -> PortResult<Option<NodeSize>>;
    /// Makes the owner of the pod `pod` own Endpoints and Services of those labels too, so that
    /// they go with the application; those named in `except` are left alone.
    ///
    /// # Errors
    /// When the API does not answer or refuses.
    fn adopt(&self, pod: &str, selector: &str, except: &[String]) -> PortResult<usize>;
    /// Makes what Patroni asks Kubernetes by, with no more rights than it needs, for as long as the
    /// pod is there; none where the API server gives out no token that lasts, which Patroni would
    /// not take another one for.
    ///
    /// # Errors
    /// When the API does not answer or refuses.
    fn patroni_access(&self, names: &Names, me: &Member) -> PortResult<Option<Access>>;
    /// Whether all of that is there.
    ///
    /// # Errors
    /// When the API does not answer or refuses.
    fn patroni_access_stands(&self, names: &Names, me: &Member) -> PortResult<bool>;
}

/// What Patroni asks Kubernetes by.
pub struct Access {
    /// A kubeconfig with a token, which names the file of the authority.
    pub kubeconfig: SecretString,
    /// The authority of the API server, PEM.
    pub authority: String,
}

/// What Patroni keeps in an Endpoints object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registered {
    /// The `initialize` annotation: the cluster's system identifier.
    pub initialize: Option<String>,
    /// RFC 3339.
    pub created: String,
}

/// The rolling update of a `StatefulSet`'s pods.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RollingUpdate {
    /// Pods below this ordinal stay as they are.
    pub partition: u32,
    /// The charm has noted that this is its own guard.
    pub guarded: bool,
    /// Name of what the pods shall be made from.
    pub wanted: String,
    /// What each pod is made from, by name.
    pub pods: BTreeMap<String, String>,
}

/// Allocatable resources, as Kubernetes writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSize {
    /// Quantity of CPU.
    pub cpu: String,
    /// Quantity of memory.
    pub memory: String,
}

/// Label by which Kubernetes tells what a pod of a `StatefulSet` is made from.
pub const REVISION_LABEL: &str = "controller-revision-hash";

/// How to reach a database server.
#[derive(Debug, Clone)]
pub enum Server {
    /// The own unit's, by its socket and the charm's operating system user.
    Own,
    /// A host, as `operator` with this password.
    Host(String, SecretString),
}

/// PostgreSQL itself. A session commits locally only, so that it cannot hang for want of a
/// standby, and logs no statement.
pub trait Database {
    /// Rows of text.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    fn query(&self, server: &Server, sql: &str) -> PortResult<Vec<Vec<Option<String>>>>;
    /// Statements in one transaction.
    ///
    /// # Errors
    /// When the server does not answer or refuses; then none of them has an effect.
    fn execute(&self, server: &Server, statements: &[SecretString]) -> PortResult<()>;
    /// Rows of text, the statement's parameters being text.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    fn look(
        &self,
        server: &Server,
        sql: &'static str,
        parameters: &[&str],
    ) -> PortResult<Vec<Vec<Option<String>>>>;
    /// Rows of text of a look into some database.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    fn look_in(
        &self,
        server: &Server,
        database: &str,
        sql: &'static str,
    ) -> PortResult<Vec<Vec<Option<String>>>>;
    /// Statements in some database, in one transaction or each by itself; they may take longer
    /// than others.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    fn run(
        &self,
        server: &Server,
        database: &str,
        transaction: bool,
        statements: &[SecretString],
    ) -> PortResult<()>;
}

/// Randomness.
pub trait Random {
    /// A new password: letters and digits.
    fn password(&self) -> SecretString;
    /// Bytes for a salt.
    fn salt(&self) -> [u8; 16];
}

/// The time.
pub trait Clock {
    /// Seconds since 1970.
    fn now(&self) -> i64;
    /// Lets time pass. Only where no later hook could go on: all else is left to a wake-up.
    fn pause(&self, time: Duration);
}

/// All ports of a hook.
pub struct Ports<'a> {
    /// The workload container.
    pub workload: &'a dyn Workload,
    /// Patroni.
    pub members: &'a dyn Members,
    /// Kubernetes.
    pub kubernetes: &'a dyn Kubernetes,
    /// PostgreSQL.
    pub database: &'a dyn Database,
    /// Randomness.
    pub random: &'a dyn Random,
    /// The time.
    pub clock: &'a dyn Clock,
}

/// The labels by which Patroni and the Services find members.
#[must_use]
pub fn patroni_labels(scope: &str) -> [(&'static str, &str); 2] {
    [("application", "patroni"), ("cluster-name", scope)]
}

/// Value of the label `role` that a Service selects.
#[must_use]
pub fn role_label(kind: ServiceKind, leader_label: &'static str) -> &'static str {
    match kind {
        ServiceKind::Primary => leader_label,
        ServiceKind::Replicas => "replica",
    }
}
