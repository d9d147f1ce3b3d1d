//! Which of this binary's parts a process is: decided by the name it is called by, then by the
//! command line.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::cli;
use crate::cli::args::DaemonArgs;
use crate::home::Home;

/// Runs the part that the program's name and words ask for.
#[must_use]
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let name = words.first().and_then(|word| Path::new(word).file_name());
    if name.is_some_and(|name| name == "pebble") {
        return pebble_server::main_from_args(words);
    }
    cli::main(words)
}

/// The controller, in a session of its own so that no terminal's end takes it along.
pub fn daemon(_home: &Home, _args: &DaemonArgs) -> ExitCode {
    // It fails for a process that leads one already, which is as good.
    let _ = nix::unistd::setsid();
    absent("controller")
}

/// The process of a unit's charm container.
pub fn unit_agent() -> ExitCode {
    absent("unit agent")
}

/// The init container of a unit.
pub fn charm_init() -> ExitCode {
    absent("unit agent")
}

fn absent(part: &str) -> ExitCode {
    eprintln!("ERROR this build has no {part}");
    ExitCode::FAILURE
}

/// Removes what a controller that has ended, or was killed, left in its home and in its runtime
/// folder; says what it kept.
///
/// # Errors
/// When something cannot be removed.
pub fn cleanup_dead(home: &Home, _release_storage: bool) -> io::Result<Vec<String>> {
    let missing_is_fine = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    missing_is_fine(std::fs::remove_dir_all(home.runtime()))?;
    for file in [home.client_state(), home.daemon_pid(), home.daemon_log()] {
        missing_is_fine(std::fs::remove_file(file))?;
    }
    Ok(Vec::new())
}
