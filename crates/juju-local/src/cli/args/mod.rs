//! The command line: `juju`'s verbs and flags, and those of `juju-local` itself.

pub mod actions;
pub mod apps;
pub mod machine;
pub mod models;
pub mod relations;
pub mod secrets;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use actions::{
    ActionsArgs, CancelTaskArgs, ExecArgs, OperationsArgs, RunArgs, ShowOperationArgs, ShowTaskArgs,
};
pub use apps::{
    AddUnitArgs, AppArgs, AttachResourceArgs, ConfigArgs, ConstraintsArgs, DebugLogArgs,
    DeployArgs, RefreshArgs, RemoveApplicationArgs, RemoveStorageArgs, RemoveUnitArgs,
    ResolvedArgs, ScaleArgs, SetConstraintsArgs, ShowUnitArgs, StatusArgs, StatusLogArgs,
    TrustArgs,
};
pub use machine::{FaultArgs, FaultKind, NetArgs, ScpArgs, SshArgs};
pub use models::{
    AddModelArgs, BootstrapArgs, DaemonArgs, DestroyControllerArgs, DestroyModelArgs,
    ModelConfigArgs, PlainArgs, SetModelConstraintsArgs, ShowModelArgs, SwitchArgs, VersionArgs,
};
pub use relations::{
    ConsumeArgs, FindOffersArgs, IntegrateArgs, OfferArgs, OffersArgs, RelationIdsArgs,
    RemoveOfferArgs, RemoveRelationArgs, RemoveSaasArgs,
};
pub use secrets::{
    AddSecretArgs, GrantSecretArgs, RemoveSecretArgs, SecretsArgs, ShowSecretArgs, UpdateSecretArgs,
};

/// A Juju model on one machine: the commands of `juju` for Kubernetes models, without Kubernetes
/// and without a Juju controller.
#[derive(Debug, Parser)]
#[command(name = "juju-local", version = crate::home::JUJU_VERSION, max_term_width = 100)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Cli {
    /// Accepted for juju's sake
    #[arg(long, global = true, hide = true)]
    pub debug: bool,
    /// Accepted for juju's sake
    #[arg(long, global = true, hide = true)]
    pub verbose: bool,
    /// Show no informational output
    #[arg(long, global = true, hide = true)]
    pub quiet: bool,
    /// Accepted for juju's sake
    #[arg(short = 'B', long, global = true, hide = true)]
    pub no_browser_login: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The model a command works on.
#[derive(Debug, Clone, Default, Args)]
pub struct ModelArg {
    /// Model to operate in. Accepts [<controller name>:]<model name>
    #[arg(short, long, value_name = "MODEL")]
    pub model: Option<String>,
}

/// Where and how a command prints its result.
#[derive(Debug, Clone, Default, Args)]
pub struct OutputArgs {
    /// Specify output format (json|yaml|tabular|plain, where the command has it)
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Specify an output file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Everything that can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a controller on this machine
    Bootstrap(BootstrapArgs),
    /// Remove the controller with all its models and everything it made on this machine
    DestroyController(DestroyControllerArgs),
    /// List the controller of this home
    #[command(visible_alias = "list-controllers")]
    Controllers(PlainArgs),
    /// Print the version
    Version(VersionArgs),
    /// Print the current controller, model and user
    Whoami(PlainArgs),
    /// Add a model
    AddModel(AddModelArgs),
    /// Destroy a model
    DestroyModel(DestroyModelArgs),
    /// List the models
    #[command(visible_alias = "list-models")]
    Models(PlainArgs),
    /// Choose the current model
    Switch(SwitchArgs),
    /// Show a model
    ShowModel(ShowModelArgs),
    /// Show or set a model's configuration
    ModelConfig(ModelConfigArgs),
    /// Show a model's default constraints
    ModelConstraints(ModelPlainArgs),
    /// Set a model's default constraints
    SetModelConstraints(SetModelConstraintsArgs),
    /// Deploy a charm
    Deploy(DeployArgs),
    /// Refresh an application's charm or resources
    #[command(visible_alias = "upgrade-charm")]
    Refresh(RefreshArgs),
    /// Report the status of the model
    Status(StatusArgs),
    /// Show past statuses of a unit or an application
    ShowStatusLog(StatusLogArgs),
    /// Add units to an application
    AddUnit(AddUnitArgs),
    /// Remove units of an application, those with the highest numbers first
    RemoveUnit(RemoveUnitArgs),
    /// Set the number of units of an application
    ScaleApplication(ScaleArgs),
    /// Remove applications
    RemoveApplication(RemoveApplicationArgs),
    /// Show or set an application's configuration
    Config(ConfigArgs),
    /// Give or take an application's access to the cluster
    Trust(TrustArgs),
    /// Show an application's constraints
    #[command(visible_alias = "get-constraints")]
    Constraints(ConstraintsArgs),
    /// Set an application's constraints
    SetConstraints(SetConstraintsArgs),
    /// Change an application's resource
    AttachResource(AttachResourceArgs),
    /// List an application's resources
    #[command(visible_alias = "list-resources")]
    Resources(AppArgs),
    /// Show a unit
    ShowUnit(ShowUnitArgs),
    /// Show applications
    ShowApplication(ShowUnitArgs),
    /// Mark failed hooks as resolved and run them again
    #[command(visible_alias = "resolve")]
    Resolved(ResolvedArgs),
    /// Show the log of the model
    DebugLog(DebugLogArgs),
    /// List storage
    #[command(visible_alias = "list-storage")]
    Storage(ModelPlainArgs),
    /// Remove detached storage
    RemoveStorage(RemoveStorageArgs),
    /// Relate two applications
    #[command(visible_alias = "relate")]
    Integrate(IntegrateArgs),
    /// Remove a relation
    RemoveRelation(RemoveRelationArgs),
    /// Suspend relations to an offer
    SuspendRelation(RelationIdsArgs),
    /// Resume suspended relations
    ResumeRelation(RelationIdsArgs),
    /// Offer endpoints to other models
    Offer(OfferArgs),
    /// List the offers of a model
    #[command(visible_alias = "list-offers")]
    Offers(OffersArgs),
    /// Remove offers
    RemoveOffer(RemoveOfferArgs),
    /// Find offers of all models
    FindOffers(FindOffersArgs),
    /// Use another model's offer in this model
    Consume(ConsumeArgs),
    /// Remove consumed offers
    #[command(visible_alias = "remove-consumed-application")]
    RemoveSaas(RemoveSaasArgs),
    /// List consumed offers
    Saas(ModelPlainArgs),
    /// Run an action on units
    Run(RunArgs),
    /// List an application's actions
    #[command(visible_alias = "list-actions")]
    Actions(ActionsArgs),
    /// Show a task
    ShowTask(ShowTaskArgs),
    /// Show an operation
    ShowOperation(ShowOperationArgs),
    /// List operations
    #[command(visible_alias = "list-operations")]
    Operations(OperationsArgs),
    /// Cancel tasks
    CancelTask(CancelTaskArgs),
    /// Run a command in units' hook contexts
    Exec(ExecArgs),
    /// Run a command or a shell in a container of a unit
    Ssh(SshArgs),
    /// Copy files to and from units
    Scp(ScpArgs),
    /// Add a secret
    AddSecret(AddSecretArgs),
    /// Update a secret
    UpdateSecret(UpdateSecretArgs),
    /// Let applications read a secret
    GrantSecret(GrantSecretArgs),
    /// Take back applications' access to a secret
    RevokeSecret(GrantSecretArgs),
    /// Remove a secret
    RemoveSecret(RemoveSecretArgs),
    /// List secrets
    #[command(visible_alias = "list-secrets")]
    Secrets(SecretsArgs),
    /// Show a secret
    ShowSecret(ShowSecretArgs),
    /// juju-local: break something on purpose
    Fault(FaultArgs),
    /// juju-local: run a command of this machine inside the model's network
    Net(NetArgs),
    /// The controller's own process
    #[command(hide = true)]
    Daemon(DaemonArgs),
    /// The process of a unit's charm container
    #[command(hide = true)]
    UnitAgent,
    /// The init container of a unit
    #[command(hide = true)]
    CharmInit,
    /// A command of juju that does nothing in a Kubernetes model of juju-local
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// A command that takes a model and an output format only.
#[derive(Debug, Args)]
pub struct ModelPlainArgs {
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}
