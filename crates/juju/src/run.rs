//! One hook from its environment to its exit code.

use std::error::Error;
use std::process::ExitCode;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::context::Context;
use crate::env::HookEnv;
use crate::log::JujuLog;
use crate::tools::{HookTools, ProcessTools, ToolError};

/// Why a hook fails.
#[derive(Debug, thiserror::Error)]
pub enum HookError<E: Error + 'static> {
    /// The charm's own reason.
    #[error(transparent)]
    Charm(E),
    /// The databags could not be sent.
    #[error("cannot send what the hook wrote")]
    Flush(#[source] ToolError),
}

/// Runs a charm's code for one hook and sends what it wrote to databags. This is all there is
/// between a charm and the tools, in production and under test.
///
/// # Errors
/// When the charm fails, which sends nothing, or Juju refuses what it wrote.
pub fn run_hook<E: Error + 'static>(
    env: &HookEnv,
    tools: &dyn HookTools,
    charm: impl FnOnce(&HookEnv, &Context<'_>) -> Result<(), E>,
) -> Result<(), HookError<E>> {
    let context = Context::for_hook(env, tools);
    charm(env, &context).map_err(HookError::Charm)?;
    context.flush().map_err(HookError::Flush)
}

/// A charm's `main`: the hook of this process's environment, run with Juju's tools. `tracing`'s
/// events from INFO on go to Juju's log, and so does the error of a hook that fails.
pub fn main<E: Error + 'static>(
    charm: impl FnOnce(&HookEnv, &Context<'_>) -> Result<(), E>,
) -> ExitCode {
    let env = match HookEnv::from_process() {
        Ok(env) => env,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let log: &'static JujuLog = Box::leak(Box::default());
    // A charm that has set up its own subscriber keeps it.
    let _ = tracing_subscriber::registry()
        .with(log.with_filter(LevelFilter::INFO))
        .try_init();
    let tools = ProcessTools;
    let result = run_hook(&env, &tools, charm);
    if let Err(error) = &result {
        tracing::error!("{}", chain(error));
    }
    log.flush(&tools);
    if result.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// An error with what led to it.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
