//! A service manager with Pebble's HTTP API: the first process of the local model's workload
//! containers. It runs real processes; clients of Pebble work against it unchanged.
//!
//! What Pebble has and this does not: forwarding of logs (targets are validated, shown in the
//! plan and otherwise idle), `--https` with pairing and certificates, passwords of identities.

mod api;
mod changes;
mod checks;
mod cli;
mod daemon;
mod duration;
mod exec;
mod files;
mod identities;
mod init;
mod logs;
mod notices;
mod persist;
mod plan;
mod process;
mod run;
mod services;
mod time;
mod users;

use std::ffi::OsString;
use std::process::ExitCode;

/// What `system-info` and `pebble version` say.
const VERSION: &str = "v1.26.0-local";

/// Runs `pebble` with these arguments, the first being the program's own name, and gives the exit
/// code of the process. As the first process of a PID namespace, `pebble run` splits into an init
/// and the server proper.
#[must_use]
pub fn main_from_args(args: Vec<OsString>) -> ExitCode {
    let args: Vec<String> = args
        .into_iter()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let rest = args.get(1..).unwrap_or_default();
    match rest.first().map(String::as_str) {
        Some("run") if std::process::id() == 1 => init::supervise(&args),
        Some("run") => run::main(rest.get(1..).unwrap_or_default()),
        Some("__tty") => exec::pty::become_command(rest.get(1..).unwrap_or_default()),
        _ => cli::main(rest),
    }
}
