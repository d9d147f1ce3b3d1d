//! What each command does, grouped as `juju help` groups them.

pub mod action_call;
pub mod apps;
pub mod bootstrap;
pub mod config;
pub mod controllers;
pub mod fault;
pub mod log;
pub mod models;
pub mod offers;
pub mod operations;
pub mod relations;
pub mod scp;
pub mod secrets;
pub mod show;
pub mod ssh;
pub mod status_log;
pub mod task_text;
pub mod tasks;
pub mod units;
