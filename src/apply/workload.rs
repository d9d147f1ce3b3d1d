//! Effects in the workload container that are more than one call.

use cluster_plan::names::{PGDATA, SHARED_SOCKETS, STORAGE};
use secrecy::ExposeSecret;

use crate::observe::workload::{READ, mark};
use crate::ports::{PortError, PortResult, Workload};
use crate::render::{File, LOG_DIR};

/// Makes the directories and gives them to PostgreSQL. What exists keeps its content.
pub fn prepare_storage(port: &dyn Workload) -> PortResult<()> {
    for directory in [PGDATA, SHARED_SOCKETS] {
        port.make_directory(directory, 0o700, "postgres")?;
        run(port, &["chmod", "0700", directory])?;
    }
    port.make_directory(LOG_DIR, 0o750, "postgres")?;
    run(
        port,
        &[
            "chown",
            "postgres:postgres",
            STORAGE,
            PGDATA,
            SHARED_SOCKETS,
        ],
    )
}

/// Pushes one of the files.
pub fn push(port: &dyn Workload, files: &[File], path: &str) -> PortResult<()> {
    let Some(file) = files.iter().find(|file| file.path == path) else {
        return Ok(());
    };
    port.push(
        path,
        file.content.expose_secret().as_bytes(),
        file.mode,
        file.owner,
    )
}

/// Notes which `patroni.yml` Patroni has been told to read.
pub fn note_read(port: &dyn Workload, files: &[File]) -> PortResult<()> {
    match mark(files) {
        Some(mark) => port.push(READ, mark.as_bytes(), 0o600, "postgres"),
        None => Ok(()),
    }
}

/// Runs a command that must succeed.
pub fn run(port: &dyn Workload, command: &[&str]) -> PortResult<()> {
    let output = port.exec(command)?;
    if output.code == 0 {
        return Ok(());
    }
    let what = command.join(" ");
    Err(PortError::Failed(
        what,
        format!("exit {}: {}", output.code, output.stderr.trim()).into(),
    ))
}
