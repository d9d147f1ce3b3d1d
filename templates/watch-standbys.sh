#!/bin/sh
# usage: watch-standbys PSQL
# Runs under Pebble beside Patroni: wakes the charm as soon as other standbys stream from this member
# than before (a standby has none), or there are other users that the charm did not make, or these
# may enter other databases. Where PostgreSQL does not answer, all stays as it was.
#
# One session looks for as long as the server runs: no process, and no line of PostgreSQL's log, is for
# a single look. Each answer is noted for the check of readiness.
psql=$1
answered=/var/run/postgresql/answered
# Nothing that a database or a role has set changes or stops the looks.
export PGOPTIONS='@OPTIONS@' PGCONNECT_TIMEOUT=2 PGAPPNAME="postgresql-k8s watcher"
look() {
  "$psql" -XqAtw -v ON_ERROR_STOP=1 -h /var/run/postgresql -U operator -d postgres 2>/dev/null <<SQL
    SELECT 'seen ' || coalesce((SELECT pg_catalog.string_agg(application_name || '=' || sync_state, ','
        ORDER BY application_name) FROM pg_catalog.pg_stat_replication WHERE state = 'streaming'), '')
      || ' ' || coalesce((SELECT pg_catalog.hashtextextended(pg_catalog.string_agg(g::pg_catalog.text, ','), 0)
        FROM (@GUESTS@) AS g), 0)
\watch 2
SQL
}
while :; do
  look
  sleep 2
done | {
  last="seen  0"
  while read -r now; do
    case $now in "seen "*) ;; *) continue ;; esac
    echo . >"$answered"
    [ "$now" != "$last" ] || continue
    last=$now
    "${PEBBLE_BIN:-/charm/bin/pebble}" notify postgresql-k8s.charm/standbys "seen=$(printf '%s' "$now" | cksum)" </dev/null
  done
}
