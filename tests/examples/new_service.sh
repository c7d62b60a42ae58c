#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Copies examples/new_service outside the tree and does what its README says, to
# the letter, against an install; then calls what runs.
#
#   new_service.sh <installed prefix>
set -euo pipefail

prefix=$(realpath "$1")
root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
work=$(mktemp -d)
pid=

fail() {
  echo "new_service: $*" >&2
  [ ! -e "$work/log" ] || tail "$work/log" >&2
  exit 1
}
finish() {
  [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

# The steps start in a folder that looks like the repository's.
mkdir -p "$work/grpccommon/examples"
cp -r "$root/examples/new_service" "$work/grpccommon/examples"
export CMAKE_PREFIX_PATH=$prefix CMAKE_GENERATOR=Ninja CXXFLAGS=-O0

readme=$root/examples/new_service/README.md
mapfile -t steps < <(awk '/^```sh$/ {on = 1; next} /^```$/ {on = 0} on' "$readme")
count=$(grep -c '^```sh$' "$readme")
[ "$count" -le 4 ] && [ "${#steps[@]}" = "$count" ] ||
  fail "the README has $count steps on ${#steps[@]} lines, not at most 4"
lines=$(cat "$root"/examples/new_service/*.{h,cc} | wc -l)
[ "$lines" -lt 100 ] || fail "the template has $lines lines of C++"

cd "$work/grpccommon"
for step in "${steps[@]:0:count-1}"; do
  echo "==> $step"
  eval "$step" || fail "failed: $step"
done
! grep -ri sample --exclude-dir=build . || fail "not everything is renamed"

echo "==> ${steps[count-1]}"
export GRPCCOMMON_GRPC_ADDRESS=unix:$work/socket GRPCCOMMON_HTTP_ADDRESS= \
  GRPCCOMMON_DRAIN_DELAY=0s
# One program without arguments: its own process, whose end can be awaited.
${steps[count - 1]} 2>"$work/log" &
pid=$!

# A gRPC call by hand, since what runs now has never been seen by this build:
# a frame's length, then name = "a", value = 7; the answer is total = 7 or more.
call() {
  printf '\0\0\0\0\005\012\001a\020\007' |
    curl -sS --http2-prior-knowledge --unix-socket "$work/socket" \
      --max-time 10 -H 'content-type: application/grpc' -H 'te: trailers' \
      --data-binary @- "http://localhost/inventory.v1.InventoryService/$1" \
      -o "$work/answer" -D "$work/head" 2>"$work/error"
}
end=$((SECONDS + 30))
until call AddInventory; do
  kill -0 "$pid" 2>/dev/null && [ $SECONDS -lt $end ] ||
    fail "it does not answer: $(cat "$work/error")"
  sleep 0.1
done
[ "$(od -An -tx1 "$work/answer" | tr -d ' \n')" = 00000000020807 ] ||
  fail "the answer is $(od -An -c "$work/answer")"
# gRPC resets the stream of a call that it does not read, and curl may stumble
# over that (92, or an answer without headers) before it has seen the answer.
for _ in 1 2 3 4 5; do
  code=0
  call RemoveInventory || code=$?
  [ "$code" = 0 ] || [ "$code" = 92 ] ||
    fail "no answer: $(cat "$work/error")"
  ! grep -qi '^grpc-status:' "$work/head" || break
done
grep -qi '^grpc-status: 12' "$work/head" || fail "an unknown method is known"

kill -TERM "$pid"
code=0
wait "$pid" || code=$?
pid=
[ "$code" = 0 ] || fail "it ended with $code"
grep -q '"grpc.method":"/inventory.v1.InventoryService/AddInventory"' "$work/log" ||
  fail "its log has no line of the call"
