//! Where a controller of this machine keeps its state, and by which socket it is reached.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The Juju version whose behaviour is claimed, in status and to charms (`JUJU_VERSION`).
pub const JUJU_VERSION: &str = "3.6.12";

/// The environment variable that names the home.
pub const HOME_VARIABLE: &str = "JUJU_LOCAL_HOME";

/// One controller's home: its state lies in it; its sockets lie in a runtime folder whose short
/// path is derived from it, since a unix socket's path may not exceed 107 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    path: PathBuf,
}

impl Home {
    /// The home at `path`, made absolute against the working directory.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        Self {
            path: path.components().collect(),
        }
    }

    /// `$JUJU_LOCAL_HOME`, or `~/.local/share/juju-local`.
    #[must_use]
    pub fn from_env() -> Self {
        match std::env::var_os(HOME_VARIABLE) {
            Some(path) if !path.is_empty() => Self::new(PathBuf::from(path)),
            _ => {
                let user = std::env::home_dir().unwrap_or_else(|| PathBuf::from("/root"));
                Self::new(user.join(".local/share/juju-local"))
            }
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Folder of sockets and other files that live as long as the daemon.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        let digest = Sha256::digest(self.path.as_os_str().as_encoded_bytes());
        let first = digest
            .iter()
            .take(4)
            .fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
        Path::new("/run/juju-local").join(format!("{first:08x}"))
    }

    /// Socket on which the daemon answers the CLI.
    #[must_use]
    pub fn user_socket(&self) -> PathBuf {
        self.runtime().join("user.sock")
    }

    /// What the daemon prints.
    #[must_use]
    pub fn daemon_log(&self) -> PathBuf {
        self.path.join("daemon.log")
    }

    /// Process id of the daemon as `bootstrap` started it.
    #[must_use]
    pub fn daemon_pid(&self) -> PathBuf {
        self.path.join("daemon.pid")
    }

    /// What each run of a hook has cost: a JSON object a line.
    #[must_use]
    pub fn hook_runs(&self) -> PathBuf {
        self.path.join("hooks.jsonl")
    }

    /// What the CLI remembers: the current model, model constraints.
    #[must_use]
    pub fn client_state(&self) -> PathBuf {
        self.path.join("client.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtime_folder_is_short_and_depends_on_the_home_only() {
        let long = Home::new(format!("/{}", "x".repeat(300)));
        assert!(long.user_socket().as_os_str().len() < 108);
        assert_eq!(Home::new("/a/b").runtime(), Home::new("/a/./b/").runtime());
        assert_ne!(Home::new("/a/b").runtime(), Home::new("/a/c").runtime());
    }
}
