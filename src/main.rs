//! The operator binary that Juju dispatches for every hook and action.

use std::process::ExitCode;

fn main() -> ExitCode {
    postgresql_k8s::run::hook()
}
