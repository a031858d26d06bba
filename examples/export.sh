#!/bin/sh
# Outside: export one module with all its versions into one file, and write a page for the person who approves the transfer.
# usage: export.sh SOURCE OUT.tar.zst
set -eu
timoni-bundler export "$1" --output "$2" --report "$2.report.json"
timoni-bundler verify "$2"
timoni-bundler inspect "$2"
timoni-bundler report "$2" --output "$2.html"
