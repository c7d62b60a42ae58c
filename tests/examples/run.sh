#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs an example: its server on a unix socket, its client against it.
#
#   run.sh <server> <client> <expected output, a regular expression> [argument …]
#
# The client waits until the server is ready. The server must end by itself, and
# well, after SIGTERM.
set -euo pipefail

server=$1 client=$2 expected=$3
shift 3
folder=$(mktemp -d)
trap 'kill "$pid" 2>/dev/null || true; rm -rf "$folder"' EXIT

GRPCCOMMON_GRPC_ADDRESS=unix:$folder/socket GRPCCOMMON_HTTP_ADDRESS= \
  GRPCCOMMON_DRAIN_DELAY=0s "$server" 2>"$folder/log" &
pid=$!
output=$("$client" "unix:$folder/socket" "$@" 2>&1) || {
  printf 'the client failed: %s\nthe server said:\n' "$output" >&2
  cat "$folder/log" >&2
  exit 1
}
printf '%s\n' "$output"
grep -qE -- "$expected" <<<"$output" || {
  printf 'expected: %s\n' "$expected" >&2
  exit 1
}
kill -TERM "$pid"
wait "$pid" || {
  printf 'the server ended with %s; it said:\n' "$?" >&2
  cat "$folder/log" >&2
  exit 1
}
