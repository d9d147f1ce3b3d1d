//! Runs a charm's code for one event over a state, and tells the state that comes of it.
//!
//! The charm's code is the very code of production: it gets a [`HookEnv`](crate::HookEnv) and the
//! tools ([`HookTools`](crate::HookTools)), here answered from a [`State`] instead of by processes.
//!
//! ```
//! use juju::harness::{Harness, State};
//! use juju::{Context, Event, HookEnv, Status, ToolError};
//!
//! fn charm(_env: &HookEnv, context: &Context<'_>) -> Result<(), ToolError> {
//!     let config = context.config()?;
//!     let greeting = config.get("greeting").and_then(|value| value.as_str());
//!     context.set_status(&Status::active(greeting.unwrap_or("no greeting")))
//! }
//!
//! let harness = Harness::new(
//!     "name: hello",
//!     "options: {greeting: {type: string, default: hello}}",
//!     "",
//! )?;
//! let state = State::default().with_config("greeting", "good morning");
//! let outcome = harness.run(Event::ConfigChanged, &state, |env, tools| {
//!     juju::run_hook(env, tools, charm)
//! })?;
//! assert_eq!(outcome.failure, None);
//! assert_eq!(outcome.state.unit_status, Some(Status::active("good morning")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What holds
//!
//! * What a hook writes lands if it exits 0: databags, secrets, ports, `state-set`. Statuses, logs,
//!   the workload's version, leader settings and the first read of a secret stay whatever comes.
//! * What a unit may not see or write is refused in Juju's words.
//! * A hook whose leadership is gone by its end fails, if what it wrote needs leadership.
//! * Events and states that Juju never has together are refused before the charm runs
//!   ([`Inconsistent`]), with all reasons.
//! * [`Fault`]s let leadership go, tools refuse, the process die, the commit fail.
//!
//! # What it does not do
//!
//! It runs one event. It does not tell which event comes next, does not let time pass, and knows
//! of containers only their names and whether they can be reached: what runs in them is behind the
//! charm's own Pebble client. The state afterwards is what the hook made of it; that a unit that
//! departed is gone, say, is the next test step's to write. Juju's prefix of log lines in relation
//! hooks is left out, and so are the limits of a whole databag.

mod call;
mod check;
mod metadata;
mod outcome;
mod run;
mod secret;
mod simulator;
mod state;
mod tools;
mod trigger;

pub use check::Inconsistent;
pub use metadata::CharmError;
pub use outcome::{ActionOutcome, Call, Fault, Line, Outcome};
pub use run::{Exit, Harness};
pub use secret::{Grant, Owner, Secret};
pub use state::{Bag, Container, Model, Network, Relation, State, Storage, bag};
pub use trigger::Trigger;
