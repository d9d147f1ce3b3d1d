//! Flags of the commands that reach into units, and of juju-local's own.

use clap::{Args, Subcommand};

use super::ModelArg;

/// `ssh`.
#[derive(Debug, Args)]
pub struct SshArgs {
    /// <unit>, <application>/leader or <user>@<unit>
    pub target: String,
    /// The command; a shell without it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
    /// Container
    #[arg(long, default_value = "charm")]
    pub container: String,
    /// Ignored
    #[arg(long, hide = true)]
    pub no_host_key_checks: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub proxy: bool,
    /// Ignored
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true)]
    pub pty: Option<Option<String>>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `scp`.
#[derive(Debug, Args)]
pub struct ScpArgs {
    /// [-r] <source> ... <destination>, remote ones as <unit>:<path>
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
    /// Container
    #[arg(long, default_value = "charm")]
    pub container: String,
    /// Ignored
    #[arg(long, hide = true)]
    pub no_host_key_checks: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub proxy: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `net`.
#[derive(Debug, Args)]
pub struct NetArgs {
    /// The command, a shell without it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `fault`.
#[derive(Debug, Args)]
pub struct FaultArgs {
    /// Which.
    #[command(subcommand)]
    pub kind: FaultKind,
    /// Model to operate in. Accepts [<controller name>:]<model name>
    #[arg(short, long, global = true)]
    pub model: Option<String>,
}

/// The faults.
#[derive(Debug, Subcommand)]
pub enum FaultKind {
    /// Signal the processes of a container whose command line holds a text
    Signal {
        /// Unit
        unit: String,
        /// Part of the command line
        process: String,
        /// Container
        #[arg(long, default_value = "charm")]
        container: String,
        /// KILL, STOP, CONT, TERM, ...
        #[arg(long, default_value = "KILL")]
        signal: String,
    },
    /// Kill a container's first process
    KillContainer {
        /// Unit
        unit: String,
        /// Container
        container: String,
    },
    /// Kill all containers of a unit's pod at once
    KillPod {
        /// Unit
        unit: String,
        /// Delete the pod too: a new one with a new address follows
        #[arg(long)]
        delete: bool,
    },
    /// Cut units off from the network
    Cut {
        /// Units
        #[arg(required = true)]
        units: Vec<String>,
        /// Only from these units, comma-separated
        #[arg(long, value_delimiter = ',')]
        from: Vec<String>,
    },
    /// Lose packets from and to units
    Lossy {
        /// Units
        #[arg(required = true)]
        units: Vec<String>,
        /// So many of a hundred
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=100))]
        percent: u8,
    },
    /// Heal all cuts and losses
    Heal,
    /// Change how pods see the Kubernetes API: up, down, hang, or an HTTP status
    KubernetesApi {
        /// Mode
        mode: String,
    },
    /// Kill the charm of a unit at the K-th effect of its next hook
    KillAtEffect {
        /// Unit
        unit: String,
        /// K, from 1
        effect: u32,
    },
    /// Give leadership to a unit now
    StealLeadership {
        /// Unit
        unit: String,
    },
    /// Make a charm's secret due for rotation now
    RotateSecret {
        /// Id
        secret: String,
    },
    /// Fill a unit's volume to so many per cent; 0 frees it again
    FillDisk {
        /// Unit
        unit: String,
        /// Per cent
        #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
        percent: u8,
    },
}
