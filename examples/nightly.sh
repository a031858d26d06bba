#!/bin/sh
# Every night: a delta with what is new since the last night, named after the day. If nothing is new, no file is
# written. A second run on the same day writes a delta on the first one, with a number after the day.
# usage: nightly.sh STORE FOLDER SOURCE...
# Versions never move here, so known ones are not asked for. Bundles are kept for 90 days, or longer if a newer
# one builds on them. Exit code 8 means: finished, but some tags failed (see the report).
set -eu
store=$1 folder=$2
shift 2
name="$folder/modules-$(date -u +%Y-%m-%d)" number=1
out="$name.tar.zst"
while [ -e "$out" ]; do
  number=$((number + 1))
  out="${name}_$number.tar.zst"
done
exec timoni-bundler export "$@" --store "$store" --base last --immutable semver --keep-days 90 \
  --output "$out" --report "$out.report.json" --quiet
