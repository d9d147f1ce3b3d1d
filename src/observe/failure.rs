//! Why the own PostgreSQL does not start: in Pebble's log until it keeps one of its own, then in that.

use cluster_plan::failure::last_words;
use cluster_plan::observed::{ClusterMember, Observed, Workload};

use crate::layer::SERVICE;
use crate::ports::{self, PortResult};

/// Prints the end of the newest of PostgreSQL's logs. Constant text: nothing is put into it.
pub const NEWEST_LOG: [&str; 3] = [
    "sh",
    "-c",
    "f=$(ls -t /var/log/postgresql/postgresql-*.log 2>/dev/null | head -n 1) && \
     [ -n \"$f\" ] && tail -c 65536 \"$f\" | grep 'FATAL: \\|PANIC: \\|ready to accept'",
];
/// Lines of Pebble's log that are looked at.
const LINES: u32 = 60;

/// Adds the reason to the facts, where the member is there and its PostgreSQL is not.
pub fn look(port: &dyn ports::Workload, observed: &mut Observed) {
    let down = |own: &ClusterMember| !own.running() && own.state != "creating replica";
    if !observed.own_member().is_some_and(down) {
        return;
    }
    let words = match words(port) {
        Ok(words) => words,
        Err(error) => {
            tracing::warn!("cannot look into PostgreSQL's log: {}", error.chain());
            return;
        }
    };
    if let Some(words) = &words {
        tracing::warn!("PostgreSQL does not start: {words}");
    }
    if let Workload::Up(facts) = &mut observed.workload {
        facts.failure = words;
    }
}

fn words(port: &dyn ports::Workload) -> PortResult<Option<String>> {
    let early = last_words(&port.logs(SERVICE, LINES)?);
    let own = last_words(&port.exec(&NEWEST_LOG)?.stdout);
    // Both begin with their time.
    Ok(early.max(own).map(|(_, words)| words))
}
