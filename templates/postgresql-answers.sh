#!/bin/sh
# usage: postgresql-answers PG_ISREADY
# Pebble's check of readiness. It holds where PostgreSQL has answered the watcher since the last time, of
# which PostgreSQL's log says nothing; else a session of its own has to show it.
answered=/var/run/postgresql/answered
if [ -s "$answered" ]; then
  : >"$answered"
  exit
fi
exec "$1" -q -t 2 -h /var/run/postgresql -U operator -d postgres
