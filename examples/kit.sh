#!/bin/sh
# Outside: sign a bundle, and put it into a kit for the other side, with the program and who may sign.
# usage: kit.sh BUNDLE.tar.zst KEY ALLOWED_SIGNERS ARCHIVE.tar.xz oci://HOST/PREFIX KIT
set -eu
timoni-bundler sign "$1" --key "$2" --expires 30d
timoni-bundler kit "$1" --allowed-signers "$3" --tool "$4" --to "$5" -o "$6"
(cd "$6" && sha256sum --check --quiet SHA256SUMS)
