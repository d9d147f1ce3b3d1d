//! Flags of the commands on relations and offers.

use clap::Args;

use super::{ModelArg, OutputArgs};

/// `integrate`.
#[derive(Debug, Args)]
pub struct IntegrateArgs {
    /// <application>[:<endpoint>], or the URL of an offer
    pub a: String,
    /// <application>[:<endpoint>], or the URL of an offer
    pub b: String,
    /// Source networks of the traffic, comma-separated
    #[arg(long)]
    pub via: Option<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `remove-relation`.
#[derive(Debug, Args)]
pub struct RemoveRelationArgs {
    /// Two ends, or a relation id
    #[arg(required = true, num_args = 1..=2)]
    pub ends: Vec<String>,
    /// Without hooks
    #[arg(long)]
    pub force: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub no_wait: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `suspend-relation` and `resume-relation`.
#[derive(Debug, Args)]
pub struct RelationIdsArgs {
    /// Relation ids
    #[arg(required = true, value_delimiter = ',')]
    pub ids: Vec<u32>,
    /// Why
    #[arg(long)]
    pub message: Option<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `offer`.
#[derive(Debug, Args)]
pub struct OfferArgs {
    /// [<model>.]<application>:<endpoint>[,<endpoint>...]
    pub what: String,
    /// Offer name; the application's by default
    pub name: Option<String>,
    /// Controller name
    #[arg(short, long)]
    pub controller: Option<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `offers`.
#[derive(Debug, Args)]
pub struct OffersArgs {
    /// Only this offer
    pub name: Option<String>,
    /// Only offers of this interface
    #[arg(long)]
    pub interface: Option<String>,
    /// Only offers of this application
    #[arg(long)]
    pub application: Option<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `remove-offer`.
#[derive(Debug, Args)]
pub struct RemoveOfferArgs {
    /// Offer names or URLs
    #[arg(required = true)]
    pub names: Vec<String>,
    /// With its relations
    #[arg(long)]
    pub force: bool,
    /// Do not ask for confirmation
    #[arg(short = 'y', long, visible_alias = "yes")]
    pub no_prompt: bool,
    /// Controller name
    #[arg(short, long)]
    pub controller: Option<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `find-offers`.
#[derive(Debug, Args)]
pub struct FindOffersArgs {
    /// Only offers whose URL begins so
    pub url: Option<String>,
    /// Only offers of this interface
    #[arg(long)]
    pub interface: Option<String>,
    /// Only this offer
    #[arg(long)]
    pub offer: Option<String>,
    /// Taken since libraries put it before everything
    #[arg(short, long, hide = true)]
    pub model: Option<String>,
    /// The output.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `consume`.
#[derive(Debug, Args)]
pub struct ConsumeArgs {
    /// [<controller>:][<owner>/]<model>.<offer>
    pub url: String,
    /// Local name
    pub alias: Option<String>,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}

/// `remove-saas`.
#[derive(Debug, Args)]
pub struct RemoveSaasArgs {
    /// Local names
    #[arg(required = true)]
    pub names: Vec<String>,
    /// Ignored
    #[arg(long, hide = true)]
    pub force: bool,
    /// Ignored
    #[arg(long, hide = true)]
    pub no_wait: bool,
    /// The model.
    #[command(flatten)]
    pub model: ModelArg,
}
