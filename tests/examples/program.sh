#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs an example that is client and servers in one: it must end well, and say
# what is expected.
#
#   program.sh <program> <expected output, a regular expression>
set -euo pipefail

output=$("$1" 2>&1) || {
  printf '%s\nit ended with %s\n' "$output" "$?" >&2
  exit 1
}
printf '%s\n' "$output"
# As one line: what is expected may span some.
grep -qzE -- "$2" <<<"$output" || {
  printf 'expected: %s\n' "$2" >&2
  exit 1
}
