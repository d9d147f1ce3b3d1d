//! What both ends of a relation write into its databags.
//!
//! Pure types and rules: a databag of the other end is parsed with limits, or refused with an error
//! that says which key is wrong and why; our own end's databag is worked out as data. What comes
//! from the other end is never trusted: [`names`] says what a name may be made of.

pub mod names;
pub mod pgsql;
pub mod postgresql_client;

use std::collections::BTreeMap;

/// A databag.
pub type Bag = BTreeMap<String, String>;

/// Why a databag is refused. The texts go into statuses and logs, so they quote the other end's
/// values only shortened and without control characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// More than any request needs.
    #[error("its databag holds {0} bytes, more than {1}")]
    TooLarge(usize, usize),
    /// A key's value is not of its type.
    #[error("{key} is not {wanted}: {value}")]
    Type {
        /// The key.
        key: &'static str,
        /// What it has to be.
        wanted: &'static str,
        /// What it is, shortened.
        value: String,
    },
    /// A name that is not allowed.
    #[error("{key} {value} is not allowed: {why}")]
    Name {
        /// The key.
        key: &'static str,
        /// The name, shortened.
        value: String,
        /// Why.
        why: &'static str,
    },
    /// What the legacy interface does not give, in the words that its users know.
    #[error("{0}")]
    Legacy(&'static str),
    /// Something of the interface that this charm does not serve.
    #[error("{0} is not served")]
    Unserved(&'static str),
}

/// Text of the other end as it may be shown: shortened, in quotes, control characters escaped.
#[must_use]
pub fn shown(text: &str) -> String {
    const MOST: usize = 40;
    let short: String = text.chars().take(MOST).collect();
    let rest = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{rest}")
}
