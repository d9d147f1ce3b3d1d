//! Options that PostgreSQL would not start with on this pod, though each is within its range: what
//! they ask for together, processes and shared memory.

use serde_json::{Value, json};

use super::{Config, OptionError, Parameters, Rule, error, sizing, table};
use crate::options::Machine;

/// `max_wal_senders`.
pub(super) const WAL_SENDERS: u64 = 25;
/// Processes that one server may have.
const MOST_PROCESSES: u64 = 262_143;
/// Those of autovacuum and of the server itself, in any version.
const OWN_PROCESSES: u64 = 19;
/// Bytes of shared memory of a process, but for its locks and its statement: what
/// `postgres -C shared_memory_size` tells of PostgreSQL 15, rounded up.
const OF_PROCESS: u64 = 22_000;
/// The same, of a lock.
const OF_LOCK: u64 = 410;
/// These structures may have a fifth of the memory.
const SHARE: u64 = 5;

/// What the server is asked for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    connections: u64,
    prepared: u64,
    statement: u64,
    locks: u64,
    /// Processes beside connections.
    others: u64,
    /// Bytes that all this may take.
    memory: u64,
}

/// An option, and what of the whole it sets.
type Part = (&'static str, fn(&mut Asked) -> &mut u64);

/// In this order: one that is too large is told by itself, not by those after it.
const PARTS: [Part; 4] = [
    ("experimental_max_connections", |asked| {
        &mut asked.connections
    }),
    ("memory_max_prepared_transactions", |asked| {
        &mut asked.prepared
    }),
    ("request_track_activity_query_size", |asked| {
        &mut asked.statement
    }),
    ("instance_max_locks_per_transaction", |asked| {
        &mut asked.locks
    }),
];

impl Asked {
    fn processes(&self) -> u64 {
        self.connections + self.others
    }

    fn bytes(&self) -> u64 {
        let of_each = OF_PROCESS + self.statement + OF_LOCK.saturating_mul(self.locks);
        (self.processes() + self.prepared).saturating_mul(of_each)
    }

    fn fits(&self) -> bool {
        self.processes() <= MOST_PROCESSES && self.bytes() <= self.memory
    }

    fn with(mut self, (_, part): Part, value: u64) -> Self {
        *part(&mut self) = value;
        self
    }

    /// The largest value of a part, of these from `low` to `high`, that fits; `low` in any case.
    fn most(self, part: Part, mut low: u64, mut high: u64) -> u64 {
        while low < high {
            let middle = high - (high - low) / 2;
            if self.with(part, middle).fits() {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }
}

/// Refuses what asks for too much together with the others, each with the most that it may have.
pub(super) fn bounded(
    config: &Config,
    machine: &Machine,
    parameters: &Parameters,
    errors: &mut Vec<OptionError>,
) {
    let workers = parameters.dynamic.get("max_worker_processes");
    let mut asked = Asked {
        connections: sizing::connections(machine).into(),
        prepared: 0,
        statement: 1024,
        locks: 64,
        others: WAL_SENDERS + OWN_PROCESSES + workers.and_then(Value::as_u64).unwrap_or(8),
        memory: machine.available(config) / SHARE,
    };
    for part in PARTS {
        let (option, field) = part;
        let given = config.int(option).and_then(|n| u64::try_from(n).ok());
        let Some(value) = given else { continue };
        let with = asked.with(part, value);
        // No pod is so small that it may not have what every server has.
        let usual = *field(&mut asked);
        if with.fits() || value <= usual {
            asked = with;
            continue;
        }
        let (low, high) = range(option);
        let most = asked.most(part, usual, high);
        let why = if asked.with(part, most + 1).processes() > MOST_PROCESSES {
            format!("more needs over {MOST_PROCESSES} processes")
        } else {
            "more does not fit into memory".to_owned()
        };
        errors.push(error(
            option,
            &json!(value),
            format!("{low} to {most} ({why})"),
        ));
    }
}

/// An option's own range.
fn range(option: &str) -> (u64, u64) {
    let spec = table::TABLE.iter().find(|spec| spec.name == option);
    match spec.map(|spec| spec.rule) {
        Some(Rule::Int(low, high)) => (
            u64::try_from(low).unwrap_or_default(),
            u64::try_from(high).unwrap_or(u64::MAX),
        ),
        _ => (0, u64::MAX),
    }
}
