//! Whether the own standby follows the primary: what it has, and what the primary still has for it.

use cluster_plan::follow::{self, Checkpoint, Following, Standby, Upstream};
use cluster_plan::observed::Observed;

use super::database;
use super::juju::JujuFacts;
use super::workload;
use crate::ports::{Database, PortResult, Ports, Server};

/// Of the own standby. A WAL receiver that has just been started may be refused in the next moment.
/// Its timeline is the highest that has a file for the end of its WAL, so never too low a one.
pub const STANDBY: &str = "\
WITH here AS (SELECT \
    (greatest(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn()) - '0/0')::pg_catalog.int8 AS at, \
    pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) AS size), \
  file AS (SELECT (at - 1) / size / (4294967296 / size) AS high, (at - 1) / size % (4294967296 / size) AS low FROM here) \
SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_wal_receiver r JOIN pg_catalog.pg_stat_activity a USING (pid) \
    WHERE r.status = 'streaming' AND a.backend_start < pg_catalog.clock_timestamp() - interval '2 s')::pg_catalog.text, \
  greatest((SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()), \
    (SELECT pg_catalog.max(('x' || pg_catalog.substr(name, 1, 8))::pg_catalog.bit(32)::pg_catalog.int8) FROM pg_catalog.pg_ls_waldir() \
       WHERE name ~ '^[0-9A-F]{24}$' AND pg_catalog.substr(name, 9) = \
         pg_catalog.upper(pg_catalog.lpad(pg_catalog.to_hex(high), 8, '0') || pg_catalog.lpad(pg_catalog.to_hex(low), 8, '0'))))::pg_catalog.text, \
  at::pg_catalog.text, \
  (pg_catalog.pg_is_wal_replay_paused() OR pg_catalog.current_setting('recovery_min_apply_delay') <> '0')::pg_catalog.text, \
  (pg_catalog.current_setting('restore_command') <> '')::pg_catalog.text, \
  extract(epoch FROM pg_catalog.clock_timestamp() \
    - greatest(pg_catalog.pg_postmaster_start_time(), pg_catalog.pg_conf_load_time()))::pg_catalog.int8::pg_catalog.text, \
  (SELECT (checkpoint_lsn - '0/0')::pg_catalog.int8::pg_catalog.text || ' ' \
      || (redo_lsn - '0/0')::pg_catalog.int8::pg_catalog.text || ' ' || timeline_id::pg_catalog.text \
     FROM pg_catalog.pg_control_checkpoint()) \
FROM here, file WHERE pg_catalog.pg_is_in_recovery()";

/// Of the primary: timeline, position, size of a segment, timelines of which it has the segment of this
/// position, history, seconds since its start, and what it has in the place of the standby's checkpoint.
pub const UPSTREAM: &str = "\
WITH now AS (SELECT pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) AS timeline, \
    pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size')) AS size), \
  file AS (SELECT $1::pg_catalog.text::pg_catalog.int8 / size / (4294967296 / size) AS high, \
    $1::pg_catalog.text::pg_catalog.int8 / size % (4294967296 / size) AS low FROM now) \
SELECT timeline, (pg_catalog.pg_current_wal_flush_lsn() - '0/0')::pg_catalog.int8::pg_catalog.text, size::pg_catalog.text, \
  (SELECT pg_catalog.string_agg(pg_catalog.substr(name, 1, 8), ',') FROM pg_catalog.pg_ls_waldir(), file \
     WHERE name ~ '^[0-9A-F]{24}$' AND pg_catalog.substr(name, 9) = \
       pg_catalog.upper(pg_catalog.lpad(pg_catalog.to_hex(high), 8, '0') || pg_catalog.lpad(pg_catalog.to_hex(low), 8, '0'))), \
  CASE WHEN timeline <> '00000001' \
    THEN pg_catalog.pg_read_file('pg_wal/' || timeline || '.history', 0, 1000000, true) END, \
  extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_postmaster_start_time())::pg_catalog.int8::pg_catalog.text, \
  CASE WHEN $2::pg_catalog.text <> '' THEN (SELECT pg_catalog.encode(pg_catalog.pg_read_binary_file('pg_wal/' || timeline || \
      pg_catalog.upper(pg_catalog.lpad(pg_catalog.to_hex(place.at / size / (4294967296 / size)), 8, '0') \
         || pg_catalog.lpad(pg_catalog.to_hex(place.at / size % (4294967296 / size)), 8, '0')), place.at % size, 34, true), 'hex') \
    FROM (SELECT $2::pg_catalog.text::pg_catalog.int8 AS at) AS place) END \
FROM now";

/// Patroni's word for a member whose PostgreSQL it has tried to start.
const START_FAILED: &str = "start failed";

/// The facts; none where the own member is no standby that answers or that cannot start. Programs of
/// this major version are in the image.
#[must_use]
pub fn look(
    juju: &JujuFacts,
    observed: &Observed,
    ports: &Ports<'_>,
    major: Option<u32>,
) -> Option<Following> {
    let port = ports.database;
    let primary = database::server(juju, observed)?;
    let own = observed.own_member()?;
    if matches!(primary, Server::Own) {
        return None;
    }
    let standby = if own.running() {
        told(own_standby(port))?
    } else if own.state == START_FAILED {
        follow::stopped(&workload::control_data(ports.workload, major?).ok()?)?
    } else {
        return None;
    };
    // In this order: what the standby has can only have grown, and what the primary has for it shrunk.
    let primary = (!standby.streams)
        .then(|| {
            let place = standby
                .checkpoint
                .map(|checkpoint| checkpoint.at.to_string());
            let (position, place) = (standby.position.to_string(), place.unwrap_or_default());
            let rows = port.look(&primary, UPSTREAM, &[&position, &place]);
            told(rows.map(|rows| upstream(rows.first()?)))
        })
        .flatten();
    Some(Following { standby, primary })
}

/// What the own server tells of itself as a standby; none where it is none.
///
/// # Errors
/// When it does not answer.
pub fn own_standby(port: &dyn Database) -> PortResult<Option<Standby>> {
    let rows = port.query(&Server::Own, STANDBY)?;
    Ok(rows.first().and_then(|cells| standby(cells)))
}

fn told<T>(answer: PortResult<Option<T>>) -> Option<T> {
    match answer {
        Ok(told) => told,
        Err(error) => {
            tracing::debug!("cannot tell whether the standby follows: {}", error.chain());
            None
        }
    }
}

fn standby(cells: &[Option<String>]) -> Option<Standby> {
    let [
        streams,
        timeline,
        position,
        paused,
        archive,
        since,
        checkpoint,
    ] = cells
    else {
        return None;
    };
    let truth = |cell: &Option<String>| Some(cell.as_deref()? == "true");
    Some(Standby {
        streams: truth(streams)?,
        stopped: false,
        timeline: timeline.as_deref()?.parse().ok()?,
        position: position.as_deref()?.parse().ok()?,
        paused: truth(paused)?,
        archive: truth(archive)?,
        since: since.as_deref()?.parse().ok()?,
        checkpoint: checkpoint.as_deref().and_then(self::checkpoint),
    })
}

fn checkpoint(text: &str) -> Option<Checkpoint> {
    let mut words = text.split(' ');
    Some(Checkpoint {
        at: words.next()?.parse().ok()?,
        redo: words.next()?.parse().ok()?,
        timeline: words.next()?.parse().ok()?,
    })
}

/// Bytes as PostgreSQL's `encode` writes them.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| {
        let digits = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(digits, 16).ok()
    });
    pairs.collect()
}

fn upstream(cells: &[Option<String>]) -> Option<Upstream> {
    let [timeline, position, segment, kept, history, since, record] = cells else {
        return None;
    };
    let number = |digits: &str| u32::from_str_radix(digits, 16).ok();
    Some(Upstream {
        timeline: number(timeline.as_deref()?)?,
        position: position.as_deref()?.parse().ok()?,
        segment: segment.as_deref()?.parse().ok()?,
        kept: kept
            .iter()
            .flat_map(|kept| kept.split(','))
            .filter_map(number)
            .collect(),
        history: follow::history(history.as_deref().unwrap_or_default()),
        record: record.as_deref().and_then(bytes),
        since: since.as_deref()?.parse().ok()?,
    })
}
