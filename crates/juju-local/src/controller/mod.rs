//! The controller daemon: holds the models, answers the CLI and the units' agents, and runs the
//! pods.

mod agents;
mod bags;
mod charm;
mod cluster;
mod daemon;
mod deploy;
mod faults;
mod force;
mod history;
#[cfg(test)]
mod juju_tests;
mod kubernetes;
mod logs;
mod model;
mod offers;
mod pod_object;
mod pod_spec;
mod pods;
mod refresh;
mod relations;
mod remote_secrets;
mod resources;
mod rollout;
mod schema;
mod secrets;
mod show;
mod status;
mod tasks;
mod user_secrets;
mod users;
mod view;

pub use cluster::Kubernetes;
pub use daemon::{DaemonOptions, cleanup_dead, daemon_main};
