//! Removing what a model left when nobody is there to do it in an orderly way.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Error, alive, tool};

/// Ends every container recorded below `run_dir` and removes all networks `jl-<id>` and
/// `jl-<id>-*`. What is gone already is fine.
///
/// # Errors
/// When the list of namespaces can't be had.
pub fn cleanup(id: &str, run_dir: &Path) -> Result<(), Error> {
    let mut pids = Vec::new();
    find_pids(run_dir, 0, &mut pids);
    for pid in &pids {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until
        && pids
            .iter()
            .any(|pid| Path::new(&format!("/proc/{pid}")).exists())
    {
        std::thread::sleep(Duration::from_millis(10));
    }
    let listed = tool("list the networks", "ip", &["netns", "list"], "")?;
    let own = format!("jl-{id}");
    let prefix = format!("{own}-");
    for name in listed.lines().filter_map(|line| line.split(' ').next()) {
        if name == own || name.starts_with(&prefix) {
            let _ = tool("remove a network", "ip", &["netns", "del", name], "");
        }
    }
    Ok(())
}

/// The processes that `pid` files below a folder name and that still run.
fn find_pids(directory: &Path, depth: u8, pids: &mut Vec<i32>) {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_name() == "pid" {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            pids.extend(alive(text.trim()));
        } else if depth < 6
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
            && !["root", "upper", "work"]
                .iter()
                .any(|skip| entry.file_name() == *skip)
        {
            find_pids(&path, depth + 1, pids);
        }
    }
}
