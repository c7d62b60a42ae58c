#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Gives a copy of this folder its own name: `./rename.sh price_list` makes a
# PriceListService of the package price_list.v1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

name=${1:-}
if [[ ! $name =~ ^[a-z][a-z0-9]*(_[a-z0-9]+)*$ ]] || [[ $name == *sample* ]]
then
  echo "usage: ./rename.sh <name>, like price_list" >&2
  exit 64
fi
camel=$(sed -E 's/(^|_)([a-z0-9])/\U\2/g' <<<"$name")

rm -- "${BASH_SOURCE[0]##*/}" # so that it is not run twice
find . -depth -name '*sample*' | while read -r path; do
  mv "$path" "${path%sample*}$name${path##*sample}"
done
grep -rli sample . | xargs sed -i "s/sample/$name/g; s/Sample/$camel/g"
