//! Pods on one machine: isolated networks with Kubernetes' names and Services, and containers made
//! of Linux namespaces over the machine's own files.
//!
//! Every model has a network namespace of its own, and nothing leads out of it: no packet of a pod
//! leaves the machine. It needs root, `iproute2`, `nftables` and `util-linux`.

mod cleanup;
mod container;
mod dns;
mod forward;
mod init;
mod network;

pub use cleanup::cleanup;
pub use container::{Container, ContainerSpec, Mount, alive};
pub use dns::{Names, serve as serve_dns};
pub use forward::{Gate, Passage, forward};
pub use init::maybe_run_helper;
pub use network::{API_ADDRESS, DNS_ADDRESS, Network, PodNetwork, ServicePort};

/// Why something could not be made or undone.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tool of the system failed.
    #[error("cannot {what}: {text}")]
    Tool {
        /// What was to be done.
        what: String,
        /// What the tool said.
        text: String,
    },
    /// The system refused.
    #[error("cannot {what}")]
    System {
        /// What was to be done.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn system(what: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::System {
            what: what.into(),
            source: source.into(),
        }
    }
}

/// Runs a tool to its end, with this on its standard input.
pub(crate) fn tool(what: &str, program: &str, args: &[&str], input: &str) -> Result<String, Error> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let failed = |source| Error::system(format!("{what} ({program})"), source);
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that fails early does not read; its error follows.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Tool {
        what: what.to_owned(),
        text,
    })
}
