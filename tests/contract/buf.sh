#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What buf says about the protos:
#   buf.sh lint       whether they keep to the STANDARD rules, those that
#                     examples/new_service gives away included
#   buf.sh breaking   whether they break those of main; on main itself, those of
#                     the commit before
# Exits with 77, "skipped", where there is no buf (`./dev setup` gets it), or no
# history to compare with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

buf=$PWD/.cache/buf/node_modules/.bin/buf
if [ ! -x "$buf" ]; then
  echo "there is no buf in .cache/buf: run ./dev setup"
  exit 77
fi

lint() { "$buf" lint; }

breaking() {
  local base
  base=$(git merge-base HEAD origin/main 2>/dev/null ||
    git merge-base HEAD main 2>/dev/null || true)
  if [ -n "$base" ] && [ "$base" = "$(git rev-parse HEAD)" ] &&
    git diff --quiet HEAD -- proto; then
    base=$(git rev-parse --verify --quiet HEAD~1 || true)
  fi
  if [ -z "$base" ]; then
    echo "there is nothing earlier to compare with"
    exit 77
  fi
  before=$(mktemp -d) # not local: the trap outlives the function
  trap 'rm -rf "$before"' EXIT
  git archive "$base" proto | tar -x -C "$before"
  (cd "$before/proto" && "$buf" build -o "$before/main.binpb")
  (cd proto && "$buf" breaking --against "$before/main.binpb")
}

case ${1:-} in
  lint) lint ;;
  breaking) breaking ;;
  *)
    echo "usage: $0 lint|breaking" >&2
    exit 64
    ;;
esac
