//! The disk guard: as a member's volume fills, this is told; before PostgreSQL would stop for want
//! of space, new transactions may only read until there is room again.
//!
//! Each unit looks at its own volume and tells the leader, which changes Patroni's dynamic
//! configuration: `default_transaction_read_only`, a reload. What runs goes on to its end, and
//! whoever has to make room may say `BEGIN READ WRITE`.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value, json};

use crate::names::Member;
use crate::observed::Observed;
use crate::plan::{Plan, Problem, Step};

/// The parameter that makes transactions read-only by default.
pub const READ_ONLY: &str = "default_transaction_read_only";
/// So much, in percent of the volume, has to be free again beyond the threshold of read-only.
const ROOM: u8 = 5;
/// A difference in percent that is worth telling.
const STEP: u8 = 3;

/// From how many percent on something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// It is told.
    pub warning: u8,
    /// The database only reads.
    pub read_only: u8,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            warning: 85,
            read_only: 95,
        }
    }
}

impl Thresholds {
    /// Below this the database takes writes again.
    #[must_use]
    pub fn release(self) -> u8 {
        self.read_only.saturating_sub(ROOM)
    }

    fn level(self, percent: u8, before: Level) -> Level {
        let full = percent >= self.read_only;
        if full || (before == Level::Full && percent >= self.release()) {
            Level::Full
        } else if percent >= self.warning {
            Level::Warning
        } else {
            Level::Fine
        }
    }
}

/// The own volume.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disk {
    /// Used, in percent of what may be used.
    pub percent: u8,
    /// What fills it, in words; looked up only where there is something to tell.
    pub filled_by: String,
}

/// How full a volume is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Not worth a word.
    #[default]
    Fine,
    /// Somebody should see to it.
    Warning,
    /// The database only reads.
    Full,
}

/// What a unit tells of its volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Note {
    /// How full.
    pub level: Level,
    /// The same in percent.
    pub percent: u8,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Level::Fine => Ok(()),
            Level::Warning => write!(f, "warning {}", self.percent),
            Level::Full => write!(f, "full {}", self.percent),
        }
    }
}

impl Note {
    /// From a databag; nothing to tell for what no charm wrote.
    #[must_use]
    pub fn from_bag(text: &str) -> Self {
        let parse = || {
            let (word, percent) = text.split_once(' ')?;
            let level = match word {
                "warning" => Level::Warning,
                "full" => Level::Full,
                _ => return None,
            };
            let percent = percent.parse().ok()?;
            Some(Self { level, percent })
        };
        parse().unwrap_or_default()
    }
}

/// Notes of several members, as one text.
#[must_use]
pub fn to_bag(notes: &BTreeMap<Member, Note>) -> String {
    let notes: Vec<String> = notes
        .iter()
        .map(|(member, note)| format!("{}={note}", member.unit()))
        .collect();
    notes.join(",")
}

/// Looks at the own note, and as a leader at all.
pub fn plan(plan: &mut Plan, observed: &Observed, thresholds: Thresholds) {
    let Some(peer_data) = observed.peer_data.as_ref() else {
        return;
    };
    let before = peer_data.disk;
    let seen = observed.workload.facts().and_then(|f| f.disk.as_ref());
    let own = seen.map_or(before, |disk| note(disk, thresholds, before));
    if own != before {
        let why = "the leader acts on it";
        plan.step(Step::PublishDisk(own), why);
    }
    if let (Level::Full, Some(disk)) = (own.level, seen) {
        plan.problem(Problem::StorageFull {
            percent: disk.percent,
            release: thresholds.release(),
            filled_by: disk.filled_by.clone(),
        });
    }
    // A member that does not run keeps nobody from writing: no commit waits for it.
    let runs = |member: &Member| {
        observed.cluster.as_ref().is_none_or(|view| {
            let found = view
                .members
                .iter()
                .find(|m| m.member.as_ref() == Some(member));
            found.is_some_and(crate::observed::ClusterMember::running)
        })
    };
    let mut all: BTreeMap<Member, Note> = peer_data
        .disks
        .iter()
        .filter(|(member, _)| observed.peers.contains(member) && runs(member))
        .map(|(member, note)| (member.clone(), *note))
        .collect();
    all.insert(observed.me.clone(), own);
    all.retain(|_, note| note.level != Level::Fine);
    if observed.leader && all != peer_data.noted_disks {
        let why = "every unit knows which volumes are filling";
        plan.step(Step::NoteDisks(all.clone()), why);
    }
    plan.disks = all;
}

/// What to tell: the level, and the percentage where it has moved.
fn note(disk: &Disk, thresholds: Thresholds, before: Note) -> Note {
    let level = thresholds.level(disk.percent, before.level);
    if level == Level::Fine {
        return Note::default();
    }
    if level == before.level && disk.percent.abs_diff(before.percent) < STEP {
        return before;
    }
    Note {
        level,
        percent: disk.percent,
    }
}

/// The dynamic configuration, with the guard where a volume is full.
#[must_use]
pub fn guarded(wanted: &Map<String, Value>, plan: &Plan) -> Map<String, Value> {
    let mut wanted = wanted.clone();
    if plan.disks.values().any(|note| note.level == Level::Full) {
        let place = wanted.entry("postgresql").or_insert_with(|| json!({}));
        if let Some(place) = place.as_object_mut() {
            let parameters = place.entry("parameters").or_insert_with(|| json!({}));
            if let Some(parameters) = parameters.as_object_mut() {
                parameters.insert(READ_ONLY.to_owned(), json!("on"));
            }
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_has_to_have_room_again_before_it_is_not_full() {
        let thresholds = Thresholds::default();
        for (percent, before, after) in [
            (84, Level::Fine, Level::Fine),
            (85, Level::Fine, Level::Warning),
            (94, Level::Warning, Level::Warning),
            (95, Level::Warning, Level::Full),
            (91, Level::Full, Level::Full),
            (90, Level::Full, Level::Full),
            (89, Level::Full, Level::Warning),
            (20, Level::Full, Level::Fine),
        ] {
            assert_eq!(thresholds.level(percent, before), after, "{percent}");
        }
    }

    #[test]
    fn what_stands_in_a_databag_is_what_was_told() {
        for note in [
            Note::default(),
            Note {
                level: Level::Warning,
                percent: 87,
            },
            Note {
                level: Level::Full,
                percent: 100,
            },
        ] {
            assert_eq!(Note::from_bag(&note.to_string()), note);
        }
        assert_eq!(Note::from_bag("full of holes"), Note::default());
    }

    #[test]
    fn small_differences_wake_nobody() {
        let before = Note {
            level: Level::Warning,
            percent: 86,
        };
        let at = |percent| Disk {
            percent,
            ..Disk::default()
        };
        let thresholds = Thresholds::default();
        assert_eq!(note(&at(88), thresholds, before), before);
        assert_eq!(note(&at(89), thresholds, before).percent, 89);
    }
}
