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

    /// The passwords in a secret of the operator's, whose keys are users' names.
    ///
    /// # Errors
    /// What cannot be taken, in words that follow the secret's name.
    pub fn given(content: &BTreeMap<String, SecretString>) -> Result<Self, String> {
        let mut passwords = Self::default();
        for (name, password) in content {
            let user = SystemUser::from_name(name).ok_or_else(|| {
                let users = SystemUser::ALL.map(SystemUser::name).join(", ");
                format!("names {name}, which is not one of {users}")
            })?;
            check(password).map_err(|why| format!("has a password of {name} that {why}"))?;
            passwords.set(user, password.clone());
        }
        if passwords.0.is_empty() {
            return Err("holds no password".to_owned());
        }
        Ok(passwords)
    }

    /// Users whose password here is not the one there.
    #[must_use]
    pub fn differing(&self, there: &Self) -> BTreeSet<SystemUser> {
        let differs = |(user, password): &(&SystemUser, &SecretString)| {
            let known = there.get(**user).map(ExposeSecret::expose_secret);
            known != Some(password.expose_secret())
        };
        self.0
            .iter()
            .filter(differs)
            .map(|(user, _)| *user)
            .collect()
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

/// Shortest password that an operator may choose.
const SHORTEST: usize = 8;
/// PostgreSQL itself takes no more.
const LONGEST: usize = 100;

/// Whether a password that an operator chose can be taken.
///
/// # Errors
/// What is wrong with it, in words that follow "a password that".
pub fn check(password: &SecretString) -> Result<(), String> {
    let text = password.expose_secret();
    if !(SHORTEST..=LONGEST).contains(&text.chars().count()) {
        return Err(format!("is not {SHORTEST} to {LONGEST} characters long"));
    }
    if text.chars().any(char::is_control) {
        return Err("contains control characters".to_owned());
    }
    // It would read as no password.
    if text == DELETED {
        return Err("is a word that means no password".to_owned());
    }
    Ok(())
}
