//! Secrets: what is in them, and what is said about them.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

/// Keys and values of a secret; printing it shows the keys alone.
#[derive(Clone, Default)]
pub struct SecretContent(pub BTreeMap<String, SecretString>);

impl std::fmt::Debug for SecretContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl SecretContent {
    /// A value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&SecretString> {
        self.0.get(key)
    }

    /// Keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Whether both hold the same.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().all(|(key, value)| {
                other
                    .0
                    .get(key)
                    .is_some_and(|o| o.expose_secret() == value.expose_secret())
            })
    }
}

impl<K: Into<String>, V: Into<SecretString>> FromIterator<(K, V)> for SecretContent {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(values: I) -> Self {
        let values = values.into_iter();
        Self(
            values
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }
}

/// A secret to be made; empty fields are left to Juju.
#[derive(Debug, Clone, Default)]
pub struct SecretSpec {
    /// `application` or `unit`.
    pub owner: String,
    /// Label.
    pub label: String,
    /// Description.
    pub description: String,
    /// `daily`, `weekly`, ...
    pub rotate: String,
    /// RFC 3339 or a Go duration.
    pub expire: String,
}

impl SecretSpec {
    pub(crate) fn flags(&self) -> Vec<String> {
        let pairs = [
            ("--owner", &self.owner),
            ("--label", &self.label),
            ("--description", &self.description),
            ("--rotate", &self.rotate),
            ("--expire", &self.expire),
        ];
        let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        given
            .map(|(flag, value)| format!("{flag}={value}"))
            .collect()
    }
}

/// What an owner knows of a secret.
#[derive(Debug, Clone, Deserialize)]
pub struct SecretInfo {
    /// Bare id.
    #[serde(skip)]
    pub id: String,
    /// Latest revision.
    pub revision: u64,
    /// Owner's label.
    #[serde(default)]
    pub label: String,
    /// Description.
    #[serde(default)]
    pub description: String,
    /// `never`, `daily`, ...
    #[serde(default)]
    pub rotation: String,
    /// When it expires, RFC 3339.
    #[serde(default)]
    pub expiry: Option<String>,
    /// When it is to be rotated next, RFC 3339.
    #[serde(default)]
    pub rotates: Option<String>,
    /// `application` or `unit`.
    #[serde(default)]
    pub owner: String,
    /// Grants.
    #[serde(default)]
    pub access: Vec<Value>,
}

/// A file for the agent to read a secret's content from: readable by nobody else, and removed when
/// this is dropped. The content never is on a command line.
pub(crate) struct ContentFile(PathBuf);

impl ContentFile {
    pub(crate) fn new(content: &SecretContent) -> std::io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!(".secret-{}-{number}", std::process::id());
        let path = std::env::current_dir()?.join(name);
        // Whatever a killed hook left under that name is not ours.
        let _ = std::fs::remove_file(&path);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let file_path = Self(path);
        let plain: BTreeMap<&str, &str> = content
            .iter()
            .map(|(key, value)| (key, value.expose_secret()))
            .collect();
        file.write_all(serde_json::to_string(&plain)?.as_bytes())?;
        Ok(file_path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ContentFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
