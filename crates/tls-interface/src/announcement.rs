//! What a unit tells the other units of its certificates: fingerprints, never anything secret.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Longest text that is looked at.
const MOST: usize = 4096;

/// A unit's word, true once it is in its databag: the files are pushed and read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Names all certificates on its volume.
    pub files: String,
    /// Authorities that it trusts, by fingerprint.
    #[serde(default)]
    pub trusts: BTreeSet<String>,
    /// The authority of its member's certificate; none where its REST API serves none.
    #[serde(default)]
    pub member: Option<String>,
    /// The authority of its clients' certificate; none without the relation.
    #[serde(default)]
    pub clients: Option<String>,
}

impl Announcement {
    /// As it stands in the databag.
    #[must_use]
    pub fn to_bag(&self) -> String {
        // Strings, lists and options: there is nothing in it that JSON can't have.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From a databag; none for what no charm wrote.
    #[must_use]
    pub fn from_bag(text: &str) -> Option<Self> {
        (text.len() <= MOST).then(|| serde_json::from_str(text).ok())?
    }
}
