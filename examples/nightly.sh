#!/bin/sh
# Every night: a delta of what is new since the last one, under the day's name; nothing new, no file. Run again
# on the same day, it is a delta on that one, with a number behind the day.
# usage: nightly.sh STORE FOLDER SOURCE...
# Versions never move here, so known ones are not asked for; bundles stay for 90 days, and longer if
# a younger one builds on them. Exit code 8 means: finished, but some tags failed (see the report).
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
