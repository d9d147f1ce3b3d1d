//! Judges a history.
//!
//! Every rule is sound: it only holds against the cluster what cannot have happened on a single
//! correct server, given that an operation takes effect at some moment between its invocation and
//! its completion. Operations that overlap in time are never held against each other.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::Error;
use crate::history::{Record, What};

/// What must not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "violation", rename_all = "snake_case")]
pub enum Violation {
    /// A row was acknowledged and is not there at the end.
    Lost {
        /// Whose row.
        client: u32,
        /// Its number.
        seq: u64,
        /// When it was acknowledged.
        at: u64,
        /// By whom.
        server: String,
        /// On which timeline.
        timeline: u32,
    },
    /// A row that was written once is there more than once.
    Duplicated {
        /// Whose row.
        client: u32,
        /// Its number.
        seq: u64,
        /// How often it is there.
        count: u64,
    },
    /// A row is there that nobody has written, or whose write was refused.
    Invented {
        /// Whose row.
        client: u32,
        /// Its number.
        seq: u64,
        /// Whether its write was refused.
        refused: bool,
    },
    /// A server that takes writes did not show a row that had been acknowledged before it was asked.
    Stale {
        /// When it answered.
        at: u64,
        /// Which server.
        server: String,
        /// On which timeline.
        timeline: u32,
        /// Whether a write had been acknowledged on a newer timeline before it was asked: the server
        /// was deposed and did not know it.
        deposed: bool,
        /// Whose row.
        client: u32,
        /// The row that had been acknowledged.
        acknowledged: u64,
        /// The row that it showed instead.
        seen: u64,
    },
    /// A server that takes writes did not show a row that an earlier such read had shown.
    BackInTime {
        /// When it answered.
        at: u64,
        /// Which server.
        server: String,
        /// On which timeline.
        timeline: u32,
        /// Whose row.
        client: u32,
        /// The row that was seen before.
        before: u64,
        /// The row that it showed instead.
        seen: u64,
    },
    /// A write was acknowledged on a timeline although one on a newer timeline had been
    /// acknowledged before it began: two primaries.
    TwoTimelines {
        /// When it was acknowledged.
        at: u64,
        /// By whom.
        server: String,
        /// On which timeline.
        timeline: u32,
        /// The newer one.
        newer: u32,
    },
    /// A server acknowledged a write after another server had taken over on the same timeline: two
    /// primaries.
    TwoServers {
        /// When it was acknowledged.
        at: u64,
        /// By whom.
        server: String,
        /// On which timeline.
        timeline: u32,
        /// Who had taken over.
        other: String,
    },
}

/// What a history comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Verdict {
    /// What must not be; empty if all is well.
    pub violations: Vec<Violation>,
    /// Writes that were acknowledged.
    pub acknowledged: usize,
    /// Writes that certainly had no effect.
    pub failed: usize,
    /// Writes of which the client could not know.
    pub unknown: usize,
    /// How many of those are there at the end.
    pub unknown_there: usize,
    /// Reads answered by a server that takes writes.
    pub primary_reads: usize,
    /// Reads answered by a standby.
    pub standby_reads: usize,
    /// Rows that a standby has shown and that are not there at the end. They were never
    /// acknowledged (else they are [`Violation::Lost`]): PostgreSQL lets standbys see a commit before
    /// its client does.
    pub seen_on_standby_and_gone: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Acknowledged,
    Failed,
}

#[derive(Debug)]
struct Written {
    fate: Fate,
    at: u64,
    server: String,
    timeline: u32,
}

/// What was known when an operation began.
#[derive(Debug)]
struct Pending {
    seq: Option<u64>,
    acknowledged: BTreeMap<u32, u64>,
    seen: BTreeMap<u32, u64>,
    newest: u32,
    /// By timeline, who had last acknowledged a write.
    servers: BTreeMap<u32, String>,
}

#[derive(Debug, Default)]
struct Sweep {
    verdict: Verdict,
    pending: BTreeMap<(u32, u64), Pending>,
    written: BTreeMap<(u32, u64), Written>,
    acknowledged: BTreeMap<u32, u64>,
    seen: BTreeMap<u32, u64>,
    standby_seen: BTreeSet<(u32, u64)>,
    newest: u32,
    servers: BTreeMap<u32, String>,
    /// By timeline, the servers in the order of their first acknowledged write.
    order: BTreeMap<u32, Vec<String>>,
    rows: BTreeMap<(u32, u64), u64>,
    ended: bool,
}

/// Judges a history, in whatever order its records are.
///
/// # Errors
/// When it is none that a workload can have written, or it does not tell what is there at the end.
pub fn check(records: &[Record]) -> Result<Verdict, Error> {
    let mut sorted: Vec<&Record> = records.iter().collect();
    // At the same moment invocations come first: so the two count as overlapping.
    sorted.sort_by_key(|record| {
        let begins = matches!(record.what, What::Write { .. } | What::Read);
        (record.at, !begins)
    });
    let mut sweep = Sweep::default();
    for record in sorted {
        sweep.take(record)?;
    }
    if !sweep.ended {
        return Err(Error::Malformed(
            "it does not tell which rows are there at the end".into(),
        ));
    }
    sweep.judge_rows();
    Ok(sweep.verdict)
}

fn raise(map: &mut BTreeMap<u32, u64>, client: u32, to: u64) {
    let entry = map.entry(client).or_default();
    *entry = to.max(*entry);
}

impl Sweep {
    fn take(&mut self, record: &Record) -> Result<(), Error> {
        let key = (record.client, record.op);
        match &record.what {
            What::Write { seq } => {
                let written = Written {
                    fate: Fate::Open,
                    at: record.at,
                    server: String::new(),
                    timeline: 0,
                };
                if self
                    .written
                    .insert((record.client, *seq), written)
                    .is_some()
                {
                    return Err(Error::Malformed(format!(
                        "row {seq} of {} written twice",
                        key.0
                    )));
                }
                self.begin(key, Some(*seq))?;
            }
            What::Read => self.begin(key, None)?,
            What::Acknowledged { server, timeline } => {
                let pending = self.end(key)?;
                self.acknowledge(record, &pending, server, *timeline)?;
            }
            What::Answered {
                server,
                timeline,
                primary,
                seen,
            } => {
                let pending = self.end(key)?;
                let seen: Vec<(u32, u64)> = (0..).zip(seen.iter().copied()).collect();
                if *primary {
                    self.primary_read(record.at, &pending, server, *timeline, &seen);
                } else {
                    self.verdict.standby_reads += 1;
                    self.standby_seen
                        .extend(seen.iter().filter(|(_, seq)| *seq > 0));
                }
            }
            What::Failed { .. } => {
                if let Some(seq) = self.end(key)?.seq {
                    self.verdict.failed += 1;
                    if let Some(written) = self.written.get_mut(&(record.client, seq)) {
                        written.fate = Fate::Failed;
                    }
                }
            }
            What::Unknown { .. } => drop(self.end(key)?),
            What::Rows { from, to, count } => {
                for seq in *from..=*to {
                    *self.rows.entry((record.client, seq)).or_default() += count;
                }
            }
            What::End => self.ended = true,
        }
        Ok(())
    }

    fn begin(&mut self, key: (u32, u64), seq: Option<u64>) -> Result<(), Error> {
        let pending = Pending {
            seq,
            acknowledged: self.acknowledged.clone(),
            seen: self.seen.clone(),
            newest: self.newest,
            servers: self.servers.clone(),
        };
        match self.pending.insert(key, pending) {
            None => Ok(()),
            Some(_) => Err(Error::Malformed(format!(
                "operation {} of client {} begins twice",
                key.1, key.0
            ))),
        }
    }

    fn end(&mut self, key: (u32, u64)) -> Result<Pending, Error> {
        self.pending.remove(&key).ok_or_else(|| {
            let (client, op) = key;
            Error::Malformed(format!(
                "operation {op} of client {client} ends without begin"
            ))
        })
    }

    fn acknowledge(
        &mut self,
        record: &Record,
        pending: &Pending,
        server: &str,
        timeline: u32,
    ) -> Result<(), Error> {
        let written = pending
            .seq
            .and_then(|seq| self.written.get_mut(&(record.client, seq)));
        let (Some(written), Some(seq)) = (written, pending.seq) else {
            return Err(Error::Malformed(
                "a read was acknowledged as a write".into(),
            ));
        };
        *written = Written {
            fate: Fate::Acknowledged,
            at: record.at,
            server: server.to_owned(),
            timeline,
        };
        self.verdict.acknowledged += 1;
        raise(&mut self.acknowledged, record.client, seq);
        if timeline < pending.newest {
            self.verdict.violations.push(Violation::TwoTimelines {
                at: record.at,
                server: server.to_owned(),
                timeline,
                newer: pending.newest,
            });
        }
        let order = self.order.entry(timeline).or_default();
        let place = |name: &str| order.iter().position(|one| one == name);
        if let Some(other) = pending.servers.get(&timeline)
            && place(server).is_some_and(|mine| place(other).is_some_and(|its| mine < its))
        {
            self.verdict.violations.push(Violation::TwoServers {
                at: record.at,
                server: server.to_owned(),
                timeline,
                other: other.clone(),
            });
        }
        if place(server).is_none() {
            order.push(server.to_owned());
        }
        self.newest = self.newest.max(timeline);
        self.servers.insert(timeline, server.to_owned());
        Ok(())
    }

    fn primary_read(
        &mut self,
        at: u64,
        pending: &Pending,
        server: &str,
        timeline: u32,
        seen: &[(u32, u64)],
    ) {
        self.verdict.primary_reads += 1;
        for &(client, seen) in seen {
            let acknowledged = pending.acknowledged.get(&client).copied().unwrap_or(0);
            let before = pending.seen.get(&client).copied().unwrap_or(0);
            if seen < acknowledged {
                self.verdict.violations.push(Violation::Stale {
                    at,
                    server: server.to_owned(),
                    timeline,
                    deposed: timeline < pending.newest,
                    client,
                    acknowledged,
                    seen,
                });
            } else if seen < before {
                self.verdict.violations.push(Violation::BackInTime {
                    at,
                    server: server.to_owned(),
                    timeline,
                    client,
                    before,
                    seen,
                });
            }
            raise(&mut self.seen, client, seen);
        }
    }

    fn judge_rows(&mut self) {
        let verdict = &mut self.verdict;
        for (&(client, seq), written) in &self.written {
            let there = self.rows.contains_key(&(client, seq));
            match written.fate {
                Fate::Acknowledged if !there => verdict.violations.push(Violation::Lost {
                    client,
                    seq,
                    at: written.at,
                    server: written.server.clone(),
                    timeline: written.timeline,
                }),
                Fate::Failed if there => verdict.violations.push(Violation::Invented {
                    client,
                    seq,
                    refused: true,
                }),
                Fate::Open => {
                    verdict.unknown += 1;
                    verdict.unknown_there += usize::from(there);
                }
                _ => {}
            }
        }
        for (&(client, seq), &count) in &self.rows {
            if !self.written.contains_key(&(client, seq)) {
                verdict.violations.push(Violation::Invented {
                    client,
                    seq,
                    refused: false,
                });
            }
            if count > 1 {
                verdict
                    .violations
                    .push(Violation::Duplicated { client, seq, count });
            }
        }
        let gone = |row: &&(u32, u64)| !self.rows.contains_key(row);
        verdict.seen_on_standby_and_gone = self.standby_seen.iter().filter(gone).count();
    }
}
