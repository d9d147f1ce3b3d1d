//! What a unit tells the other units of its certificates: fingerprints, never anything secret.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Longest text that is looked at.
const MOST: usize = 4096;

/// How far a unit is with the identities that members show to each other's PostgreSQL. Each step is
/// taken when all others have taken the one before, so that nobody meets a server that does not know
/// his authority, or one that wants what he does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", from = "String")]
pub enum Identified {
    /// Not at all: a revision before there were any.
    #[default]
    No,
    /// Its server takes them from those who show them.
    Takes,
    /// It shows its own.
    Shows,
    /// Its server wants to see them.
    Demands,
}

impl From<String> for Identified {
    fn from(word: String) -> Self {
        match word.as_str() {
            "takes" => Self::Takes,
            "shows" => Self::Shows,
            "demands" => Self::Demands,
            _ => Self::No,
        }
    }
}

impl Identified {
    /// How far a unit may go, where the others that have said anything are so far. One that has said
    /// nothing has no server yet.
    #[must_use]
    pub fn among(others: impl IntoIterator<Item = Self>) -> Self {
        match others.into_iter().min() {
            None | Some(Self::Shows | Self::Demands) => Self::Demands,
            Some(Self::Takes) => Self::Shows,
            Some(Self::No) => Self::Takes,
        }
    }
}

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
    /// How far it is with the members' identities.
    #[serde(default)]
    pub identified: Identified,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A refresh, a refresh back and a unit more, in any order of looks: a server never demands what
    /// another unit that runs the same revision does not show, and nobody shows what a server would
    /// not take.
    #[test]
    fn members_turn_to_identities_without_shutting_each_other_out() {
        for seed in 0..2000_u32 {
            let mut units = [Identified::No; 4];
            let mut next = seed;
            for _ in 0..200 {
                next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let unit = (next >> 16) as usize % units.len();
                let others = units.iter().enumerate().filter(|(n, _)| *n != unit);
                units[unit] = Identified::among(others.map(|(_, other)| *other));
                for (server, wants) in units.iter().enumerate() {
                    for (client, shows) in units.iter().enumerate().filter(|(n, _)| *n != server) {
                        let shut_out = *wants == Identified::Demands && *shows < Identified::Shows;
                        let unknown = *shows >= Identified::Shows && *wants < Identified::Takes;
                        assert!(
                            !shut_out && !unknown,
                            "{seed}: {server}, {client}: {units:?}"
                        );
                    }
                }
            }
            assert_eq!(units, [Identified::Demands; 4], "{seed}");
        }
    }

    #[test]
    fn a_unit_that_goes_back_is_let_in_again() {
        assert_eq!(
            Identified::among([Identified::Demands, Identified::No]),
            Identified::Takes
        );
        assert_eq!(Identified::among([]), Identified::Demands);
    }

    #[test]
    fn words_of_other_revisions_are_read() {
        let read = |text: &str| Announcement::from_bag(text).unwrap().identified;
        assert_eq!(read(r#"{"files":"x","trusts":["a"]}"#), Identified::No);
        assert_eq!(
            read(r#"{"files":"x","identified":"later"}"#),
            Identified::No
        );
        let own = Announcement {
            identified: Identified::Shows,
            ..Announcement::default()
        };
        assert_eq!(Announcement::from_bag(&own.to_bag()), Some(own));
    }
}
