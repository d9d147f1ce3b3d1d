//! The passwords of the charm's own users.

use std::collections::{BTreeMap, BTreeSet};

use cluster_plan::observed::SystemUser;
use secrecy::{ExposeSecret, SecretString};

/// What the peer charm writes for a deleted field.
const DELETED: &str = "None";

/// Passwords by user.
#[derive(Debug, Clone, Default)]
pub struct Passwords(BTreeMap<SystemUser, SecretString>);

impl Passwords {
    /// The passwords in the content of the application's secret; other keys are not passwords.
    #[must_use]
    pub fn from_content<'a>(content: impl Iterator<Item = (&'a str, &'a SecretString)>) -> Self {
        let passwords = content.filter_map(|(key, value)| {
            let user = SystemUser::from_name(key.strip_suffix("-password")?)?;
            let text = value.expose_secret();
            (!text.is_empty() && text != DELETED).then(|| (user, value.clone()))
        });
        Self(passwords.collect())
    }

    /// One user's.
    #[must_use]
    pub fn get(&self, user: SystemUser) -> Option<&SecretString> {
        self.0.get(&user)
    }

    /// Sets one user's.
    pub fn set(&mut self, user: SystemUser, password: SecretString) {
        self.0.insert(user, password);
    }

    /// Users that have one.
    #[must_use]
    pub fn users(&self) -> BTreeSet<SystemUser> {
        self.0.keys().copied().collect()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (SystemUser, &SecretString)> {
        self.0.iter().map(|(user, password)| (*user, password))
    }
}
