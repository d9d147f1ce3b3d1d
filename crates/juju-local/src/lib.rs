//! A Juju model on one machine, for sidecar charms.

pub mod agent;
pub mod cli;
pub mod controller;
mod duration;
pub mod home;
pub mod juju;
mod process;

pub use process::main;
