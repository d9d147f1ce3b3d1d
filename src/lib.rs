//! Charmed PostgreSQL for Kubernetes: the operator.
//!
//! One process a hook: `environment -> Event -> handler -> observe -> plan -> apply -> status ->
//! exit code`. [`dispatch`] says which handler a hook runs, [`handlers::reconcile`] is the path of
//! nearly all of them, and the decisions themselves are in the crate `cluster_plan`.

pub mod apply;
pub mod clients;
pub mod dispatch;
pub mod extensions;
pub mod handlers;
pub mod juju_port;
pub mod layer;
pub mod observe;
pub mod ports;
pub mod predefined;
pub mod render;
pub mod run;
pub mod scram;
pub mod secrets;
pub mod services;
pub mod session;

use std::error::Error;

/// An error and all that is behind it, in one line.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let inner = source.to_string();
        // Some libraries repeat the inner error in the outer text.
        if !text.ends_with(&inner) {
            text.push_str(": ");
            text.push_str(&inner);
        }
        next = source.source();
    }
    text
}
