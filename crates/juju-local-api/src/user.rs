//! What the CLI asks of the controller: one variant for each thing that `juju` can do here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a person asks. The comment behind each names the value of `Done` (and of `Part`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserRequest {
    /// Controller's name, version, pid, state folder, Kubernetes URL: Value.
    ControllerInfo,
    /// Ends the daemon after its models are destroyed; parts are progress texts: null.
    DestroyController {
        /// Keep the volumes.
        release_storage: bool,
    },
    /// All models: `{"models":[...],"current-model":...}` as `juju models --format json`.
    Models,
    /// Adds a model: null.
    AddModel {
        /// Name.
        name: String,
        /// Model configuration.
        config: BTreeMap<String, String>,
    },
    /// Destroys a model; parts are progress texts: null.
    DestroyModel {
        /// Name.
        name: String,
        /// Keep the volumes for a later `--attach-storage`.
        release_storage: bool,
        /// Don't wait for units to run their last hooks.
        force: bool,
    },
    /// Something of one model.
    Model {
        /// Name.
        model: String,
        /// What.
        request: ModelRequest,
    },
}

/// What is asked of one model.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelRequest {
    /// `show-model`'s JSON for the model: Value.
    Show,
    /// Model configuration: `{"key":{"Value":...,"Source":...}}` as `juju model-config --format json`.
    ConfigGet,
    /// Sets and resets keys: null.
    ConfigSet {
        /// Key to value.
        set: BTreeMap<String, String>,
        /// Keys back to their default.
        reset: Vec<String>,
    },
    /// Deploys a charm: String (application name).
    Deploy(Box<Deploy>),
    /// Refreshes an application's charm and resources: String.
    Refresh {
        /// Application.
        app: String,
        /// Charm directory or .charm file, absolute; None for the one it has (resources only).
        path: Option<String>,
        /// Resource name to value.
        resources: BTreeMap<String, String>,
        /// Also units in error.
        force_units: bool,
        /// New option values.
        config: BTreeMap<String, String>,
        /// New trust.
        trust: Option<bool>,
    },
    /// Status: [`crate::status::ModelStatus`].
    Status,
    /// Past statuses, oldest first: list of `show-status-log`'s entries.
    StatusLog(StatusLog),
    /// Like Status; a Part at each change until the client goes away.
    WatchStatus,
    /// Adds units: list of names. `attach_storage` names volumes for them.
    AddUnit {
        /// Application.
        app: String,
        /// How many.
        count: u32,
        /// Volumes.
        attach_storage: Vec<String>,
    },
    /// Removes units from the highest ordinal: null.
    RemoveUnit {
        /// Application.
        app: String,
        /// How many.
        count: u32,
        /// Destroy their volumes too.
        destroy_storage: bool,
        /// After a minute without their last hooks.
        force: bool,
        /// With force: at once.
        no_wait: bool,
    },
    /// Sets the number of units: null.
    Scale {
        /// Application.
        app: String,
        /// How many.
        scale: u32,
    },
    /// Removes an application: null.
    RemoveApplication {
        /// Application.
        app: String,
        /// Destroy its volumes too.
        destroy_storage: bool,
        /// After a minute without last hooks.
        force: bool,
        /// With force: at once.
        no_wait: bool,
    },
    /// Relates two endpoints, each `app` or `app:endpoint`: Value (the two endpoints).
    Integrate {
        /// One side.
        a: String,
        /// Other side.
        b: String,
        /// Through an offer: `via` CIDRs accepted and ignored.
        via: Option<String>,
    },
    /// Removes a relation by its ends or id: null.
    RemoveRelation {
        /// Two ends or one id.
        ends: Vec<String>,
        /// Without hooks.
        force: bool,
    },
    /// Suspends or resumes relations: null.
    SuspendRelation {
        /// Ids.
        ids: Vec<u32>,
        /// Suspend or resume.
        suspend: bool,
    },
    /// Application configuration: `juju config --format json`'s object.
    AppConfigGet {
        /// Application.
        app: String,
    },
    /// Sets and resets options: null.
    AppConfigSet {
        /// Application.
        app: String,
        /// Key to text.
        set: BTreeMap<String, String>,
        /// Keys back to their default.
        reset: Vec<String>,
    },
    /// Trust on or off: null.
    Trust {
        /// Application.
        app: String,
        /// Value.
        trust: bool,
    },
    /// Actions of an application as `juju actions --schema --format json`: Value.
    Actions {
        /// Application.
        app: String,
    },
    /// Queues an action on units (`app/leader` allowed): list of task ids.
    Run {
        /// Units.
        units: Vec<String>,
        /// Action.
        action: String,
        /// Parameters.
        params: Value,
    },
    /// Queues commands on units: list of task ids.
    Exec {
        /// Units.
        units: Vec<String>,
        /// For `sh -c`.
        commands: String,
    },
    /// Waits for a task: its state as in `juju show-task --format json`; parts are its log lines.
    WaitTask {
        /// Id.
        id: String,
        /// Milliseconds; 0 for its state now.
        wait_ms: u64,
    },
    /// Tasks and operations: Value.
    Operations,
    /// Cancels tasks: Value.
    CancelTask(Vec<String>),
    /// Runs a command in a container of a unit's pod with stdin given; parts are
    /// `{"stdout": base64}` or `{"stderr": base64}`: exit code.
    Ssh {
        /// Unit.
        unit: String,
        /// Container, `charm` by default.
        container: String,
        /// argv; empty for a shell (then the CLI asks for [`ModelRequest::SshPlan`] instead).
        argv: Vec<String>,
        /// base64.
        stdin: String,
    },
    /// What a CLI on this machine must run to be inside (for interactive use): argv list.
    SshPlan {
        /// Unit.
        unit: String,
        /// Container.
        container: String,
        /// argv; empty for a shell.
        argv: Vec<String>,
    },
    /// argv prefix by which a CLI on this machine runs a command in the model's network: argv list.
    NetworkPlan,
    /// `show-unit`'s JSON: Value.
    ShowUnit {
        /// Unit.
        unit: String,
    },
    /// `show-application`'s JSON: Value.
    ShowApplication {
        /// Application.
        app: String,
    },
    /// Log lines; parts are [`crate::agent::LogLine`]: null.
    DebugLog(Box<DebugLog>),
    /// Marks failed hooks: null.
    Resolved {
        /// Units.
        units: Vec<String>,
        /// All units.
        all: bool,
        /// Skip instead of retry.
        no_retry: bool,
    },
    /// User secrets: add -> String (`secret:<id>`).
    AddSecret {
        /// Name.
        name: String,
        /// Key to base64 value.
        content: BTreeMap<String, String>,
        /// Free text.
        info: String,
    },
    /// Changes a user secret: null.
    UpdateSecret {
        /// Id or name.
        secret: String,
        /// Key to base64 value.
        content: BTreeMap<String, String>,
        /// New name.
        name: Option<String>,
        /// Free text.
        info: Option<String>,
        /// Remove unused old revisions.
        auto_prune: Option<bool>,
    },
    /// Grants or revokes a user secret: null.
    GrantSecret {
        /// Id or name.
        secret: String,
        /// Applications.
        apps: Vec<String>,
        /// Grant or revoke.
        grant: bool,
    },
    /// Removes a user secret or one revision: null.
    RemoveSecret {
        /// Id or name.
        secret: String,
        /// One revision.
        revision: Option<u64>,
    },
    /// Secrets as `juju secrets --format json`; with `reveal` and an id as `show-secret`: Value.
    Secrets {
        /// Id or name of one.
        secret: Option<String>,
        /// With contents.
        reveal: bool,
        /// This revision.
        revision: Option<u64>,
        /// All revisions.
        revisions: bool,
    },
    /// Offers endpoints: null.
    Offer {
        /// Application.
        app: String,
        /// Endpoints.
        endpoints: Vec<String>,
        /// Offer name.
        name: String,
    },
    /// Offers of the model: Value.
    Offers,
    /// Removes an offer: null.
    RemoveOffer {
        /// Offer name.
        name: String,
        /// With its relations.
        force: bool,
    },
    /// Consumes `[controller:]admin/model.offer`: String (local name).
    Consume {
        /// Offer URL.
        url: String,
        /// Local alias.
        alias: Option<String>,
    },
    /// Removes a consumed offer: null.
    RemoveSaas(Vec<String>),
    /// `juju storage --format json`: Value.
    Storage,
    /// Removes (detached) storage: null.
    RemoveStorage(Vec<String>),
    /// Sets or shows constraints: Value.
    Constraints {
        /// Application.
        app: String,
        /// To set.
        set: Option<BTreeMap<String, String>>,
    },
    /// Attaches a resource: null.
    AttachResource {
        /// Application.
        app: String,
        /// Name.
        name: String,
        /// Value (image reference or file).
        value: String,
    },
    /// Resources of an application: Value.
    Resources {
        /// Application.
        app: String,
    },
    /// A fault on purpose: Value.
    Fault(Box<Fault>),
}

/// What to deploy and how.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Deploy {
    /// Charm directory or packed .charm, absolute.
    pub path: String,
    /// Application name; None for the charm's.
    pub app: Option<String>,
    /// Units.
    pub units: u32,
    /// Options, as text.
    pub config: BTreeMap<String, String>,
    /// Resource name to value.
    pub resources: BTreeMap<String, String>,
    /// Trusted with the cluster's credentials.
    pub trust: bool,
    /// Accepted, shown in status.
    pub channel: Option<String>,
    /// Accepted, shown in status.
    pub base: Option<String>,
    /// Storage name to directive, e.g. `10G`.
    pub storage: BTreeMap<String, String>,
    /// Volumes to use.
    pub attach_storage: Vec<String>,
    /// Constraints (mem, cpu-power) become container limits.
    pub constraints: BTreeMap<String, String>,
}

/// Which past statuses to show.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StatusLog {
    /// A unit or an application.
    pub entity: String,
    /// `unit`, `workload`, `juju-unit`, `application`.
    pub kind: String,
    /// The last so many.
    pub size: Option<usize>,
    /// RFC 3339: those from then on.
    pub since: Option<String>,
}

/// What to show of the log.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DebugLog {
    /// From the beginning.
    pub replay: bool,
    /// Go on as lines come.
    pub follow: bool,
    /// The last so many.
    pub lines: Option<usize>,
    /// Stop after so many.
    pub limit: Option<usize>,
    /// At least this level.
    pub level: String,
    /// Entities to show (`unit-app-0`, `app/0`).
    pub include: Vec<String>,
    /// Entities to leave out.
    pub exclude: Vec<String>,
    /// Modules to show.
    pub include_module: Vec<String>,
    /// Modules to leave out.
    pub exclude_module: Vec<String>,
}

/// A fault on purpose.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL (or another signal) to processes in a container whose command line holds the text.
    Signal {
        /// Unit.
        unit: String,
        /// Container.
        container: String,
        /// Part of the command line.
        process: String,
        /// `KILL`, `STOP`, `CONT`, ...
        signal: String,
    },
    /// SIGKILL of a container's first process.
    KillContainer {
        /// Unit.
        unit: String,
        /// Container.
        container: String,
    },
    /// All containers of the pod killed at once; `delete` removes the pod object at once as well.
    KillPod {
        /// Unit.
        unit: String,
        /// The object too, without grace: a new pod with a new address follows.
        delete: bool,
    },
    /// Cuts the network of units from the others (or between two groups).
    Cut {
        /// One side.
        units: Vec<String>,
        /// Other side; empty for everybody.
        from: Vec<String>,
    },
    /// Loses packets from and to units.
    Lossy {
        /// Units.
        units: Vec<String>,
        /// So many of a hundred.
        percent: u8,
    },
    /// Heals all cuts and losses.
    Heal,
    /// The Kubernetes API as pods see it: `up`, `down` (refuses), `hang`, or an HTTP status.
    KubernetesApi(String),
    /// Kills the charm of a unit at its k-th effect in its next hook.
    KillAtEffect {
        /// Unit.
        unit: String,
        /// From 1.
        effect: u32,
    },
    /// Gives leadership to a unit now.
    StealLeadership {
        /// Unit.
        unit: String,
    },
    /// Makes a secret of a charm due for rotation now.
    RotateSecret {
        /// Id.
        secret: String,
    },
    /// Fills the volume of a unit to so many per cent (a file), 0 to free it.
    FillDisk {
        /// Unit.
        unit: String,
        /// Per cent of the volume.
        percent: u8,
    },
}
