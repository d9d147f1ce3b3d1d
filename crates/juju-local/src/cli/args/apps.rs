//! Flags of the commands on applications and units.

use std::path::PathBuf;

use clap::Args;

use super::{ModelArg, OutputArgs};

/// `deploy`.
#[derive(Debug, Args)]
pub struct DeployArgs {
    /// Charm directory or packed .charm, starting with "/" or "."
    pub charm: String,
    /// Application name; the charm's by default
    pub app: Option<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// Number of units
    #[arg(short, long, default_value_t = 1)]
    pub num_units: u32,
    /// key=value, key=@file, or a YAML file with the application's options
    #[arg(long, value_name = "KEY=VALUE|FILE")]
    pub config: Vec<String>,
    /// name=value
    #[arg(long, value_name = "NAME=VALUE")]
    pub resource: Vec<String>,
    /// Allow access to the cluster
    #[arg(long)]
    pub trust: bool,
    /// Shown in status
    #[arg(long)]
    pub channel: Option<String>,
    /// Shown in status
    #[arg(long)]
    pub base: Option<String>,
    /// Resource limits, e.g. "mem=2G cpu-power=200"
    #[arg(long)]
    pub constraints: Vec<String>,
    /// name=directive, e.g. pgdata=10G
    #[arg(long, value_name = "NAME=DIRECTIVE")]
    pub storage: Vec<String>,
    /// Volumes to use, in the units' order
    #[arg(long, value_delimiter = ',')]
    pub attach_storage: Vec<String>,
    /// Flags of juju's that mean nothing on this machine.
    #[command(flatten)]
    pub ignored: DeployIgnored,
}

/// Flags of `juju deploy` that are taken and not used.
#[derive(Debug, Args)]
pub struct DeployIgnored {
    /// Ignored
    #[arg(long, hide = true)]
    pub revision: Option<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub device: Vec<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub bind: Option<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub force: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub overlay: Vec<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub to: Option<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub dry_run: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub map_machines: Option<String>,
}

/// `refresh`.
#[derive(Debug, Args)]
pub struct RefreshArgs {
    /// Application name
    pub app: String,
    /// Charm directory or packed .charm
    #[arg(long, visible_alias = "switch")]
    pub path: Option<String>,
    /// name=value
    #[arg(long, value_name = "NAME=VALUE")]
    pub resource: Vec<String>,
    /// key=value, key=@file, or a YAML file with the application's options
    #[arg(long, value_name = "KEY=VALUE|FILE")]
    pub config: Vec<String>,
    /// Refresh units in error too
    #[arg(long)]
    pub force_units: bool,
    /// Allow access to the cluster
    #[arg(long)]
    pub trust: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// Flags of juju's that mean nothing on this machine.
    #[command(flatten)]
    pub ignored: RefreshIgnored,
}

/// Flags of `juju refresh` that are taken and not used.
#[derive(Debug, Args)]
pub struct RefreshIgnored {
    /// Ignored
    #[arg(long, hide = true)]
    pub base: Option<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub channel: Option<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub force: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub force_base: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub revision: Option<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub storage: Vec<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub bind: Option<String>,
}

/// `status`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct StatusArgs {
    /// Applications, units or status words to show; * and ? stand for any text and any character
    pub selectors: Vec<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Show relations
    #[arg(long, visible_alias = "integrations")]
    pub relations: bool,
    /// Show storage
    #[arg(long)]
    pub storage: bool,
    /// Go on: redraw at each change, and at least this often
    #[arg(long, value_name = "DURATION")]
    pub watch: Option<String>,
    /// Use colours even when not on a terminal
    #[arg(long)]
    pub color: bool,
    /// Use no colours
    #[arg(long)]
    pub no_color: bool,
    /// Show times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub retry_count: Option<u32>,
    /// Ignored
    #[arg(long, hide = true)]
    pub retry_delay: Option<String>,
}

/// `add-unit`.
#[derive(Debug, Args)]
pub struct AddUnitArgs {
    /// Application name
    pub app: String,
    /// Number of units to add
    #[arg(short, long, default_value_t = 1)]
    pub num_units: u32,
    /// Volumes to use, in the units' order
    #[arg(long, value_delimiter = ',')]
    pub attach_storage: Vec<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub to: Option<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `remove-unit`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct RemoveUnitArgs {
    /// Application name
    #[arg(required = true)]
    pub apps: Vec<String>,
    /// Number of units to remove
    #[arg(long)]
    pub num_units: Option<u32>,
    /// Destroy their volumes too
    #[arg(long)]
    pub destroy_storage: bool,
    /// End what has not ended by itself after a minute
    #[arg(long)]
    pub force: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    pub no_prompt: bool,
    /// Say what would be removed and stop
    #[arg(long)]
    pub dry_run: bool,
    /// With --force: do not wait at all
    #[arg(long)]
    pub no_wait: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `scale-application`.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// Application name
    pub app: String,
    /// Number of units
    pub scale: u32,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `remove-application`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct RemoveApplicationArgs {
    /// Application names
    #[arg(required = true)]
    pub apps: Vec<String>,
    /// Destroy their volumes too
    #[arg(long)]
    pub destroy_storage: bool,
    /// End what has not ended by itself after a minute
    #[arg(long)]
    pub force: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    pub no_prompt: bool,
    /// Say what would be removed and stop
    #[arg(long)]
    pub dry_run: bool,
    /// With --force: do not wait at all
    #[arg(long)]
    pub no_wait: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Application name
    pub app: String,
    /// An option to print, or key=value and key=@file pairs to set
    pub items: Vec<String>,
    /// Options to set back to their defaults, comma-separated
    #[arg(long, value_delimiter = ',')]
    pub reset: Vec<String>,
    /// A YAML file with the application's options
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// Ignored
    #[arg(long, hide = true)]
    pub color: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub no_color: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `trust`.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// Application name
    pub app: String,
    /// Take it away
    #[arg(long)]
    pub remove: bool,
    /// "cluster"
    #[arg(long)]
    pub scope: Option<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `constraints`.
#[derive(Debug, Args)]
pub struct ConstraintsArgs {
    /// Application name
    pub app: String,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `set-constraints`.
#[derive(Debug, Args)]
pub struct SetConstraintsArgs {
    /// Application name
    pub app: String,
    /// key=value pairs
    pub constraints: Vec<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `attach-resource`.
#[derive(Debug, Args)]
pub struct AttachResourceArgs {
    /// Application name
    pub app: String,
    /// name=value
    pub resource: String,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// A command on one application with an output.
#[derive(Debug, Args)]
pub struct AppArgs {
    /// Application name
    pub app: String,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `show-unit` and `show-application`.
#[derive(Debug, Args)]
pub struct ShowUnitArgs {
    /// Names
    #[arg(required = true)]
    pub names: Vec<String>,
    /// Only the application's side of relation data
    #[arg(long)]
    pub app: bool,
    /// Only relations of this endpoint
    #[arg(long)]
    pub endpoint: Option<String>,
    /// Only relations with this unit
    #[arg(long)]
    pub related_unit: Option<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `resolved`.
#[derive(Debug, Args)]
pub struct ResolvedArgs {
    /// Units
    pub units: Vec<String>,
    /// All units in error
    #[arg(long)]
    pub all: bool,
    /// Count the failed hook as done instead of running it again
    #[arg(long)]
    pub no_retry: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `debug-log`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct DebugLogArgs {
    /// Show the entire log and go on
    #[arg(long)]
    pub replay: bool,
    /// Go on as lines come
    #[arg(long, conflicts_with = "no_tail")]
    pub tail: bool,
    /// Stop at the end of the log
    #[arg(long)]
    pub no_tail: bool,
    /// Show this many of the last lines, then go on
    #[arg(short = 'n', long)]
    pub lines: Option<usize>,
    /// Show this many of the last lines and stop
    #[arg(long)]
    pub limit: Option<usize>,
    /// At least this level: TRACE, DEBUG, INFO, WARNING, ERROR
    #[arg(short, long)]
    pub level: Option<String>,
    /// Only these entities
    #[arg(short, long, value_delimiter = ',')]
    pub include: Vec<String>,
    /// Not these entities
    #[arg(short = 'x', long, value_delimiter = ',')]
    pub exclude: Vec<String>,
    /// Only these modules
    #[arg(long, value_delimiter = ',')]
    pub include_module: Vec<String>,
    /// Not these modules
    #[arg(long, value_delimiter = ',')]
    pub exclude_module: Vec<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub include_label: Vec<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub exclude_label: Vec<String>,
    /// Use colours even when not on a terminal
    #[arg(long)]
    pub color: bool,
    /// Use no colours
    #[arg(long)]
    pub no_color: bool,
    /// Show the date
    #[arg(long)]
    pub date: bool,
    /// Show milliseconds
    #[arg(long)]
    pub ms: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub location: bool,
    /// Show times in UTC
    #[arg(long)]
    pub utc: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `show-status-log`.
#[derive(Debug, Args)]
pub struct StatusLogArgs {
    /// A unit, or an application
    pub entity: String,
    /// Type of statuses: unit, workload, juju-unit or application
    #[arg(long = "type", default_value = "unit")]
    pub kind: String,
    /// Show the last N, 20 unless another flag says how far back
    #[arg(short)]
    pub n: Option<usize>,
    /// Show those of so many days
    #[arg(long)]
    pub days: Option<u32>,
    /// Show those from a date on, YYYY-MM-DD
    #[arg(long)]
    pub from_date: Option<String>,
    /// Show times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Ignored: update-status never is one here
    #[arg(long, hide = true)]
    pub include_status_updates: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `remove-storage`.
#[derive(Debug, Args)]
pub struct RemoveStorageArgs {
    /// Storage ids
    #[arg(required = true)]
    pub storage: Vec<String>,
    /// Ignored: only detached storage can be removed
    #[arg(long, hide = true)]
    pub force: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub no_destroy: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}
