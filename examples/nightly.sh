#!/bin/sh
# Every night: a store keeps the blobs, so only new ones are fetched; the file has the day's name.
# usage: nightly.sh STORE FOLDER SOURCE...
# Exit code 8 means: finished, but some tags failed; they are in the report.
set -eu
store=$1 folder=$2
shift 2
out="$folder/modules-$(date -u +%Y-%m-%d).tar.zst"
exec timoni-bundler export "$@" --store "$store" --output "$out" --report "$out.report.json" --quiet
