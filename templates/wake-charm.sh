#!/bin/sh
# Patroni calls this with ACTION ROLE SCOPE when its member starts, stops, restarts or changes role.
# A Pebble notice makes Juju dispatch the charm at once.
#
# A new primary has no replication slots for the other members until Patroni's first loop after the
# promotion makes them, a second later. Until then standbys are refused and every commit waits for them,
# so they are made here at once. One that no member needs is dropped in that loop.
psql=@PSQL@
# Nothing that a database or a role has set changes or stops what is run there.
export PGOPTIONS='@OPTIONS@' PGCONNECT_TIMEOUT=2
case $1-$2 in
on_role_change-master | on_role_change-primary)
  [ -z "$psql" ] || "$psql" -XqAtw -h /var/run/postgresql -U operator -d postgres -c "
    SELECT pg_catalog.pg_create_physical_replication_slot(slot, true) FROM pg_catalog.unnest('{@SLOTS@}'::pg_catalog.name[]) AS slot
    WHERE slot NOT IN (SELECT slot_name FROM pg_catalog.pg_replication_slots)" >/dev/null &
  ;;
esac
exec "${PEBBLE_BIN:-/charm/bin/pebble}" notify postgresql-k8s.charm/patroni "action=$1" "role=$2"
