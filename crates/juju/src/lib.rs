//! What Juju gives a charm: hooks as typed events, hook tools, databags, secrets, statuses.
//!
//! Juju runs the charm's `dispatch` once for every hook and action. A charm written with this
//! crate reads its environment, decides by the [`Event`], and talks to Juju through a
//! [`Context`]:
//!
//! ```no_run
//! use juju::{Context, Event, HookEnv, ProcessTools, Status};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let env = HookEnv::from_process()?;
//!     let tools = ProcessTools::default();
//!     let context = Context::new(&tools);
//!     match env.event() {
//!         Event::Action(action) if action.name == "greet" => {
//!             context.action_set(&[("greeting", "hello")])?;
//!         }
//!         Event::ConfigChanged | Event::Start => {
//!             context.set_status(&Status::active("ready"))?;
//!         }
//!         // A hook that this charm does not know is no error.
//!         _ => {}
//!     }
//!     context.flush()?;
//!     Ok(())
//! }
//! ```
//!
//! # What is sent when
//!
//! Every hook tool is a process, so reads are kept for the rest of the hook and writes to databags
//! wait for [`Context::flush`], which sends one call a bag with the keys that differ. Juju itself
//! applies what a hook wrote only if the hook exits 0; statuses and logs apply at once.
//!
//! # Errors
//!
//! A tool that refuses gives a [`ToolError`] with Juju's own words and a [`Refusal`] that a charm
//! can decide on. Contents of secrets are never part of an error, a log line or a command line.

mod context;
mod env;
mod event;
#[cfg(feature = "harness")]
pub mod harness;
mod log;
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
pub use run::{HookError, main, run_hook};
pub use secrets::{SecretContent, SecretInfo, SecretSpec};
pub use status::{Goal, GoalState, Status, StatusWord};
pub use tools::{HookTools, Output, ProcessTools, Refusal, ToolError};
