//! A service manager with Pebble's HTTP API: the first process of the local model's workload
//! containers. It runs real processes; clients of Pebble work against it unchanged.
//!
//! What Pebble has and this does not: log forwarding, `https`, pairing, metrics, terminals for
//! commands, and `workloads`; they are refused or passed over as said at their place.

mod api;
mod checks;
mod cli;
mod daemon;
mod exec;
mod files;
mod init;
mod process;
mod services;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs `pebble` with these arguments, the first being the program's own name.
#[must_use]
pub fn main_from_args(args: Vec<OsString>) -> ExitCode {
    let args: Vec<String> =
        args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let rest = args.get(1..).unwrap_or_default();
    match rest.first().map(String::as_str) {
        Some("run") if std::process::id() == 1 => init::supervise(&args),
        Some("run") => daemon::main(rest.get(1..).unwrap_or_default()),
        Some("__exec") => process::exec_as(rest.get(1..).unwrap_or_default()),
        _ => cli::main(rest),
    }
}
