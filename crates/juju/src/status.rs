//! Statuses, and what `goal-state` tells.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The words of a workload status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // Juju's own
pub enum StatusWord {
    Active,
    Waiting,
    Maintenance,
    Blocked,
}

/// A workload status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its word.
    pub word: StatusWord,
    /// Its message.
    pub message: String,
}

impl Status {
    /// All is well.
    #[must_use]
    pub fn active(message: impl Into<String>) -> Self {
        Self {
            word: StatusWord::Active,
            message: message.into(),
        }
    }

    /// Goes on by itself.
    #[must_use]
    pub fn waiting(message: impl Into<String>) -> Self {
        Self {
            word: StatusWord::Waiting,
            message: message.into(),
        }
    }

    /// Something is being done.
    #[must_use]
    pub fn maintenance(message: impl Into<String>) -> Self {
        Self {
            word: StatusWord::Maintenance,
            message: message.into(),
        }
    }

    /// Needs a person.
    #[must_use]
    pub fn blocked(message: impl Into<String>) -> Self {
        Self {
            word: StatusWord::Blocked,
            message: message.into(),
        }
    }
}

impl StatusWord {
    /// The word itself.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Maintenance => "maintenance",
            Self::Blocked => "blocked",
        }
    }

    /// The word that a text is; none for those that only Juju sets.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [
            Self::Active,
            Self::Waiting,
            Self::Maintenance,
            Self::Blocked,
        ]
        .into_iter()
        .find(|word| word.text() == text)
    }
}

/// `goal-state`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct GoalState {
    /// Units of the application with their status; this one is among them.
    #[serde(default)]
    pub units: BTreeMap<String, Goal>,
    /// Endpoints with the applications and units at their other end.
    #[serde(default)]
    pub relations: BTreeMap<String, BTreeMap<String, Goal>>,
}

/// A unit's or relation's state in `goal-state`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Goal {
    /// `active`, `waiting`, `dying`, `joined`, ...
    #[serde(default)]
    pub status: String,
}
