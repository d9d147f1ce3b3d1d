#!/bin/sh
# usage: watch-standbys PSQL
# Runs under Pebble beside Patroni: wakes the charm as soon as other standbys stream from this member
# than before (a standby has none), or there are other users that the charm did not make, or these
# may enter other databases. Where PostgreSQL does not answer, all stays as it was.
psql=$1
# Nothing that a database or a role has set changes or stops the looks.
export PGOPTIONS='@OPTIONS@' PGCONNECT_TIMEOUT=2
look() {
  "$psql" -XqAtw -h /var/run/postgresql -U operator -d postgres -c "
    SELECT pg_catalog.string_agg(application_name || '=' || sync_state, ',' ORDER BY application_name)
    FROM pg_catalog.pg_stat_replication WHERE state = 'streaming'" -c "@GUESTS@" 2>/dev/null
}
last=
while :; do
  if now=$(look) && [ "$now" != "$last" ]; then
    last=$now
    "${PEBBLE_BIN:-/charm/bin/pebble}" notify postgresql-k8s.charm/standbys "seen=$(printf '%s' "$now" | cksum)"
  fi
  sleep 2
done
