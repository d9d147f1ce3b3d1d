//! The unit agent: decides which hook of a unit runs next, runs it, and serves its hook tools.

mod client;
mod hooks;
mod main_loop;
mod meter;
mod output;
mod runner;
mod scheduler;
mod tasks;
mod tools;
mod workload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub use client::client_main;
pub use main_loop::unit_agent;

/// The hook tools that there are.
pub const HOOK_TOOLS: &[&str] = &[
    "action-fail",
    "action-get",
    "action-log",
    "action-set",
    "application-version-set",
    "close-port",
    "config-get",
    "credential-get",
    "goal-state",
    "is-leader",
    "juju-log",
    "juju-reboot",
    "leader-get",
    "leader-set",
    "network-get",
    "open-port",
    "opened-ports",
    "relation-get",
    "relation-ids",
    "relation-list",
    "relation-model-get",
    "relation-set",
    "resource-get",
    "secret-add",
    "secret-get",
    "secret-grant",
    "secret-ids",
    "secret-info-get",
    "secret-remove",
    "secret-revoke",
    "secret-set",
    "state-delete",
    "state-get",
    "state-set",
    "status-get",
    "status-set",
    "storage-add",
    "storage-get",
    "storage-list",
    "unit-get",
];

/// Whether a program of this name is a hook tool.
#[must_use]
pub fn is_hook_tool(name: &str) -> bool {
    HOOK_TOOLS.contains(&name)
}

/// Where a unit's agent has its files.
pub(crate) struct Layout {
    pub unit: String,
    pub charm: PathBuf,
    pub tools: PathBuf,
    pub socket: PathBuf,
    /// Who the charm runs as, if not root.
    pub user: Option<u32>,
}

impl Layout {
    pub(crate) fn of(unit: &str) -> Self {
        let tag = format!("unit-{}", unit.replace('/', "-"));
        let agent = Path::new("/var/lib/juju/agents").join(&tag);
        Self {
            unit: unit.to_owned(),
            charm: agent.join("charm"),
            tools: Path::new("/var/lib/juju/tools").join(&tag),
            socket: agent.join("agent.socket"),
            user: std::env::var("JUJU_LOCAL_CHARM_USER")
                .ok()
                .and_then(|text| text.parse().ok()),
        }
    }
}

/// The init container: puts the charm and the hook tools where the agent expects them.
#[must_use]
pub fn charm_init() -> ExitCode {
    let unit = std::env::var("JUJU_LOCAL_UNIT").unwrap_or_default();
    let source = std::env::var("JUJU_LOCAL_CHARM_SOURCE").unwrap_or_default();
    match init(&Layout::of(&unit), Path::new(&source)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ERROR cannot set up the charm of {unit}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn init(layout: &Layout, source: &Path) -> std::io::Result<()> {
    copy(source, &layout.charm)?;
    if let Some(user) = layout.user {
        give(&layout.charm, user)?;
    }
    std::fs::create_dir_all(&layout.tools)?;
    for tool in HOOK_TOOLS {
        let link = layout.tools.join(tool);
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink("/charm/bin/jujuc", link)?;
    }
    Ok(())
}

/// Makes a user the owner of a folder and of all that is in it.
fn give(path: &Path, user: u32) -> std::io::Result<()> {
    std::os::unix::fs::lchown(path, Some(user), Some(user))?;
    if path.symlink_metadata()?.is_dir() {
        for entry in std::fs::read_dir(path)? {
            give(&entry?.path(), user)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            let _ = std::fs::remove_file(&target);
            std::os::unix::fs::symlink(std::fs::read_link(entry.path())?, target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
