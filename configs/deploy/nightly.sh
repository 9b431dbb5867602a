#!/bin/sh
# Trains every day at TRAIN_AT (HH:MM, in UTC unless TZ says otherwise). With arguments: runs `recsvc-train` with them, once.
# The exit code of the newest run is in /tmp/trained: 0 published, 3 refused by the gate, 4 another run was at it.
set -u
[ $# -eq 0 ] || exec recsvc-train "$@"

child=
trap 'kill "$child" 2>/dev/null; wait; exit 0' TERM INT
rm -f "${TRAINED:=/tmp/trained}"
date -d "today $TRAIN_AT" >/dev/null || exit 2  # says what it cannot read
while :; do
  now=$(date +%s)
  next=$(date -d "today $TRAIN_AT" +%s)
  [ "$next" -gt "$now" ] || next=$(date -d "tomorrow $TRAIN_AT" +%s)
  echo "next training at $(date -d "@$next" --iso-8601=seconds)"
  sleep $((next - now)) &
  child=$!
  wait "$child"
  recsvc-train train &
  child=$!
  wait "$child"
  code=$?
  echo "$code" > "$TRAINED"
  echo "training ended with $code"
done
