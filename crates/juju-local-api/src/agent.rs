//! What a unit's agent asks of the controller, and the view of the model that it gets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A databag: always strings.
pub type Bag = BTreeMap<String, String>;

/// What a unit's agent asks. The comment behind each names the value of `Done`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentRequest {
    /// Waits until the view's `revision` is greater than `since`, at most `wait_ms`: [`UnitView`].
    /// It is also the agent's sign of life: leadership leases are renewed by it.
    Watch {
        /// The last revision seen; 0 for at once.
        since: u64,
        /// Milliseconds.
        wait_ms: u64,
    },
    /// The pod has come up: its address. null.
    Started {
        /// Pod address.
        address: String,
        /// A fresh agent process (not a reconnect).
        fresh: bool,
    },
    /// Reads the current contents of a databag: [`Bag`]; `PermissionDenied`, `NotFound`.
    ReadBag {
        /// Relation id.
        relation: u32,
        /// Unit (`app/0`) or application name.
        entity: String,
    },
    /// Applies what a hook wrote, all or nothing: null.
    Commit(Box<HookChanges>),
    /// Sets the workload status of the unit, or of the application (leader only): null.
    SetStatus {
        /// The application's instead of the unit's.
        application: bool,
        /// `active`, `waiting`, ...
        status: String,
        /// Free text.
        message: String,
    },
    /// Sets the agent's own status: `allocating`, `executing`, `idle`, `error`, ...: null.
    SetAgentStatus {
        /// The status.
        status: String,
        /// Free text, e.g. `running config-changed hook`.
        message: String,
        /// For `error`: the data of the failed hook.
        data: Value,
    },
    /// Workload version: null.
    SetWorkloadVersion(String),
    /// Lines for debug-log: null.
    Log(Vec<LogLine>),
    /// Is this unit the leader, checked against the lease: bool.
    IsLeader,
    /// What the leader keeps with `leader-set`: [`Bag`].
    LeaderGet,
    /// `leader-set`, at once; an empty value removes its key: null.
    LeaderSet(Bag),
    /// Current application status and those of its units, as `status-get --application`: Value.
    ApplicationStatus,
    /// `goal-state`: Value.
    GoalState,
    /// `network-get` of a binding: Value as the tool's JSON.
    NetworkInfo {
        /// Endpoint or extra binding.
        binding: String,
        /// Of this relation.
        relation: Option<u32>,
    },
    /// Reads a secret as consumer or owner: [`SecretValue`]. `set_label` registers the consumer's
    /// label at once. `refresh` of one's own or of a consumed secret is told in [`HookChanges`].
    SecretGet {
        /// Id or label.
        key: SecretKey,
        /// Registers this label for the observer.
        set_label: Option<String>,
        /// Latest revision instead of the tracked one, without tracking it.
        peek: bool,
    },
    /// `secret-info-get`: [`SecretInfo`] of a secret that the unit (or as leader its application)
    /// owns.
    SecretInfo(SecretKey),
    /// Owned secrets: [`SecretInfo`] list.
    SecretsOwned,
    /// A fresh secret id: String (bare xid).
    NewSecretId,
    /// Path (in the charm container) of a resource: String.
    Resource(String),
    /// Cloud spec as `credential-get`; needs trust: Value.
    Credential,
    /// An action begins: null.
    ActionBegin(String),
    /// A line of progress of an action: null.
    ActionLog {
        /// Action id.
        id: String,
        /// Text.
        message: String,
    },
    /// An action has ended: null.
    ActionEnd(Box<ActionEnd>),
    /// A `juju exec` command has ended: null.
    ExecEnd {
        /// Task id.
        id: String,
        /// Exit code, stdout, stderr in Juju's result form.
        results: Value,
    },
    /// Keeps what the uniter must know after its pod is gone (opaque to the controller): null.
    SaveState(Value),
    /// The unit has run its last hook and may be removed: null.
    Dead,
    /// A resolved mark was used up: null.
    ClearResolved,
    /// The unit has nothing more to do with a relation that ends: null.
    LeaveRelation(u32),
    /// The fault that kills the charm has done so: null.
    FaultUsed,
    /// A hook's process has ended: null.
    Ran(Box<HookRan>),
}

/// What a run of a hook has cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HookRan {
    /// When it began: RFC 3339, UTC, microseconds.
    pub begun: String,
    /// Its name, as in `JUJU_HOOK_NAME`.
    pub hook: String,
    /// The relation that it is about.
    pub relation: Option<u32>,
    /// From the start of its process until its end.
    pub wall_ms: f64,
    /// Processor time of it and of the hook tools that it called.
    pub cpu_ms: f64,
    /// Processes of hook tools, by name.
    pub tools: BTreeMap<String, u32>,
    /// It ended well.
    pub passed: bool,
}

/// A line for debug-log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogLine {
    /// RFC 3339, UTC, microseconds.
    pub time: String,
    /// `unit-postgresql-k8s-0`.
    pub entity: String,
    /// `DEBUG`, `INFO`, ...
    pub level: String,
    /// `unit.postgresql-k8s/0.juju-log`, `juju.worker.uniter`, ...
    pub module: String,
    /// Text, newlines kept.
    pub message: String,
}

/// Life of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Life {
    /// Wanted.
    Alive,
    /// On its way out.
    Dying,
    /// Gone but for its record.
    Dead,
}

/// Everything of the model that one unit's agent decides on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnitView {
    /// Grows with each change that this unit can see.
    pub revision: u64,
    /// Model name.
    pub model_name: String,
    /// Model UUID.
    pub model_uuid: String,
    /// Life of the unit.
    pub life: Life,
    /// Life of the application.
    pub app_life: Life,
    /// Juju version that the model claims.
    pub juju_version: String,
    /// Grows with each refresh of the charm or its resources (charm-modified-version).
    pub charm_modified_version: u64,
    /// The charm's revision.
    pub charm_revision: u64,
    /// Directory of the charm (in the charm container, read-only), to be copied as the charm dir.
    pub charm_source: String,
    /// Option values in force, defaults included, unset ones without default left out.
    pub config: BTreeMap<String, Value>,
    /// Options without a value, for `config-get --all`.
    pub config_unset: Vec<String>,
    /// Trusted with the cloud's credentials.
    pub trust: bool,
    /// Holds leadership.
    pub leader: bool,
    /// Pod address, empty before there is one.
    pub address: String,
    /// Application's service address.
    pub ingress_address: String,
    /// Relations, the suspended and dying ones too.
    pub relations: Vec<RelationView>,
    /// Storage attached.
    pub storage: Vec<StorageView>,
    /// Secrets this unit consumes whose tracked revision may lag, for secret-changed.
    pub consumed_secrets: Vec<ConsumedSecret>,
    /// Owned secrets with something due (rotate, expired, obsolete revisions), for the owner's hooks.
    pub owned_secrets: Vec<OwnedSecret>,
    /// Actions waiting, oldest first.
    pub actions: Vec<ActionTask>,
    /// `juju exec` commands waiting, oldest first.
    pub execs: Vec<ExecTask>,
    /// Tasks that run and are to be cut off.
    #[serde(default)]
    pub aborting: Vec<String>,
    /// Set by `juju resolved`: retry or skip.
    pub resolved: Option<Resolved>,
    /// Opened ports, e.g. `5432/tcp`.
    pub opened_ports: Vec<String>,
    /// Current unit status and message.
    pub unit_status: (String, String),
    /// `update-status-hook-interval` in milliseconds.
    pub update_status_interval_ms: u64,
    /// `automatically-retry-hooks`.
    pub retry_hooks: bool,
    /// Environment from the model's configuration (proxies): name to value.
    pub model_env: BTreeMap<String, String>,
    /// What [`AgentRequest::SaveState`] stored last, null at first.
    pub saved_state: Value,
    /// Charm state of `state-set`.
    pub charm_state: Bag,
    /// Planned units of the application.
    pub planned_units: u32,
    /// Grows with each change of what the leader keeps with `leader-set`.
    #[serde(default)]
    pub leader_settings: u64,
    /// Fault: kill the charm process after its k-th effect; one shot.
    pub kill_at_effect: Option<u32>,
}

/// A relation as one unit sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RelationView {
    /// Id.
    pub id: u32,
    /// Own endpoint.
    pub endpoint: String,
    /// `peer`, `provider`, `requirer`.
    pub role: String,
    /// Interface.
    pub interface: String,
    /// Other application; own for a peer relation.
    pub remote_app: String,
    /// Life.
    pub life: Life,
    /// Suspended (cross-model).
    pub suspended: bool,
    /// Remote units in scope with the version of their bags.
    pub units: BTreeMap<String, u64>,
    /// Version of the remote application's bag (own app's for a peer relation), 0 if never written.
    pub app_version: u64,
    /// UUID of the remote application's model.
    pub remote_model_uuid: String,
}

/// A storage instance of the unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StorageView {
    /// `pgdata/0`.
    pub id: String,
    /// `filesystem`.
    pub kind: String,
    /// Mount path in the charm container.
    pub location: String,
    /// Life of the attachment.
    pub life: Life,
}

/// A secret that the unit reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsumedSecret {
    /// Bare id.
    pub id: String,
    /// Consumer's label.
    pub label: String,
    /// Latest revision.
    pub latest: u64,
    /// Tracked revision.
    pub tracked: u64,
}

/// A secret that the unit, or as leader its application, owns, with what is due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnedSecret {
    /// Bare id.
    pub id: String,
    /// Owner's label.
    pub label: String,
    /// Rotation is due.
    pub rotate_due: bool,
    /// Revisions past their expiry.
    pub expired: Vec<u64>,
    /// Revisions that no observer tracks any more and that are not the latest.
    pub obsolete: Vec<u64>,
}

/// An action to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionTask {
    /// Numeric id as text.
    pub id: String,
    /// Name.
    pub name: String,
    /// Parameters, already checked against the schema.
    pub params: Value,
}

/// A command of `juju exec`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExecTask {
    /// Task id.
    pub id: String,
    /// For `sh -c`.
    pub commands: String,
}

/// What `juju resolved` asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolved {
    /// Run the failed hook again now.
    Retry,
    /// Count it as done.
    Skip,
}

/// How an action went.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ActionEnd {
    /// Action id.
    pub id: String,
    /// `completed`, `failed`, `aborted`.
    pub status: String,
    /// Message of a failure.
    pub message: String,
    /// Results as nested maps, with `return-code`, `stdout`, `stderr`.
    pub results: Value,
}

/// A secret named by id or by label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretKey {
    /// Bare id, `secret:<id>` or `secret://<model>/<id>`.
    Id(String),
    /// Label of the owner or of the consumer.
    Label(String),
}

/// A revision of a secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct SecretValue {
    /// Bare id.
    pub id: String,
    /// Revision given.
    pub revision: u64,
    /// Key to value, each base64.
    pub content: BTreeMap<String, String>,
}

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretValue")
            .field("id", &self.id)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// What an owner may know of a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecretInfo {
    /// Bare id.
    pub id: String,
    /// Latest revision.
    pub revision: u64,
    /// Owner's label.
    pub label: String,
    /// `application` or `unit`.
    pub owner: String,
    /// Free text.
    pub description: String,
    /// `never`, `daily`, ...
    pub rotation: String,
    /// RFC 3339.
    pub expiry: Option<String>,
    /// RFC 3339.
    pub rotates: Option<String>,
    /// As in `secret-info-get`'s JSON: target, scope, role.
    pub access: Vec<Value>,
}

/// What a hook wrote, sent when it exits 0.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct HookChanges {
    /// Hook or action name, for messages.
    pub hook: String,
    /// (relation id, application bag?, key, value; empty value deletes).
    pub databags: Vec<BagWrite>,
    /// Key to value; None deletes.
    pub state: BTreeMap<String, Option<String>>,
    /// `5432/tcp` to open.
    pub open_ports: Vec<String>,
    /// `5432/tcp` to close.
    pub close_ports: Vec<String>,
    /// Secrets to create.
    pub secrets_add: Vec<SecretAdd>,
    /// Secrets to change.
    pub secrets_set: Vec<SecretSet>,
    /// (bare id, one revision or all).
    pub secrets_remove: Vec<(String, Option<u64>)>,
    /// Grants.
    pub secrets_grant: Vec<SecretGrant>,
    /// Revocations.
    pub secrets_revoke: Vec<SecretGrant>,
    /// Bare ids whose latest revision is now tracked by this unit.
    pub secrets_track: Vec<String>,
    /// Storage to add: name, count.
    pub storage_add: Vec<(String, u32)>,
    /// Owned secrets whose rotation hook has run now.
    pub rotated: Vec<String>,
    /// Revisions whose expiry hook has run now.
    pub expired: Vec<(String, u64)>,
}

impl std::fmt::Debug for HookChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HookChanges")
            .field("hook", &self.hook)
            .finish_non_exhaustive()
    }
}

/// A write to a databag.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BagWrite {
    /// Relation id.
    pub relation: u32,
    /// The application's bag instead of the unit's.
    pub application: bool,
    /// Key to value; an empty value deletes.
    pub values: Bag,
}

/// A new secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct SecretAdd {
    /// Id from [`AgentRequest::NewSecretId`].
    pub id: String,
    /// `application` or `unit`.
    pub owner: String,
    /// Owner's label.
    pub label: String,
    /// Free text.
    pub description: String,
    /// `never`, `daily`, ...
    pub rotation: String,
    /// RFC 3339.
    pub expiry: Option<String>,
    /// Key to base64 value.
    pub content: BTreeMap<String, String>,
}

/// A change to a secret; None leaves as is.
#[derive(Clone, Serialize, Deserialize)]
pub struct SecretSet {
    /// Bare id.
    pub id: String,
    /// Label.
    pub label: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Rotation.
    pub rotation: Option<String>,
    /// Expiry, RFC 3339.
    pub expiry: Option<String>,
    /// New content: a new revision unless equal to the latest.
    pub content: Option<BTreeMap<String, String>>,
}

/// A grant, or what a revocation takes back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecretGrant {
    /// Bare id.
    pub id: String,
    /// Relation that the grant hangs on.
    pub relation: Option<u32>,
    /// Only this unit.
    pub unit: Option<String>,
    /// Revocation: all of this application.
    pub application: Option<String>,
}
