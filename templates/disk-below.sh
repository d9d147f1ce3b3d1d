#!/bin/sh
# Pebble's checks run this with a percentage: it fails from there on, which wakes the charm, and so
# does its success after that. The last but one word that df prints is the percentage.
set -f
below=$1
# shellcheck disable=SC2046 # the words
set -- $(df -P -k /var/lib/postgresql/data)
shift $(($# - 2))
[ "${1%\%}" -lt "$below" ]
