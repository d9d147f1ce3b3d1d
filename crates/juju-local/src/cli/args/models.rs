//! Flags of the commands on controllers and models.

use std::path::PathBuf;

use clap::Args;

use super::{ModelArg, OutputArgs};

/// `bootstrap`.
#[derive(Debug, Args)]
pub struct BootstrapArgs {
    /// [cloud] [controller name]; the cloud is always this machine
    #[arg(value_name = "NAME", num_args = 0..=2)]
    pub names: Vec<String>,
    /// URL of a real kube-apiserver to use instead of the embedded one
    #[arg(long, value_name = "URL", requires_all = ["kubernetes_ca", "kubernetes_token_file"])]
    pub kubernetes: Option<String>,
    /// Certificate of that server's authority, PEM
    #[arg(long, value_name = "FILE", requires = "kubernetes")]
    pub kubernetes_ca: Option<PathBuf>,
    /// File with an administrator's bearer token for that server
    #[arg(long, value_name = "FILE", requires = "kubernetes")]
    pub kubernetes_token_file: Option<PathBuf>,
    /// Flags of juju's that mean nothing on this machine.
    #[command(flatten)]
    pub ignored: BootstrapIgnored,
}

/// Flags of `juju bootstrap` that are taken and not used.
#[derive(Debug, Args)]
pub struct BootstrapIgnored {
    /// Ignored
    #[arg(long, hide = true)]
    pub no_switch: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub force: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub bootstrap_base: Option<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub bootstrap_constraints: Vec<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub config: Vec<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub constraints: Vec<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub credential: Option<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub model_default: Vec<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub storage_pool: Vec<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub metadata_source: Option<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub to: Option<String>,
}

/// `daemon`.
#[derive(Debug, Args)]
pub struct DaemonArgs {
    /// Controller name
    #[arg(long)]
    pub name: String,
    /// URL of a real kube-apiserver
    #[arg(long, requires_all = ["kubernetes_ca", "kubernetes_token_file"])]
    pub kubernetes: Option<String>,
    /// Its authority's certificate
    #[arg(long)]
    pub kubernetes_ca: Option<PathBuf>,
    /// An administrator's token for it
    #[arg(long)]
    pub kubernetes_token_file: Option<PathBuf>,
}

/// `destroy-controller`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct DestroyControllerArgs {
    /// Controller name
    pub name: Option<String>,
    /// Keep the volumes for a later bootstrap in the same home
    #[arg(long, conflicts_with = "destroy_storage")]
    pub release_storage: bool,
    /// Destroy the volumes (the default)
    #[arg(long)]
    pub destroy_storage: bool,
    /// Models are always destroyed along
    #[arg(long, hide = true)]
    pub destroy_all_models: bool,
    /// Do not ask for confirmation
    #[arg(short = 'y', long, visible_alias = "yes")]
    pub no_prompt: bool,
    /// End a daemon that does not answer, and clean up behind it
    #[arg(long)]
    pub force: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub no_wait: bool,
    /// Ignored
    #[arg(short, long, hide = true)]
    pub timeout: Option<String>,
}

/// A command that takes an output format only.
#[derive(Debug, Args)]
pub struct PlainArgs {
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Taken since libraries put it before everything
    #[arg(short, long, hide = true)]
    pub model: Option<String>,
    /// The controller; there is one
    #[arg(short, long, hide = true)]
    pub controller: Option<String>,
}

/// `version`.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// Prints all version information
    #[arg(long)]
    pub all: bool,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `add-model`.
#[derive(Debug, Args)]
pub struct AddModelArgs {
    /// Model name
    pub name: String,
    /// Ignored: the cloud is this machine
    #[arg(hide = true)]
    pub cloud: Option<String>,
    /// Model configuration, key=value or a YAML file
    #[arg(long, value_name = "KEY=VALUE")]
    pub config: Vec<String>,
    /// Do not switch to the new model
    #[arg(long)]
    pub no_switch: bool,
    /// Controller name
    #[arg(short, long)]
    pub controller: Option<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub credential: Option<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub owner: Option<String>,
}

/// `destroy-model`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct DestroyModelArgs {
    /// Model name
    pub name: String,
    /// Do not ask for confirmation
    #[arg(short = 'y', long, visible_alias = "yes")]
    pub no_prompt: bool,
    /// Destroy its volumes
    #[arg(long)]
    pub destroy_storage: bool,
    /// Keep its volumes for a later --attach-storage
    #[arg(long, conflicts_with = "destroy_storage")]
    pub release_storage: bool,
    /// Do not wait for units to run their last hooks
    #[arg(long)]
    pub force: bool,
    /// Do not wait for each step (only with --force)
    #[arg(long)]
    pub no_wait: bool,
    /// Longest wait for the removal (only with --force)
    #[arg(short, long)]
    pub timeout: Option<String>,
}

/// `switch`.
#[derive(Debug, Args)]
pub struct SwitchArgs {
    /// [<controller>:]<model>; without it the current one is printed
    pub target: Option<String>,
}

/// `show-model`.
#[derive(Debug, Args)]
pub struct ShowModelArgs {
    /// Model name
    pub name: Option<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `model-config`.
#[derive(Debug, Args)]
pub struct ModelConfigArgs {
    /// A key to print, or key=value pairs to set
    pub items: Vec<String>,
    /// Keys to set back to their defaults, comma-separated
    #[arg(long, value_delimiter = ',')]
    pub reset: Vec<String>,
    /// A YAML file of keys and values to set
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `set-model-constraints`.
#[derive(Debug, Args)]
pub struct SetModelConstraintsArgs {
    /// key=value pairs
    pub constraints: Vec<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}
