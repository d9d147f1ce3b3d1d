//! A Kubernetes API server for one machine, with what Patroni and charms use of it: objects with
//! optimistic concurrency, watches, the four kinds of patches, selectors, service accounts with
//! tokens, RBAC, garbage collection, and the controller that keeps Endpoints of Services.
//!
//! There is no scheduler, no kubelet and no admission; whoever embeds the server runs the pods and
//! writes their status.

mod auth;
mod certificates;
mod client;
mod defaults;
mod discovery;
mod endpoints;
mod error;
mod failure;
mod gc;
mod handlers;
mod journal;
mod json;
mod managed;
mod node_ports;
mod patch;
mod remote;
mod remove;
mod request;
mod resource;
mod selector;
mod server;
mod spawned;
mod store;
mod validate;
mod watch;
mod write;

pub use client::{Client, Events};
pub use error::Error;
pub use remote::Remote;
pub use server::{ApiServer, Config, Fault, Stamp};
pub use spawned::{Spawned, VERSION, binary};
