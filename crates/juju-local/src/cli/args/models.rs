//! Flags of the commands on controllers and models.

use std::path::PathBuf;

use clap::Args;

use super::{ModelArg, OutputArgs};
use crate::controller::Kubernetes;
use crate::juju::Juju;

/// `bootstrap`.
#[derive(Debug, Args)]
pub struct BootstrapArgs {
    /// [cloud] [controller name]; the cloud is always this machine
    #[arg(value_name = "NAME", num_args = 0..=2)]
    pub names: Vec<String>,
    /// Which version of Juju the models behave like
    #[arg(long, value_name = "VERSION", default_value = "3.6")]
    pub juju: Juju,
    /// The Kubernetes API in use.
    #[command(flatten)]
    pub kubernetes: KubernetesArgs,
    /// Flags of juju's that mean nothing on this machine.
    #[command(flatten)]
    pub ignored: BootstrapIgnored,
}

/// Which Kubernetes API the models use.
#[derive(Debug, Clone, Args)]
pub struct KubernetesArgs {
    /// Which Kubernetes API: "embedded", "real" for a kube-apiserver with etcd of this controller's
    /// own, or the URL of one that runs; its certificate must be for 10.152.183.1 too
    #[arg(long, value_name = "embedded|real|URL", default_value = "embedded")]
    pub kubernetes: String,
    /// Certificate of the authority of the server at the URL, PEM
    #[arg(long, value_name = "FILE")]
    pub kubernetes_ca: Option<PathBuf>,
    /// File with an administrator's bearer token for the server at the URL
    #[arg(long, value_name = "FILE")]
    pub kubernetes_token: Option<PathBuf>,
}

impl KubernetesArgs {
    /// What they mean.
    ///
    /// # Errors
    /// When they don't fit together, in words.
    pub fn choice(&self) -> Result<Kubernetes, String> {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let ca = self.kubernetes_ca.as_ref().map(absolute);
        let token = self.kubernetes_token.as_ref().map(absolute);
        match (self.kubernetes.as_str(), ca, token) {
            ("embedded", None, None) => Ok(Kubernetes::Embedded),
            ("real", None, None) => Ok(Kubernetes::Real),
            ("embedded" | "real", ..) => Err(
                "--kubernetes-ca and --kubernetes-token are for a --kubernetes URL only".to_owned(),
            ),
            (url, Some(ca), Some(token)) if url.starts_with("https://") => Ok(Kubernetes::At {
                url: url.to_owned(),
                ca,
                token,
            }),
            (url, ..) if url.starts_with("https://") => Err(format!(
                "--kubernetes {url} takes --kubernetes-ca and --kubernetes-token too"
            )),
            (other, ..) => Err(format!(
                "--kubernetes takes embedded, real or an https URL, not \"{other}\""
            )),
        }
    }
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
    /// Which version of Juju the models behave like
    #[arg(long, default_value = "3.6")]
    pub juju: Juju,
    /// The Kubernetes API in use.
    #[command(flatten)]
    pub kubernetes: KubernetesArgs,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(kubernetes: &str, files: bool) -> Result<Kubernetes, String> {
        let file = files.then(|| PathBuf::from("/f"));
        let args = KubernetesArgs {
            kubernetes: kubernetes.to_owned(),
            kubernetes_ca: file.clone(),
            kubernetes_token: file,
        };
        args.choice()
    }

    #[test]
    fn a_url_takes_a_token_and_an_authority_and_nothing_else_does() {
        assert!(matches!(
            choice("embedded", false),
            Ok(Kubernetes::Embedded)
        ));
        assert!(matches!(choice("real", false), Ok(Kubernetes::Real)));
        let at = choice("https://h:1", true);
        assert!(matches!(at, Ok(Kubernetes::At { url, .. }) if url == "https://h:1"));
        for (kubernetes, files) in [
            ("embedded", true),
            ("real", true),
            ("https://h:1", false),
            ("http://h:1", true),
            ("other", false),
        ] {
            assert!(choice(kubernetes, files).is_err(), "{kubernetes}");
        }
    }
}
