//! What the words of a hook tool that refuses mean. Juju has no codes for it, and its versions differ.

/// What a refusal means, as far as charms decide on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The relation is unknown, or gone.
    RelationNotFound,
    /// A secret, a unit, a key is not there.
    NotFound,
    /// Not visible to this unit.
    PermissionDenied,
    /// Only for leaders.
    NotLeader,
    /// The call itself is wrong: a defect of the charm.
    Usage,
    /// Anything else.
    Other,
    /// The tool did not run.
    NotRun,
    /// It gave an answer that makes no sense.
    Malformed,
}

/// Juju's words, and what they mean. Of several that a message holds the first one here counts.
const WORDS: [(&str, Refusal); 14] = [
    ("relation not found", Refusal::RelationNotFound),
    ("relation is not alive", Refusal::RelationNotFound),
    ("relation is dying", Refusal::RelationNotFound),
    ("not in relation", Refusal::NotFound),
    ("not found in relation", Refusal::NotFound),
    ("unit is dead", Refusal::NotFound),
    ("permission denied", Refusal::PermissionDenied),
    ("not allowed to read this secret", Refusal::PermissionDenied),
    (
        "not allowed to manage this secret",
        Refusal::PermissionDenied,
    ),
    ("not the leader", Refusal::NotLeader),
    ("is not leader of", Refusal::NotLeader),
    ("cannot write relation settings", Refusal::NotLeader),
    ("not found", Refusal::NotFound),
    ("no longer exists", Refusal::NotFound),
];

impl Refusal {
    /// From a tool's message and exit code.
    pub(crate) fn of(message: &str, code: i32) -> Self {
        let known = WORDS.iter().find(|(words, _)| message.contains(words));
        match known {
            Some((_, refusal)) => *refusal,
            None if code == 2 => Self::Usage,
            None => Self::Other,
        }
    }

    /// What was asked about is not there, or not any more.
    #[must_use]
    pub fn is_gone(self) -> bool {
        matches!(self, Self::RelationNotFound | Self::NotFound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tool, exit code, message of Juju 3.6 and of 4.0, and what both mean. Where a version has no such
    /// message, or the same, there is one.
    const MESSAGES: [(&str, i32, &[&str], Refusal); 19] = [
        (
            "secret-get",
            1,
            &[
                "permission denied",
                "permission denied (unauthorized access)",
                "\"pg/0\" is not allowed to read this secret",
            ],
            Refusal::PermissionDenied,
        ),
        (
            "secret-set",
            1,
            &["\"pg/0\" is not allowed to manage this secret"],
            Refusal::PermissionDenied,
        ),
        (
            "secret-get",
            1,
            &[
                "secret \"x\" not found",
                "secret URI for consumer label \"x\" not found",
            ],
            Refusal::NotFound,
        ),
        (
            "secret-info-get",
            1,
            &["secret \"x\" not found"],
            Refusal::NotFound,
        ),
        (
            "secret-get",
            2,
            &["secret URI \"key\" not valid"],
            Refusal::Usage,
        ),
        (
            "secret-grant",
            1,
            &["this unit is not the leader"],
            Refusal::NotLeader,
        ),
        (
            "relation-get",
            1,
            &[
                "permission denied (unauthorized access)",
                "permission denied",
            ],
            Refusal::PermissionDenied,
        ),
        (
            "relation-get",
            1,
            &["relation unit not found", "unit not in relation"],
            Refusal::NotFound,
        ),
        (
            "relation-get",
            1,
            &[
                "getting application \"x\" not found",
                "application not found in relation",
            ],
            Refusal::NotFound,
        ),
        (
            "relation-get",
            1,
            &["relation not found"],
            Refusal::RelationNotFound,
        ),
        (
            "relation-list",
            2,
            &["invalid value \"db:9\" for option -r: relation not found"],
            Refusal::RelationNotFound,
        ),
        (
            "relation-set",
            1,
            &["cannot write relation settings"],
            Refusal::NotLeader,
        ),
        (
            "relation-set",
            1,
            &["relation is not alive"],
            Refusal::RelationNotFound,
        ),
        (
            "goal-state",
            1,
            &["unit \"pg/3\" not found", "unit is dead"],
            Refusal::NotFound,
        ),
        (
            "status-set",
            1,
            &[
                "this unit is not the leader",
                "\"pg/0\" is not leader of \"pg\"",
            ],
            Refusal::NotLeader,
        ),
        (
            "status-get",
            1,
            &["finding application status: this unit is not the leader"],
            Refusal::NotLeader,
        ),
        (
            "leader-set",
            1,
            &["cannot write leadership settings: cannot write settings: not the leader"],
            Refusal::NotLeader,
        ),
        (
            "storage-get",
            2,
            &[
                "invalid value \"data/9\" for option -s: storage instance \"data/9\" not found",
                "invalid value \"data/9\" for option -s: storage not found",
            ],
            Refusal::NotFound,
        ),
        ("action-get", 1, &["not running an action"], Refusal::Other),
    ];

    #[test]
    fn what_a_tool_refuses_means_the_same_in_every_version_of_juju() {
        for (tool, code, messages, meaning) in MESSAGES {
            for message in messages {
                assert_eq!(Refusal::of(message, code), meaning, "{tool}: {message}");
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_told_by_the_exit_code() {
        assert_eq!(Refusal::of("unrecognized args: [\"x\"]", 2), Refusal::Usage);
        assert_eq!(Refusal::of("something new", 1), Refusal::Other);
    }
}
