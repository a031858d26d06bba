#!/bin/sh
# Inside: check the file, show what an import would do, then import.
# usage: import.sh BUNDLE.tar.zst oci://HOST/PREFIX
set -eu
# The sidecar names the file as it lies beside it.
(cd "$(dirname "$1")" && sha256sum --check "$(basename "$1").sha256")
timoni-bundler import "$1" --to "$2" --dry-run
timoni-bundler import "$1" --to "$2" --report "$1.import.json"
