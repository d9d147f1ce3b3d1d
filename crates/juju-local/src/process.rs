//! Which of this binary's parts a process is: decided by the name it is called by, then by the
//! command line.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::args::DaemonArgs;
use crate::home::Home;
use crate::{agent, cli, controller};

/// Runs the part that the program's name and words ask for.
#[must_use]
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let name = words.first().and_then(|word| Path::new(word).file_name());
    if let Some(code) = pod_runtime::maybe_run_helper(&words) {
        return code;
    }
    match name.and_then(|name| name.to_str()) {
        Some("pebble") => return pebble_server::main_from_args(words),
        Some(tool) if agent::is_hook_tool(tool) => {
            let args = words
                .iter()
                .skip(1)
                .map(|word| word.to_string_lossy().into_owned());
            return agent::client_main(tool, args.collect());
        }
        _ => {}
    }
    cli::main(words)
}

/// The controller, in a session of its own so that no terminal's end takes it along.
pub fn daemon(home: &Home, args: &DaemonArgs) -> ExitCode {
    // It fails for a process that leads one already, which is as good.
    let _ = nix::unistd::setsid();
    let kubernetes = match args.kubernetes.choice() {
        Ok(choice) => choice,
        Err(text) => {
            eprintln!("ERROR {text}");
            return ExitCode::from(2);
        }
    };
    let options = controller::DaemonOptions {
        home: home.clone(),
        name: args.name.clone(),
        kubernetes,
        juju: args.juju,
    };
    controller::daemon_main(&options)
}

/// The process of a unit's charm container.
pub fn unit_agent() -> ExitCode {
    agent::unit_agent()
}

/// The init container of a unit.
pub fn charm_init() -> ExitCode {
    agent::charm_init()
}

/// Removes what a controller that has ended, or was killed, left in its home and in its runtime
/// folder; says what it kept.
///
/// # Errors
/// When something cannot be removed.
pub fn cleanup_dead(home: &Home, release_storage: bool) -> io::Result<Vec<String>> {
    let missing_is_fine = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    let said = controller::cleanup_dead(home, release_storage)?;
    for file in [home.client_state(), home.daemon_pid(), home.daemon_log()] {
        missing_is_fine(std::fs::remove_file(file))?;
    }
    Ok(said)
}
