#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs examples/health_probe and asks it with grpccommon-probe: while its folder
# is there, after it has gone, and when it is back.
#
#   health_probe.sh <server> <probe>
set -euo pipefail

server=$1 probe=$2
folder=$(mktemp -d)
trap 'kill "$pid" 2>/dev/null || true; rm -rf "$folder"' EXIT
address=unix:$folder/socket

fail() {
  printf '%s; the server said:\n' "$*" >&2
  cat "$folder/log" >&2
  exit 1
}

# Asks until the exit code is <code>, for at most 20 s.
until_code() {
  local code output end=$((SECONDS + 20))
  while :; do
    code=0
    output=$("$probe" --addr="$address" \
      --service=examples.greeter.v1.GreeterService 2>&1) || code=$?
    [ "$code" != "$1" ] || break
    [ $SECONDS -lt $end ] || fail "the probe ends with $code: $output"
    sleep 0.05
  done
  printf '%s\n' "$output"
}

mkdir "$folder/data"
GRPCCOMMON_GRPC_ADDRESS=$address GRPCCOMMON_HTTP_ADDRESS= \
  GRPCCOMMON_DRAIN_DELAY=0s "$server" "$folder/data" 2>"$folder/log" &
pid=$!
"$probe" --addr="$address" --wait=20s || fail "the probe ends with $?"
until_code 0
rmdir "$folder/data"
until_code 4
mkdir "$folder/data"
until_code 0
kill -TERM "$pid"
wait "$pid" || fail "the server ended with $?"
"$probe" --addr="$address" 2>&1 && fail "the server has ended, and serves"
[ $? = 2 ] || fail "the probe does not say that nobody is there"
