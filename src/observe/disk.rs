//! The own volume: how full it is, and what fills it.

use cluster_plan::disk::Disk;
use cluster_plan::names::{LOGS, PGDATA, STORAGE};

use crate::ports::{Output, Ports, Server, Workload};

/// Directories, and what is in them; each file counts for the first one.
const PLACES: [(&str, &str, &str); 5] = [
    (PGDATA, "/pg_wal", "WAL"),
    (PGDATA, "/base/pgsql_tmp", "temporary files"),
    (PGDATA, "/base", "tables and indexes"),
    (LOGS, "", "logs"),
    (PGDATA, "", "the rest"),
];

/// The replication slot that holds most WAL.
pub const SLOTS: &str = "\
SELECT slot_name::pg_catalog.text, (pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery() \
    THEN pg_catalog.pg_last_wal_receive_lsn() ELSE pg_catalog.pg_current_wal_lsn() END, \
    restart_lsn)::pg_catalog.int8 / 1048576)::pg_catalog.text, active::pg_catalog.text \
FROM pg_catalog.pg_replication_slots WHERE restart_lsn IS NOT NULL \
ORDER BY restart_lsn LIMIT 1";

/// Looks at the volume, and from this percentage on also at what fills it; none where that can't be
/// told.
#[must_use]
pub fn look(ports: &Ports<'_>, warning: u8) -> Option<Disk> {
    let percent = percent(&run(ports.workload, &["df", "-P", "-k", STORAGE])?.stdout)?;
    let mut disk = Disk {
        percent,
        filled_by: String::new(),
    };
    // A little below, so that what is still told after a volume has been full is told whole.
    if percent >= warning.saturating_sub(10) {
        let mut words = places(ports.workload);
        words.extend(slot(ports));
        disk.filled_by = words.join(", ");
    }
    Some(disk)
}

/// The column of the percentage in the last line of `df -P`.
fn percent(text: &str) -> Option<u8> {
    let line = text.lines().last()?;
    line.split_whitespace()
        .nth(4)?
        .strip_suffix('%')?
        .parse()
        .ok()
}

fn places(port: &dyn Workload) -> Vec<String> {
    let paths = PLACES.map(|(top, place, _)| format!("{top}{place}"));
    let mut command = vec!["timeout", "3", "du", "-s", "-m"];
    command.extend(paths.iter().map(String::as_str));
    // What vanishes while it looks makes it fail after it has told the rest.
    let told = port
        .exec(&command)
        .map(|output| output.stdout)
        .unwrap_or_default();
    let sizes = told.lines().filter_map(|line| line.split_once('\t'));
    let mut found: Vec<(u64, &str)> = sizes
        .filter_map(|(size, path)| {
            let at = paths.iter().position(|known| known == path)?;
            Some((size.parse().ok()?, PLACES.get(at)?.2))
        })
        .filter(|(size, _)| *size > 0)
        .collect();
    found.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    let word = |(size, what): (u64, &str)| format!("{size} MB {what}");
    found.into_iter().map(word).collect()
}

fn slot(ports: &Ports<'_>) -> Option<String> {
    let rows = ports.database.query(&Server::Own, SLOTS).ok()?;
    let mut cells = rows.into_iter().next()?.into_iter().flatten();
    let (name, size) = (cells.next()?, cells.next()?);
    let size: u64 = size.parse().ok()?;
    (size > 16).then(|| format!("slot {name} holds {size} MB of the WAL"))
}

fn run(port: &dyn Workload, command: &[&str]) -> Option<Output> {
    match port.exec(command) {
        Ok(output) if output.code == 0 => Some(output),
        Ok(output) => {
            tracing::warn!("cannot look at the volume: {}", output.stderr.trim());
            None
        }
        Err(error) => {
            tracing::warn!("cannot look at the volume: {}", error.chain());
            None
        }
    }
}
