//! Secrets of a state.

use std::collections::{BTreeMap, BTreeSet};

use super::state::{Bag, bag};

/// Who owns a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This unit.
    Unit,
    /// This unit's application.
    Application,
    /// Somebody else, who may have granted it.
    Other {
        /// Whether this unit may read it.
        granted: bool,
    },
}

/// Who may read an owned secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// Number of the relation.
    pub relation: u32,
    /// One unit of its other end; none is all of them.
    pub unit: Option<String>,
}

/// A secret as this unit sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Bare id, 20 characters of `0-9a-v`.
    pub id: String,
    /// Owner.
    pub owner: Owner,
    /// The owner's label, or of a secret of somebody else the one that this unit gave it.
    pub label: String,
    /// Description.
    pub description: String,
    /// `never`, `daily`, ...
    pub rotate: String,
    /// When it expires, as it was given.
    pub expire: Option<String>,
    /// Contents by revision.
    pub revisions: BTreeMap<u64, Bag>,
    /// The revision that this unit's reads are pinned to; none before the first read.
    pub tracked: Option<u64>,
    /// Who else may read it.
    pub grants: BTreeSet<Grant>,
}

impl Secret {
    /// A secret of revision 1. Its id is made from the name, which is its label too.
    #[must_use]
    pub fn new<'a>(
        owner: Owner,
        name: &str,
        content: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        Self {
            id: id_from(name),
            owner,
            label: name.to_owned(),
            description: String::new(),
            rotate: "never".to_owned(),
            expire: None,
            revisions: BTreeMap::from([(1, bag(content))]),
            tracked: None,
            grants: BTreeSet::new(),
        }
    }

    /// With a further revision.
    #[must_use]
    pub fn revision<'a>(mut self, content: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.revisions.insert(self.latest() + 1, bag(content));
        self
    }

    /// With reads pinned to a revision.
    #[must_use]
    pub fn tracking(self, revision: u64) -> Self {
        Self {
            tracked: Some(revision),
            ..self
        }
    }

    /// `secret:<id>`.
    #[must_use]
    pub fn uri(&self) -> String {
        format!("secret:{}", self.id)
    }

    /// Number of the latest revision.
    #[must_use]
    pub fn latest(&self) -> u64 {
        self.revisions.keys().last().copied().unwrap_or_default()
    }

    /// Content of the latest revision.
    #[must_use]
    pub fn content(&self) -> Bag {
        self.revisions.values().last().cloned().unwrap_or_default()
    }

    /// Whether the unit or its application owns it.
    #[must_use]
    pub fn is_own(&self) -> bool {
        !matches!(self.owner, Owner::Other { .. })
    }
}

/// An id of Juju's form that is the same in every run.
pub(super) fn id_from(name: &str) -> String {
    const LETTERS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    // Two rounds of FNV-1a give the 100 bits of an id.
    let round = |start: u64| {
        name.bytes().fold(start, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    };
    let first = round(0xcbf2_9ce4_8422_2325);
    let bits = u128::from(first) << 64 | u128::from(round(!first));
    (0..20)
        .map(|place| {
            let at = usize::try_from(bits >> (5 * place) & 31).unwrap_or_default();
            LETTERS.get(at).map_or('0', |letter| char::from(*letter))
        })
        .collect()
}
