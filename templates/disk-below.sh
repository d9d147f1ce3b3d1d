#!/bin/sh
# Pebble's checks run this with a percentage: it fails from there on, which wakes the charm, and so
# does its success after that.
# shellcheck disable=SC2046 # the words of the last line
set -- "$1" $(df -P -k /var/lib/postgresql/data | tail -n 1)
[ "${6%\%}" -lt "$1" ]
