//! What Juju gives a charm: hooks as typed events, hook tools, databags, secrets, statuses.
//!
//! Juju runs the charm's `dispatch` once for every hook and action. A charm written with this crate
//! is a function of the hook's environment, which tells the [`Event`], and of a [`Context`], through
//! which it asks Juju for everything else; [`main`] runs it.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use juju::{Context, Event, HookEnv, Status, ToolError};
//!
//! fn hook(env: &HookEnv, juju: &Context<'_>) -> Result<(), ToolError> {
//!     match env.event() {
//!         Event::Action(action) if action.name == "greet" => {
//!             juju.action_set(&[("greeting", "hello")])?;
//!         }
//!         // A hook that this charm does not know is no error.
//!         _ => {}
//!     }
//!     if juju.is_leader()? {
//!         for relation in juju.relation_ids("clients")? {
//!             juju.relation_set(&relation, env.application(), "greeting", "hello");
//!         }
//!     }
//!     juju.set_status(&Status::active("ready"))
//! }
//!
//! fn main() -> ExitCode {
//!     juju::main(hook)
//! }
//! ```
//!
//! The crate's README has a longer one with its tests, and `examples/tick` is a whole charm
//! directory. With the feature `harness` there is `harness`, which runs the same function over a
//! state instead of against Juju.
//!
//! # Parts
//!
//! * [`HookEnv`] and [`Event`]: why Juju runs the charm.
//! * [`Context`]: every tool that a Kubernetes charm can call.
//! * [`main`] and [`run_hook`]: a process, and one hook of it. A charm that needs more in its `main`
//!   (a runtime, clients) does as they do: [`Context::for_hook`], its own code, [`Context::flush`].
//! * [`HookTools`]: how a tool is run. [`ProcessTools`] starts Juju's; the harness simulates them.
//! * [`JujuLog`]: `tracing`'s events in Juju's log.
//!
//! # What is sent when
//!
//! Every hook tool is a process, so reads are kept for the rest of the hook, what is there already is
//! not written again, and writes to databags wait for [`Context::flush`], which sends one call a bag
//! with the keys that differ. Juju itself applies what a hook wrote only if the hook exits 0; statuses
//! and logs apply at once.
//!
//! # Errors
//!
//! A tool that refuses gives a [`ToolError`] with Juju's own words and a [`Refusal`] that a charm
//! can decide on. Contents of secrets are never part of an error, a log line or a command line.

/// The README's examples are tests.
#[cfg(all(doctest, feature = "harness"))]
#[doc = include_str!("../README.md")]
struct Readme;

mod context;
mod env;
mod event;
#[cfg(feature = "harness")]
pub mod harness;
mod log;
mod refusals;
mod run;
mod secrets;
mod status;
mod tools;

pub use context::{Context, LogLevel, Read, SecretKey};
pub use env::{EnvError, HookEnv};
pub use event::{
    ActionEvent, CheckEvent, Event, NoticeEvent, RelationEvent, SecretEvent, StorageEvent,
    WorkloadEvent,
};
pub use log::JujuLog;
pub use refusals::Refusal;
pub use run::{HookError, main, run_hook};
pub use secrets::{SecretContent, SecretInfo, SecretSpec};
pub use status::{Goal, GoalState, Status, StatusWord};
pub use tools::{HookTools, Output, ProcessTools, ToolError};
