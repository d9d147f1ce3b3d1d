//! Whether a standby can follow the primary; and where it never can again, whether its data may be
//! given up for a new copy of the primary's.
//!
//! Patroni rewinds a member that has diverged, but it leaves one alone that asks for WAL which the
//! primary has removed: that one asks for ever. Only the charm may say that it starts anew, and only
//! where all that it holds is proven to be in the primary's own history. One that diverged and that
//! could not be rewound does not start any more; it keeps its data until a person gives it up. So does
//! one that parted from the primary within one timeline, as both led for a moment (patroni/patroni#3718):
//! Patroni takes it for a member that follows, though it never streams.

use std::collections::BTreeSet;

use crate::observed::{Cluster, Observed, Role};
use crate::outlook::patronictl;
use crate::plan::{Plan, Problem, Step, Waiting};

/// What the own standby and the primary tell of each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Following {
    /// The own standby.
    pub standby: Standby,
    /// The primary; none while the standby streams, or where the primary does not answer.
    pub primary: Option<Upstream>,
}

/// A checkpoint, as a control file tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where its record begins, in bytes.
    pub at: u64,
    /// From where on it would be replayed.
    pub redo: u64,
    /// Its timeline.
    pub timeline: u32,
}

/// The least bytes of a page of WAL, at whose beginning a header would be in a record's midst.
const PAGE: u64 = 1024;
/// Bytes of a record up to the end of a checkpoint's `redo`: its header, its length, and that.
const RECORD: usize = 24 + 2 + 8;

impl Checkpoint {
    /// Whether these bytes, from the same place of another server's WAL, are another record; none where
    /// they do not tell.
    fn differs(self, bytes: &[u8]) -> Option<bool> {
        let fits = PAGE - self.at % PAGE >= RECORD as u64;
        let record = bytes.get(..RECORD).filter(|_| fits)?;
        let (info, manager) = (*record.get(16)? & 0xF0, *record.get(17)?);
        let redo = u64::from_le_bytes(record.get(26..)?.try_into().ok()?);
        let checkpoint =
            manager == 0 && matches!(info, 0x00 | 0x10) && record.get(24) == Some(&0xFF);
        Some(!checkpoint || redo != self.redo)
    }
}

/// A standby, by its own word or, where it does not start, by its control file's.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standby {
    /// It streams.
    pub streams: bool,
    /// It does not start: `position` is the least that it has.
    pub stopped: bool,
    /// The highest timeline of which it can have anything.
    pub timeline: u32,
    /// The end of what it has received or replayed, in bytes.
    pub position: u64,
    /// Replay is paused or delayed, so more may lie on its volume than it tells.
    pub paused: bool,
    /// It can fetch WAL from an archive.
    pub archive: bool,
    /// Its last checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// Seconds since its server started, or was last told of another primary.
    pub since: u64,
}

/// The primary, as its standbys need it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upstream {
    /// Timeline.
    pub timeline: u32,
    /// The end of what is flushed, in bytes.
    pub position: u64,
    /// Bytes of a WAL segment.
    pub segment: u64,
    /// Timelines of which it has a file for the segment that the standby is in.
    pub kept: BTreeSet<u32>,
    /// Timelines that it has left, and where.
    pub history: Vec<(u32, u64)>,
    /// Bytes of its own WAL from the place of the standby's last checkpoint on.
    pub record: Option<Vec<u8>>,
    /// Seconds since its server started.
    pub since: u64,
}

/// Seconds in which a standby that can follow does so.
const TIME_TO_STREAM: u64 = 30;

/// How a standby stands to its primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// The primary has what it needs next.
    CatchesUp,
    /// The primary has all that it has, and not what it needs next.
    Behind,
    /// It has what the primary has not, from here on.
    Diverged(u64),
    /// The facts do not fit each other.
    Unknown,
}

impl Upstream {
    fn relation(&self, standby: &Standby) -> Relation {
        let known = if standby.timeline == self.timeline {
            Some(self.position)
        } else {
            let left = self.history.iter().find(|(t, _)| *t == standby.timeline);
            left.map(|(_, at)| *at)
        };
        let Some(segment) = standby.position.checked_div(self.segment) else {
            return Relation::Unknown;
        };
        let parted = self.parted_before(standby);
        match known {
            _ if standby.timeline == 0 || standby.position == 0 => Relation::Unknown,
            // A timeline that the primary never knew.
            None => Relation::Diverged(0),
            Some(end) if standby.position > end => Relation::Diverged(end),
            Some(end) if parted.is_some() => Relation::Diverged(parted.unwrap_or(end)),
            Some(_)
                if self
                    .next_file(standby, segment)
                    .is_some_and(|t| !self.kept.contains(&t)) =>
            {
                Relation::Behind
            }
            Some(_) => Relation::CatchesUp,
        }
    }

    /// The place of the standby's last checkpoint, where the primary's WAL of the same timeline has
    /// another record there. (What the standby has in that place is no proof: its receiver writes the
    /// primary's WAL over it.)
    fn parted_before(&self, standby: &Standby) -> Option<u64> {
        let checkpoint = standby.checkpoint?;
        let alike = checkpoint.timeline == self.timeline && standby.timeline == self.timeline;
        let differs = checkpoint.differs(self.record.as_ref()?)?;
        (alike && differs).then_some(checkpoint.at)
    }

    /// The timeline of the file that the standby has to be sent from, as PostgreSQL's WAL sender picks
    /// it: for a segment in which its timeline was left that is the next one's, though later timelines
    /// have a file with the same content. None where there is nothing to send yet.
    fn next_file(&self, standby: &Standby, segment: u64) -> Option<u32> {
        // Standbys begin at the start of a segment.
        let begin = segment * self.segment;
        let left = self.history.iter();
        let left = left.skip_while(|(timeline, _)| *timeline != standby.timeline);
        let next = left.clone().skip(1).map(|(timeline, _)| *timeline);
        for ((timeline, end), next) in left.zip(next.chain([self.timeline])) {
            if begin < *end {
                let switches = end.checked_div(self.segment) == Some(segment);
                return Some(if switches { next } else { *timeline });
            }
        }
        (begin < self.position).then_some(self.timeline)
    }
}

/// The history file of a timeline: which timelines were left, and where.
#[must_use]
pub fn history(text: &str) -> Vec<(u32, u64)> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, position(words.next()?)?))
        })
        .collect()
}

/// A WAL position as PostgreSQL writes it, `0/5000000`, in bytes.
#[must_use]
pub fn position(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let half = |digits: &str| u32::from_str_radix(digits, 16).ok().map(u64::from);
    Some((half(high)? << 32) | half(low)?)
}

/// A value that `pg_controldata` prints, by its key.
#[must_use]
pub fn control_value<'a>(control_data: &'a str, key: &str) -> Option<&'a str> {
    let mut values = control_data.lines().filter_map(|l| l.strip_prefix(key));
    values.next().map(str::trim)
}

/// A member that does not run, by what `pg_controldata` prints: how far it got at least.
#[must_use]
pub fn stopped(control_data: &str) -> Option<Standby> {
    let value = |key: &str| control_value(control_data, key);
    let at =
        |at: &str, timeline: &str| Some((position(value(at)?)?, value(timeline)?.parse().ok()?));
    let (checkpoint, timeline) = at(
        "Latest checkpoint location:",
        "Latest checkpoint's TimeLineID:",
    )?;
    let recovered = at(
        "Minimum recovery ending location:",
        "Min recovery ending loc's timeline:",
    );
    // There the record of the checkpoint begins, so it has something beyond.
    let (position, timeline) = recovered
        .filter(|(end, _)| *end > checkpoint)
        .unwrap_or((checkpoint + 1, timeline));
    Some(Standby {
        stopped: true,
        timeline,
        position,
        ..Standby::default()
    })
}

fn shown(position: u64) -> String {
    format!("{:X}/{:X}", position >> 32, position & 0xFFFF_FFFF)
}

/// Whether the own member is a standby that does not stream, so that the charm has to look again.
#[must_use]
pub fn lags(observed: &Observed) -> bool {
    let following = observed.following.as_ref();
    following.is_some_and(|following| !following.standby.streams)
}

/// Whether it has had the time to begin to stream and does not: after the start of either server, or the
/// promotion of another primary, a moment without is nothing to tell.
#[must_use]
pub fn stays_away(observed: &Observed) -> bool {
    observed.following.as_ref().is_some_and(|following| {
        let standby = &following.standby;
        let primary = following.primary.as_ref();
        let since = primary.map_or(0, |primary| primary.since.min(standby.since));
        !standby.streams && since >= TIME_TO_STREAM
    })
}

/// Adds the verdict on the own member.
pub(crate) fn plan(plan: &mut Plan, observed: &Observed, view: &Cluster) {
    let Some(Following {
        standby,
        primary: Some(primary),
    }) = &observed.following
    else {
        return;
    };
    if standby.streams {
        return;
    }
    match primary.relation(standby) {
        Relation::CatchesUp | Relation::Unknown => {}
        Relation::Diverged(from) => {
            // Patroni rewinds only what is of another timeline than the primary.
            let stays = standby.stopped || standby.timeline == primary.timeline;
            if stays {
                plan.outlook.push(give_up(observed));
            }
            plan.problem(Problem::Diverged {
                timeline: standby.timeline,
                from: shown(from),
                stays,
            });
        }
        // It may have more than its control file tells.
        Relation::Behind if standby.stopped => {}
        Relation::Behind => {
            let at = shown(standby.position);
            match refused(observed, view, standby) {
                None => {
                    let why = format!(
                        "it needs WAL from {at} on, which the primary has removed, and the primary \
                         has all that it holds"
                    );
                    plan.step(Step::Reinitialise, why);
                    plan.wait(Waiting::Copy, "Patroni's start callback");
                }
                Some(why) => plan.problem(Problem::CannotFollow { at, why }),
            }
        }
    }
}

/// What a person does who does not want what the own member has and the primary has not.
fn give_up(observed: &Observed) -> String {
    let me = &observed.me;
    let command = patronictl(observed, "reinit", &format!("{me} --force"));
    format!("to give up what {me} has and the primary has not: {command}")
}

/// Why a member that can't follow must keep its data for now.
fn refused(observed: &Observed, view: &Cluster, standby: &Standby) -> Option<&'static str> {
    let Some(own) = observed.own_member() else {
        return Some("Patroni does not list this member");
    };
    if own.role != Role::Replica {
        return Some("this member is the primary or a synchronous standby");
    }
    if observed.leaving.contains(&observed.me) {
        return Some("this unit is being removed");
    }
    if view.paused {
        return Some("Patroni is paused");
    }
    if standby.paused {
        return Some("replay is paused or delayed here");
    }
    if standby.archive {
        return Some("an archive may have the WAL");
    }
    let primary = view.primary().filter(|primary| primary.started());
    if primary.is_none_or(|primary| primary.member.as_ref() == Some(&observed.me)) {
        return Some("no primary runs");
    }
    // Where no other copy follows the primary, two that start anew at once would leave only one.
    let synchronous = view
        .members
        .iter()
        .any(|m| m.role == Role::SyncStandby && m.started());
    let first = view
        .members
        .iter()
        .filter(|m| m.role == Role::Replica && m.started())
        .filter_map(|m| m.member.as_ref())
        .min();
    if !synchronous && first != Some(&observed.me) {
        return Some("another standby has to take its new copy first");
    }
    None
}
