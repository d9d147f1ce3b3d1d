//! The checker finds each violation that was put into a good history, and nothing in a good one.

#![allow(clippy::indexing_slicing, clippy::expect_used)]

use chaos::check::{Verdict, Violation, check};
use chaos::history::{Record, What};
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

const CLIENTS: u32 = 4;

/// A history of a correct cluster: clients overlap in time, the primary changes with a new timeline,
/// some writes are refused, of some the client does not know.
struct Model {
    random: SmallRng,
    records: Vec<Record>,
    rows: Vec<(u32, u64)>,
    /// What each client waits for: operation, when it takes effect, when it completes.
    open: Vec<Option<Open>>,
    ops: Vec<u64>,
    seqs: Vec<u64>,
    timeline: u32,
    now: u64,
}

#[derive(Clone)]
struct Open {
    write: Option<u64>,
    /// What it will be told; set when it takes effect.
    told: Option<What>,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self {
            random: SmallRng::seed_from_u64(seed),
            records: Vec::new(),
            rows: Vec::new(),
            open: vec![None; CLIENTS as usize],
            ops: vec![0; CLIENTS as usize],
            seqs: vec![0; CLIENTS as usize],
            timeline: 1,
            now: 1000,
        }
    }

    fn server(&self) -> String {
        format!("10.1.0.{}", self.timeline % 3)
    }

    fn add(&mut self, client: u32, op: u64, what: What) {
        let at = self.now;
        self.records.push(Record {
            at,
            client,
            op,
            what,
        });
    }

    fn step(&mut self) {
        // Sometimes several things at the same moment.
        self.now += self.random.random_range(0..5);
        if self.random.random_bool(0.02) {
            self.timeline += 1;
        }
        let client = self.random.random_range(0..CLIENTS);
        let index = client as usize;
        match self.open[index].clone() {
            None => self.begin(client),
            Some(Open { told: None, write }) => {
                let told = self.take_effect(client, write);
                self.open[index] = Some(Open {
                    write,
                    told: Some(told),
                });
            }
            Some(Open {
                told: Some(told), ..
            }) => {
                self.open[index] = None;
                let op = self.ops[index];
                self.add(client, op, told);
            }
        }
    }

    fn begin(&mut self, client: u32) {
        let index = client as usize;
        self.ops[index] += 1;
        let write = self.random.random_bool(0.6).then(|| {
            self.seqs[index] += 1;
            self.seqs[index]
        });
        self.open[index] = Some(Open { write, told: None });
        let what = write.map_or(What::Read, |seq| What::Write { seq });
        self.add(client, self.ops[index], what);
    }

    fn take_effect(&mut self, client: u32, write: Option<u64>) -> What {
        let (server, timeline) = (self.server(), self.timeline);
        let dice = self.random.random_range(0..20);
        match write {
            _ if dice == 0 => What::Failed {
                why: "read-only".into(),
            },
            Some(seq) if dice == 1 => {
                if self.random.random_bool(0.5) {
                    self.rows.push((client, seq));
                }
                What::Unknown {
                    why: "no answer".into(),
                }
            }
            Some(seq) => {
                self.rows.push((client, seq));
                What::Acknowledged { server, timeline }
            }
            None => {
                // A standby may be behind; it is asked as often as the primary.
                let primary = self.random.random_bool(0.5);
                let behind = if primary {
                    0
                } else {
                    self.random.random_range(0..5)
                };
                let until = self.rows.len().saturating_sub(behind);
                let highest = |c| {
                    let own = self.rows[..until].iter().filter(|(client, _)| *client == c);
                    own.map(|(_, seq)| *seq).max().unwrap_or(0)
                };
                let seen = (0..CLIENTS).map(highest).collect();
                What::Answered {
                    server,
                    timeline,
                    primary,
                    seen,
                }
            }
        }
    }

    /// All that happened, and the rows at the end.
    fn end(mut self) -> Vec<Record> {
        self.now += 1;
        for (client, seq) in std::mem::take(&mut self.rows) {
            self.add(
                client,
                0,
                What::Rows {
                    from: seq,
                    to: seq,
                    count: 1,
                },
            );
        }
        self.add(0, 0, What::End);
        self.records
    }
}

fn good(seed: u64) -> Vec<Record> {
    let mut model = Model::new(seed);
    for _ in 0..1500 {
        model.step();
    }
    model.end()
}

fn judge(records: &[Record]) -> Verdict {
    check(records).expect("a history")
}

/// The positions of what can be spoilt.
fn positions(records: &[Record], fits: impl Fn(&Record) -> bool) -> Vec<usize> {
    (0..records.len()).filter(|&n| fits(&records[n])).collect()
}

fn pick(seed: u64, from: &[usize]) -> usize {
    from[SmallRng::seed_from_u64(seed ^ 0xdead).random_range(0..from.len())]
}

fn completed(record: &Record) -> bool {
    matches!(record.what, What::Acknowledged { .. })
}

/// The row whose write this acknowledges.
fn row_of(records: &[Record], at: usize) -> (u32, u64) {
    let (client, op) = (records[at].client, records[at].op);
    let seq = records.iter().find_map(|record| match record.what {
        What::Write { seq } if (record.client, record.op) == (client, op) => Some(seq),
        _ => None,
    });
    (client, seq.expect("its invocation"))
}

fn is_row(record: &Record, row: (u32, u64)) -> bool {
    record.client == row.0 && matches!(record.what, What::Rows { from, .. } if from == row.1)
}

fn any(verdict: &Verdict, kind: impl Fn(&Violation) -> bool) -> bool {
    verdict.violations.iter().any(kind)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_correct_cluster_is_never_accused(seed: u64) {
        let verdict = judge(&good(seed));
        prop_assert_eq!(&verdict.violations, &[]);
        prop_assert!(verdict.acknowledged > 100 && verdict.primary_reads > 20);
        prop_assert!(verdict.failed + verdict.unknown > 0);
    }

    #[test]
    fn the_order_of_lines_does_not_matter(seed: u64) {
        let mut records = good(seed);
        let verdict = judge(&records);
        // Lines of one moment stay in order only as far as check() itself sees to it.
        records.sort_by_key(|record| std::cmp::Reverse(record.at));
        let turned = judge(&records);
        prop_assert_eq!(verdict.violations, turned.violations);
    }

    #[test]
    fn a_lost_row_is_found(seed: u64) {
        let mut records = good(seed);
        let row = row_of(&records, pick(seed, &positions(&records, completed)));
        records.retain(|record| !is_row(record, row));
        let verdict = judge(&records);
        prop_assert_eq!(verdict.violations.len(), 1);
        let lost = any(&verdict, |one| matches!(
            one, Violation::Lost { client, seq, .. } if (*client, *seq) == row));
        prop_assert!(lost);
    }

    #[test]
    fn a_duplicated_row_is_found(seed: u64) {
        let mut records = good(seed);
        let row = row_of(&records, pick(seed, &positions(&records, completed)));
        let again = records.iter().find(|record| is_row(record, row)).expect("a row").clone();
        records.push(again);
        let found = Violation::Duplicated { client: row.0, seq: row.1, count: 2 };
        prop_assert_eq!(judge(&records).violations, vec![found]);
    }

    #[test]
    fn a_row_that_was_refused_or_never_written_is_found(seed: u64, refused: bool) {
        let mut records = good(seed);
        let fits = |record: &Record| matches!(record.what, What::Failed { .. })
            && records.iter().any(|other| (other.client, other.op) == (record.client, record.op)
                && matches!(other.what, What::Write { .. }));
        let row = if refused {
            row_of(&records, pick(seed, &positions(&records, fits)))
        } else {
            (1, 1_000_000)
        };
        let mut end = records.last().expect("an end").clone();
        end.client = row.0;
        end.what = What::Rows { from: row.1, to: row.1, count: 1 };
        records.push(end);
        let found = Violation::Invented { client: row.0, seq: row.1, refused };
        prop_assert_eq!(judge(&records).violations, vec![found]);
    }

    #[test]
    fn a_read_of_the_primary_that_misses_an_acknowledged_row_is_found(seed: u64) {
        let mut records = good(seed);
        let late = |record: &Record| matches!(
            &record.what, What::Answered { primary: true, seen, .. } if record.at > 3000 && seen[0] > 50);
        let at = pick(seed, &positions(&records, late));
        if let What::Answered { seen, .. } = &mut records[at].what {
            seen[0] -= 50;
        }
        let stale = any(&judge(&records), |one| matches!(
            one, Violation::Stale { client: 0, deposed: false, .. }));
        prop_assert!(stale);
    }

    #[test]
    fn a_write_on_an_old_timeline_is_found(seed: u64) {
        let mut records = good(seed);
        let late = |record: &Record| matches!(
            record.what, What::Acknowledged { timeline, .. } if timeline > 3);
        let at = pick(seed, &positions(&records, late));
        if let What::Acknowledged { timeline, .. } = &mut records[at].what {
            *timeline = 1;
        }
        let two = any(&judge(&records), |one| matches!(
            one, Violation::TwoTimelines { timeline: 1, .. }));
        prop_assert!(two);
    }
}

/// `at`, client, operation, what.
fn line(at: u64, client: u32, op: u64, what: What) -> Record {
    Record {
        at,
        client,
        op,
        what,
    }
}

fn acknowledged(server: &str, timeline: u32) -> What {
    What::Acknowledged {
        server: server.into(),
        timeline,
    }
}

fn answered(server: &str, timeline: u32, seen: u64) -> What {
    What::Answered {
        server: server.into(),
        timeline,
        primary: true,
        seen: vec![seen],
    }
}

fn whole(mut records: Vec<Record>, rows: u64) -> Verdict {
    if rows > 0 {
        records.push(line(
            9999,
            0,
            0,
            What::Rows {
                from: 1,
                to: rows,
                count: 1,
            },
        ));
    }
    records.push(line(9999, 0, 0, What::End));
    judge(&records)
}

#[test]
fn a_read_that_goes_back_in_time_is_found_though_nothing_was_acknowledged() {
    let verdict = whole(
        vec![
            line(1, 0, 1, What::Write { seq: 1 }),
            line(2, 1, 1, What::Read),
            line(3, 1, 1, answered("a", 1, 1)),
            line(4, 1, 2, What::Read),
            line(5, 1, 2, answered("b", 2, 0)),
        ],
        0,
    );
    assert!(matches!(
        verdict.violations[..],
        [Violation::BackInTime {
            before: 1,
            seen: 0,
            ..
        }]
    ));
}

#[test]
fn reads_that_overlap_may_disagree() {
    let verdict = whole(
        vec![
            line(1, 0, 1, What::Write { seq: 1 }),
            line(2, 1, 1, What::Read),
            line(3, 2, 1, What::Read),
            line(4, 1, 1, answered("a", 1, 1)),
            line(5, 2, 1, answered("a", 1, 0)),
        ],
        1,
    );
    assert_eq!(verdict.violations, []);
    assert_eq!((verdict.unknown, verdict.unknown_there), (1, 1));
}

#[test]
fn a_deposed_primary_that_answers_reads_is_found_and_named() {
    let verdict = whole(
        vec![
            line(1, 0, 1, What::Write { seq: 1 }),
            line(2, 0, 1, acknowledged("b", 2)),
            line(3, 1, 1, What::Read),
            line(4, 1, 1, answered("a", 1, 0)),
        ],
        1,
    );
    assert!(matches!(
        verdict.violations[..],
        [Violation::Stale { deposed: true, .. }]
    ));
}

#[test]
fn two_servers_in_turn_on_one_timeline_are_found() {
    let turn = |second: &str| {
        let mut records = Vec::new();
        for (n, server) in (1..).zip(["a", second, "a"]) {
            records.push(line(n * 10, 0, n, What::Write { seq: n }));
            records.push(line(n * 10 + 5, 0, n, acknowledged(server, 1)));
        }
        whole(records, 3).violations
    };
    assert_eq!(turn("a"), []);
    assert!(
        matches!(&turn("b")[..], [Violation::TwoServers { server, other, .. }]
        if server == "a" && other == "b")
    );
}

#[test]
fn a_primary_may_come_back_with_another_address_on_its_timeline() {
    let verdict = whole(
        vec![
            line(1, 0, 1, What::Write { seq: 1 }),
            line(2, 0, 1, acknowledged("a", 1)),
            line(3, 0, 2, What::Write { seq: 2 }),
            line(4, 0, 2, acknowledged("b", 1)),
        ],
        2,
    );
    assert_eq!(verdict.violations, []);
}

#[test]
fn two_primaries_whose_writes_overlap_are_not_held_against_them() {
    let verdict = whole(
        vec![
            line(1, 0, 1, What::Write { seq: 1 }),
            line(2, 1, 1, What::Write { seq: 1 }),
            line(3, 1, 1, acknowledged("b", 2)),
            line(4, 0, 1, acknowledged("a", 1)),
            line(
                9,
                1,
                0,
                What::Rows {
                    from: 1,
                    to: 1,
                    count: 1,
                },
            ),
        ],
        1,
    );
    assert_eq!(verdict.violations, []);
}

#[test]
fn a_row_seen_on_a_standby_and_gone_is_told_but_no_violation() {
    let seen = What::Answered {
        server: "b".into(),
        timeline: 1,
        primary: false,
        seen: vec![1],
    };
    let verdict = whole(
        vec![
            line(1, 0, 1, What::Write { seq: 1 }),
            line(2, 1, 1, What::Read),
            line(3, 1, 1, seen),
            line(4, 0, 1, What::Unknown { why: "gone".into() }),
        ],
        0,
    );
    assert_eq!(verdict.violations, []);
    assert_eq!(verdict.seen_on_standby_and_gone, 1);
}

#[test]
fn what_no_workload_writes_is_no_history() {
    let begun = line(1, 0, 1, What::Read);
    assert!(
        check(std::slice::from_ref(&begun)).is_err(),
        "no rows are told"
    );
    let end = line(9, 0, 0, What::End);
    assert!(
        check(&[begun.clone(), begun.clone(), end.clone()]).is_err(),
        "begun twice"
    );
    assert!(
        check(&[line(1, 0, 1, answered("a", 1, 0)), end.clone()]).is_err(),
        "never begun"
    );
    assert!(
        check(&[begun, line(2, 0, 1, acknowledged("a", 1)), end]).is_err(),
        "a read is no write"
    );
}

#[test]
fn records_are_the_same_after_a_file() {
    let records = good(7);
    for record in &records {
        let text = serde_json::to_string(record).unwrap();
        assert_eq!(&serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
