#!/bin/sh
# Patroni calls this with ACTION ROLE SCOPE when its member starts, stops, restarts or changes role.
# A Pebble notice makes Juju dispatch the charm at once.
exec "${PEBBLE_BIN:-/charm/bin/pebble}" notify postgresql-k8s.charm/patroni "action=$1" "role=$2"
