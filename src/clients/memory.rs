//! What a leader remembers of the clients' relations.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Key in the unit's state at the controller: it is committed with the databags, or not at all.
pub const KEY: &str = "clients";

/// A relation.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its endpoint.
    #[serde(rename = "e")]
    pub endpoint: String,
    /// Digest of the terms that it was told; empty if it is not as it should be.
    #[serde(rename = "d")]
    pub digest: String,
    /// Labels of the secrets that were made for it.
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Its users.
    #[serde(rename = "u", default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// What is wrong with its request.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What it waits for.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// It asks for endpoints outside Kubernetes.
    #[serde(rename = "n", default, skip_serializing_if = "std::ops::Not::not")]
    pub external: bool,
    /// It has users whom every new database concerns.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub prefix: bool,
    /// Its credentials' secrets, by label, where a revision has gone or a rotation is under way.
    #[serde(rename = "o", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub revisions: BTreeMap<String, Revisions>,
    /// Where old credentials are valid still, by label of the credentials' secret: since when, in
    /// seconds since 1970, only the new ones have been in use.
    #[serde(rename = "t", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub turning: BTreeMap<String, Option<i64>>,
    /// A database was made for it just now.
    #[serde(skip)]
    pub made: bool,
    /// It has to be looked at again, whatever the terms.
    #[serde(skip)]
    pub unsettled: bool,
}

/// What is known of a secret's revisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revisions {
    /// All up to this one have gone: no client has it.
    #[serde(rename = "b", default)]
    gone: u64,
    /// Later ones that have gone.
    #[serde(rename = "m", default, skip_serializing_if = "BTreeSet::is_empty")]
    more: BTreeSet<u64>,
    /// The last one with the credentials that were rotated out.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub old: Option<u64>,
    /// There were revisions before, of which another leader may have heard that they have gone.
    #[serde(rename = "i", default, skip_serializing_if = "std::ops::Not::not")]
    incomplete: bool,
}

impl Revisions {
    /// A revision has gone.
    pub fn note(&mut self, revision: u64) {
        if revision > self.gone {
            self.more.insert(revision);
        }
        while self.more.remove(&(self.gone + 1)) {
            self.gone += 1;
        }
    }

    /// This revision is the last one with credentials that are rotated out now.
    pub fn turn(&mut self, revision: u64) {
        self.old = Some(revision);
        self.incomplete = self.gone + 1 < revision;
    }

    /// That every one of them has gone will be heard, as soon as it is so.
    #[must_use]
    pub fn tells(&self) -> bool {
        self.old.is_some() && !self.incomplete
    }

    /// No client has the credentials any more that were rotated out.
    #[must_use]
    pub fn taken(&self) -> bool {
        self.old.is_some_and(|old| old <= self.gone)
    }
}

impl Known {
    /// A rotation of credentials is under way.
    #[must_use]
    pub fn rotates(&self) -> bool {
        !self.turning.is_empty() || self.revisions.values().any(|known| known.old.is_some())
    }
}

/// All relations, by number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    #[serde(rename = "r", default)]
    relations: BTreeMap<u64, Known>,
    /// The primary that has what was made: the charm does not wait for standbys, so the next one
    /// may lack the last of it.
    #[serde(rename = "p", default)]
    pub primary: String,
    /// All are to be looked at, which could not be done yet.
    #[serde(rename = "s", default, skip_serializing_if = "std::ops::Not::not")]
    pub sweep: bool,
    /// Users of relations that are gone which could not be removed, and why.
    #[serde(rename = "l", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left: BTreeMap<String, String>,
    /// It is not what it was at the hook's start, though no relation is.
    #[serde(skip)]
    pub changed: bool,
}

impl Memory {
    /// From its text; what this charm did not write is nothing, and all is looked at anew.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Self {
        text.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        // A map of numbers and text can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A relation.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Known> {
        self.relations.get(&number)
    }

    /// All numbers.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        self.relations.keys().copied()
    }

    /// Whether there is a relation of this endpoint.
    #[must_use]
    pub fn has(&self, endpoint: &str) -> bool {
        self.relations
            .values()
            .any(|known| known.endpoint == endpoint)
    }

    /// Whether a relation could not be served for a reason that may pass.
    #[must_use]
    pub fn failed(&self, number: u64) -> bool {
        self.get(number).is_some_and(|known| known.unsettled)
    }

    /// Remembers a relation.
    pub fn set(&mut self, number: u64, known: Known) {
        self.relations.insert(number, known);
    }

    /// Has a relation looked at again.
    pub fn unsettle(&mut self, number: u64) {
        if let Some(known) = self.relations.get_mut(&number) {
            known.digest.clear();
        }
    }

    /// A revision of the secret with this label has gone: whether a rotation waits for that.
    pub fn revision_gone(&mut self, label: &str, revision: u64) -> bool {
        let holder = self
            .relations
            .values_mut()
            .find(|known| known.secrets.iter().any(|own| own == label));
        holder.is_some_and(|known| {
            let revisions = known.revisions.entry(label.to_owned()).or_default();
            revisions.note(revision);
            revisions.taken()
        })
    }

    /// Has those relations looked at again that lack a user among these.
    pub fn miss(&mut self, users: &[String]) {
        for known in self.relations.values_mut() {
            // A password that has changed shows in no name.
            if known.rotates() || !known.users.iter().all(|user| users.contains(user)) {
                known.digest.clear();
            }
        }
    }

    /// Forgets a relation.
    pub fn forget(&mut self, number: u64) {
        self.relations.remove(&number);
    }
}

/// Digest of texts: short, and another for other texts.
#[must_use]
pub fn digest(texts: &[&str]) -> String {
    use std::fmt::Write;
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_be_bytes());
        hash.update(text.as_bytes());
    }
    let mut hex = String::new();
    for byte in hash.finalize().iter().take(6) {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
