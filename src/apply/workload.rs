//! Effects in the workload container that are more than one call.

use cluster_plan::names::{LOGS, PGDATA, SHARED_SOCKETS, STORAGE};
use secrecy::ExposeSecret;

use crate::layer::{KUBE_AUTHORITY, KUBECONFIG, LABEL, POD_SECRETS, POD_SECRETS_MODE, SERVICE};
use crate::observe::workload::{READ, log_dir, mark};
use crate::ports::{Access, PortError, PortResult, Workload};
use crate::render::{File, LOG_DIR};

/// Makes the directories and gives them to PostgreSQL. What exists keeps its content.
pub fn prepare_storage(port: &dyn Workload) -> PortResult<()> {
    for directory in [PGDATA, SHARED_SOCKETS, LOGS] {
        port.make_directory(directory, 0o700, "postgres")?;
    }
    keep_logs(port)?;
    for directory in [PGDATA, SHARED_SOCKETS, LOGS] {
        run(port, &["chmod", "0700", directory])?;
    }
    run(
        port,
        &[
            "chown",
            "postgres:postgres",
            STORAGE,
            PGDATA,
            SHARED_SOCKETS,
            LOGS,
        ],
    )
}

/// Puts a link where PostgreSQL and Patroni log, to a directory that outlives the container. What lies
/// there is of the image, or of a revision that logged into the container.
fn keep_logs(port: &dyn Workload) -> PortResult<()> {
    if log_dir(port)?.is_some_and(|info| !info.link) {
        run(port, &["cp", "-a", &format!("{LOG_DIR}/."), LOGS])?;
        run(port, &["rm", "-rf", LOG_DIR])?;
    }
    run(port, &["ln", "-sfn", LOGS, LOG_DIR])
}

/// Sets the layer. The check of readiness is run at once where Pebble can do so: it counts as passed
/// until it has failed, so the pod would be ready before its member runs.
pub fn set_layer(port: &dyn Workload, layer: &pebble::Layer) -> PortResult<()> {
    port.add_layer(LABEL, layer)?;
    if let Err(error) = port.run_check(SERVICE) {
        tracing::debug!("the check runs in its turn: {}", error.chain());
    }
    Ok(())
}

/// Gives Patroni its own account, and then hides the pod's from all but root.
pub fn give_access(port: &dyn Workload, access: &Access) -> PortResult<()> {
    let authority = access.authority.as_bytes();
    port.push(KUBE_AUTHORITY, authority, 0o644, "postgres")?;
    let config = access.kubeconfig.expose_secret().as_bytes();
    port.push(KUBECONFIG, config, 0o600, "postgres")?;
    if port.stat(POD_SECRETS)?.is_none() {
        return Ok(());
    }
    run(
        port,
        &["chmod", &format!("{POD_SECRETS_MODE:o}"), POD_SECRETS],
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
