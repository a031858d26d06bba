#!/bin/sh
# Start timoni-bundler with the dynamic linker, the libraries and the Python in the lib folder beside this file.
stop() { echo "timoni-bundler: $here: $1" >&2; exit 9; }

self=$0
case $self in */*) ;; *) self=./$self ;; esac
while [ -h "$self" ]; do
  target=$(readlink "$self") || { here=$self; stop "a link that can't be followed here; call the file it leads to"; }
  case $target in /*) self=$target ;; *) self=${self%/*}/$target ;; esac
done
here=$(CDPATH='' cd -- "${self%/*}/" && pwd -P) || exit 9
here=${here%/}

case $here in *[:\;]*) stop "the dynamic linker reads ':' and ';' in a path as separators; unpack in another folder" ;; esac
machine=$(uname -m 2>&-)
case $machine in
  @MACHINE@ | "") ;;
  *) stop "made for @MACHINE@, this machine is $machine; carry the archive for $machine" ;;
esac
[ -f "$here/lib/@LOADER@" ] || stop "lib/@LOADER@ is missing; unpack the archive again, and call or link to the file in it"
[ -x "$here/lib/@LOADER@" ] || stop "programs can't be run from here (mounted noexec?); unpack in another folder"

exec "$here/lib/@LOADER@" --inhibit-cache --argv0 "$here/lib/python3" --library-path "$here/lib" \
  "$here/lib/python3" -I -S "$here/lib/start.pyc" "$0" "$@"
