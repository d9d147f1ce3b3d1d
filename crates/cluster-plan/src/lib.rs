//! What a unit should do next, and why: a pure function of what it sees.
//!
//! [`observed::Observed`] is what the charm has looked up, [`options::Config`] what its operator
//! asked for. [`planner::plan`] turns both into a [`plan::Plan`]: steps in order, each with a
//! reason that a DBA understands, what it waits for, and what is wrong. [`status::judge`] turns
//! the same facts into the statuses that Juju shows. Nothing here does I/O, reads a clock or
//! draws a random number.

pub mod clients;
pub mod disk;
pub mod extensions;
pub mod external;
pub mod failure;
pub mod follow;
pub mod glance;
pub mod membership;
pub mod names;
pub mod observed;
pub mod options;
pub mod outlook;
pub mod ownership;
pub mod plan;
pub mod planner;
pub mod predefined;
pub mod refresh;
pub mod restarts;
pub mod roles;
pub mod status;
pub mod synchronous;
pub mod tls;
