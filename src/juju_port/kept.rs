//! What was read of secrets, kept from one hook to the next.
//!
//! With Juju 4 each read of a secret makes a service account, a role and a binding in Kubernetes that stay.
//! So a secret is read when it can have changed, or when something is about to be changed by it, and kept
//! in between: in a file of the charm's container, which goes with the pod. The charm's own user alone may
//! read it, who finds the agent's credentials beside it, by which all of it can be read anyway. The
//! workload's container never sees it.
//!
//! A hook that dies leaves the file of an earlier one, or none. One that writes a secret removes it first,
//! as Juju may yet refuse what was written.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use juju::SecretContent;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Name of the file, in the charm's folder.
const FILE: &str = ".kept-secrets";

type Contents = BTreeMap<String, SecretContent>;

/// The file's text.
#[derive(Serialize, Deserialize)]
struct Text {
    /// Who leads owns what others only read, and is told of changes in another way.
    leader: bool,
    secrets: BTreeMap<String, BTreeMap<String, String>>,
}

/// What is kept of secrets.
#[derive(Default)]
pub(super) struct Kept {
    /// None where nothing is to be kept.
    path: Option<PathBuf>,
    /// What the file held; none before it was looked at.
    found: RefCell<Option<Contents>>,
    /// What this hook has read.
    read: RefCell<Contents>,
    /// Something was taken from the file.
    used: Cell<bool>,
    /// This hook has written a secret, so what it reads may never come true.
    written: Cell<bool>,
}

impl Kept {
    /// In the charm's folder; `anew`: what was read before counts no more.
    pub fn new(charm_dir: &Path, anew: bool) -> Self {
        let kept = Self {
            path: Some(charm_dir.join(FILE)),
            ..Self::default()
        };
        if anew {
            kept.forget();
        }
        kept
    }

    /// What was read of a secret by an earlier hook, which led as this one does.
    pub fn get(&self, name: &str, leader: bool) -> Option<SecretContent> {
        let path = self.path.as_deref()?;
        let mut found = self.found.borrow_mut();
        let contents = found.get_or_insert_with(|| load(path, leader).unwrap_or_default());
        let content = contents.get(name).cloned();
        self.used.set(self.used.get() || content.is_some());
        content
    }

    /// Notes what this hook has read.
    pub fn note(&self, name: &str, content: &SecretContent) {
        let mut read = self.read.borrow_mut();
        read.insert(name.to_owned(), content.clone());
    }

    /// Forgets all that was kept: whether any of it was of use in this hook.
    pub fn forget(&self) -> bool {
        if let Some(path) = &self.path {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    tracing::warn!("cannot remove what was kept of secrets: {error}");
                }
                _ => {}
            }
        }
        *self.found.borrow_mut() = Some(Contents::new());
        self.used.replace(false)
    }

    /// A secret is written by this hook.
    pub fn writes(&self) {
        self.forget();
        self.written.set(true);
    }

    /// Keeps what this hook has read, and what it has found kept, for the next ones.
    pub fn keep(&self, leader: bool) {
        let read = self.read.borrow();
        let Some(path) = self.path.as_deref().filter(|_| !self.written.get()) else {
            return;
        };
        if read.is_empty() {
            return;
        }
        let mut contents = self.found.borrow().clone().unwrap_or_default();
        contents.extend(read.clone());
        if let Err(error) = store(path, leader, &contents) {
            tracing::warn!("cannot keep what was read of secrets: {error}");
        }
    }
}

/// What the file holds; none where it is of a unit that led, or did not, while this one does not, or does,
/// or where others may read it.
fn load(path: &Path, leader: bool) -> Option<Contents> {
    let mode = std::fs::symlink_metadata(path).ok()?.mode();
    if mode & 0o177 != 0 || mode & 0o170_000 != 0o100_000 {
        return None;
    }
    let bytes = std::fs::read_to_string(path).ok()?;
    let text = SecretString::from(bytes);
    let text: Text = serde_json::from_str(text.expose_secret()).ok()?;
    let secrets = text.secrets.into_iter();
    let contents = secrets.map(|(name, content)| (name, content.into_iter().collect()));
    (text.leader == leader).then(|| contents.collect())
}

/// Writes the file at once, or not at all.
fn store(path: &Path, leader: bool, contents: &Contents) -> std::io::Result<()> {
    let plain = |content: &SecretContent| {
        let values = content.iter();
        let values = values.map(|(key, value)| (key.to_owned(), value.expose_secret().to_owned()));
        values.collect()
    };
    let secrets = contents.iter().map(|(name, c)| (name.clone(), plain(c)));
    let text = Text {
        leader,
        secrets: secrets.collect(),
    };
    let text = SecretString::from(serde_json::to_string(&text)?);
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text.expose_secret().as_bytes())?;
    std::fs::rename(&new, path)
}
