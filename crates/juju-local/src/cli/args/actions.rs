//! Flags of the commands on actions and tasks.

use std::path::PathBuf;

use clap::Args;

use super::{ModelArg, OutputArgs};

/// How long to wait for tasks, and how to print them.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct WaitArgs {
    /// Longest wait for a task
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub wait: Option<String>,
    /// Do not wait
    #[arg(long)]
    pub background: bool,
    /// Show times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub color: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub no_color: bool,
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// <unit> [<unit> ...] <action> [<key>[.<key>...]=<value> ...]; a unit may be <app>/leader
    #[arg(required = true)]
    pub words: Vec<String>,
    /// YAML file with the parameters
    #[arg(long, value_name = "FILE")]
    pub params: Option<PathBuf>,
    /// Take values as text, not as YAML
    #[arg(long)]
    pub string_args: bool,
    /// Waiting.
    #[command(flatten)]
    pub wait: WaitArgs,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `exec`.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// The command
    #[arg(required = true, trailing_var_arg = true)]
    pub command: Vec<String>,
    /// Units, comma-separated; <app>/leader is one
    #[arg(short, long, value_delimiter = ',')]
    pub unit: Vec<String>,
    /// All units of these applications, comma-separated
    #[arg(short, long, visible_alias = "app", value_delimiter = ',')]
    pub application: Vec<String>,
    /// All units of the model
    #[arg(long)]
    pub all: bool,
    /// Refused: there are no machines
    #[arg(long, hide = true, value_delimiter = ',')]
    pub machine: Vec<String>,
    /// Ignored: commands always run in the charm container
    #[arg(long, hide = true)]
    pub operator: bool,
    /// Ignored
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    pub parallel: Option<Option<String>>,
    /// Ignored
    #[arg(long, hide = true)]
    pub execution_group: Option<String>,
    /// Waiting.
    #[command(flatten)]
    pub wait: WaitArgs,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `actions`.
#[derive(Debug, Args)]
pub struct ActionsArgs {
    /// Application name
    pub app: String,
    /// With their parameters
    #[arg(long)]
    pub schema: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `show-task`.
#[derive(Debug, Args)]
pub struct ShowTaskArgs {
    /// Task id
    pub id: String,
    /// Longest wait for it
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub wait: Option<String>,
    /// Wait for it and show its log as it goes
    #[arg(long)]
    pub watch: bool,
    /// Show times in UTC
    #[arg(long)]
    pub utc: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `show-operation`.
#[derive(Debug, Args)]
pub struct ShowOperationArgs {
    /// Operation id
    pub id: String,
    /// Longest wait for its tasks
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true)]
    pub wait: Option<String>,
    /// Wait for its tasks
    #[arg(long)]
    pub watch: bool,
    /// Show times in UTC
    #[arg(long)]
    pub utc: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `operations`.
#[derive(Debug, Args)]
pub struct OperationsArgs {
    /// Only of these actions
    #[arg(long, value_delimiter = ',')]
    pub actions: Vec<String>,
    /// Only of these applications
    #[arg(long, visible_alias = "apps", value_delimiter = ',')]
    pub applications: Vec<String>,
    /// Only of these units
    #[arg(long, value_delimiter = ',')]
    pub units: Vec<String>,
    /// Only of these states
    #[arg(long, value_delimiter = ',')]
    pub status: Vec<String>,
    /// At most so many
    #[arg(long)]
    pub limit: Option<usize>,
    /// Show times in UTC
    #[arg(long)]
    pub utc: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `cancel-task`.
#[derive(Debug, Args)]
pub struct CancelTaskArgs {
    /// Task ids
    #[arg(required = true)]
    pub ids: Vec<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}
