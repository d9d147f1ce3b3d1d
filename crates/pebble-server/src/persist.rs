//! What outlives the server: changes, notices and identities, in `.pebble.state`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::changes::Changes;
use crate::daemon::{Daemon, State};
use crate::identities::Identity;
use crate::notices::Notices;

/// Pause between two writes, so that a burst of changes is one.
const PAUSE: Duration = Duration::from_millis(200);
/// Pause between two passes that drop what is old.
const PRUNE: Duration = Duration::from_mins(10);
/// Tells this program's files from those of other ones.
const FORMAT: &str = "pebble-server-1";

#[derive(Deserialize)]
struct Saved {
    format: String,
    changes: Changes,
    notices: Notices,
    identities: BTreeMap<String, Identity>,
}

#[derive(Serialize)]
struct Saving<'a> {
    format: &'a str,
    changes: &'a Changes,
    notices: &'a Notices,
    identities: &'a BTreeMap<String, Identity>,
}

fn file(directory: &Path) -> PathBuf {
    directory.join(".pebble.state")
}

/// Takes over what an earlier run has saved. A file that cannot be read is kept under another
/// name rather than overwritten.
pub(crate) fn load(daemon: &Daemon) {
    if !daemon.options.persist {
        return;
    }
    let path = file(&daemon.options.directory);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => return daemon.say(&format!("cannot read {}: {error}", path.display())),
    };
    match serde_json::from_slice::<Saved>(&text) {
        Ok(saved) if saved.format == FORMAT => {
            let mut state = daemon.state();
            state.changes = saved.changes;
            state.notices = saved.notices;
            state.identities = saved.identities;
            state.changes.settle();
        }
        _ => {
            let aside = path.with_extension("state.unreadable");
            let _ = std::fs::rename(&path, &aside);
            daemon.say(&format!(
                "cannot use {}: kept as {}",
                path.display(),
                aside.display()
            ));
        }
    }
}

fn bytes(state: &State) -> Vec<u8> {
    let saving = Saving {
        format: FORMAT,
        changes: &state.changes,
        notices: &state.notices,
        identities: &state.identities,
    };
    serde_json::to_vec(&saving).unwrap_or_default()
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let beside = path.with_extension("state.new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    std::io::Write::write_all(&mut file, bytes)?;
    std::fs::rename(&beside, path)
}

/// Saves at once; the last thing before the server ends.
pub(crate) fn save(daemon: &Daemon) {
    if !daemon.options.persist {
        return;
    }
    let path = file(&daemon.options.directory);
    let bytes = bytes(&daemon.state());
    if let Err(error) = write(&path, &bytes) {
        daemon.say(&format!("cannot write {}: {error}", path.display()));
    }
}

/// Saves whenever something has changed.
pub(crate) async fn keep_saved(daemon: Arc<Daemon>) {
    if !daemon.options.persist {
        return;
    }
    let path = file(&daemon.options.directory);
    loop {
        daemon.dirty.notified().await;
        let bytes = bytes(&daemon.state());
        let target = path.clone();
        let written = tokio::task::spawn_blocking(move || write(&target, &bytes)).await;
        if let Ok(Err(error)) = written {
            daemon.say(&format!("cannot write {}: {error}", path.display()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Drops what is old from time to time.
pub(crate) async fn keep_small(daemon: Arc<Daemon>) {
    loop {
        {
            let mut state = daemon.state();
            let gone = state.changes.prune();
            state.notices.prune(&gone);
        }
        tokio::time::sleep(PRUNE).await;
    }
}
