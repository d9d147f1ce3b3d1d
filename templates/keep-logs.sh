#!/bin/sh
# usage: keep-logs DIRECTORY
# Runs under Pebble: what PostgreSQL and Patroni log lies beside the data, so the oldest files go where
# all of them take more than a twentieth of the volume, or a gigabyte. What is written now stays.
cd "$1" || exit
set -f
while :; do
  # shellcheck disable=SC2046 # the words
  set -- $(df -P -k .)
  shift $(($# - 5))
  most=$(($1 / 20))
  [ "$most" -le 1048576 ] || most=1048576
  find . -maxdepth 1 -type f -printf '%T@ %k %f\n' | sort -rn | {
    sum=0
    newest=yes
    while read -r _ size name; do
      sum=$((sum + size))
      # PostgreSQL's newest, and Patroni's, which bounds its own.
      case $name in
        patroni.log) continue ;;
        postgresql-*) if [ "$newest" ]; then newest= && continue; fi ;;
      esac
      [ "$sum" -le "$most" ] || rm -f -- "./$name"
    done
  }
  sleep 60
done
