#!/bin/sh
# Outside: one module with all its versions into one file.
# usage: export.sh SOURCE OUT.tar.zst
set -eu
timoni-bundler export "$1" --output "$2" --report "$2.report.json"
timoni-bundler verify "$2"
timoni-bundler inspect "$2"
