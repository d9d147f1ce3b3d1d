//! Flags of the commands on secrets.

use std::path::PathBuf;

use clap::Args;

use super::{ModelArg, OutputArgs};

/// `add-secret`.
#[derive(Debug, Args)]
pub struct AddSecretArgs {
    /// Name
    pub name: String,
    /// key=value, key#base64=value or key#file=path
    pub content: Vec<String>,
    /// YAML file of keys and values
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// Description
    #[arg(long)]
    pub info: Option<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `update-secret`.
#[derive(Debug, Args)]
pub struct UpdateSecretArgs {
    /// Id or name
    pub secret: String,
    /// key=value, key#base64=value or key#file=path
    pub content: Vec<String>,
    /// YAML file of keys and values
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// New name
    #[arg(long)]
    pub name: Option<String>,
    /// Description
    #[arg(long)]
    pub info: Option<String>,
    /// Remove old revisions that nobody uses
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub auto_prune: Option<bool>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `grant-secret` and `revoke-secret`.
#[derive(Debug, Args)]
pub struct GrantSecretArgs {
    /// Id or name
    pub secret: String,
    /// Applications
    #[arg(required = true, value_delimiter = ',')]
    pub apps: Vec<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `remove-secret`.
#[derive(Debug, Args)]
pub struct RemoveSecretArgs {
    /// Id or name
    pub secret: String,
    /// Only this revision
    #[arg(long)]
    pub revision: Option<u64>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `secrets`.
#[derive(Debug, Args)]
pub struct SecretsArgs {
    /// Only of this owner
    #[arg(long)]
    pub owner: Option<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `show-secret`.
#[derive(Debug, Args)]
pub struct ShowSecretArgs {
    /// Id or name
    pub secret: String,
    /// With its contents
    #[arg(long)]
    pub reveal: bool,
    /// This revision
    #[arg(short, long)]
    pub revision: Option<u64>,
    /// All revisions
    #[arg(long)]
    pub revisions: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}
