"""`NAME.tar.zst.sha256`: the digest beside a bundle, as `sha256sum -c` reads it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bundler.durable import local_errors, remove_if_there, sync_directory, write_whole
from bundler.errors import IntegrityError
from bundler.limits import KIB

_LINE = re.compile(r"\\?([0-9a-fA-F]{64})(?: [ *](.*))?")
_LONGEST = 64 * KIB


def sidecar_of(bundle: Path) -> Path:
    """Where the sidecar of a bundle lies."""
    return bundle.with_name(bundle.name + ".sha256")


def write_sidecar(bundle: Path, sha256: str) -> None:
    """Write it, whole or not at all."""
    write_whole(sidecar_of(bundle), f"{sha256}  {bundle.name}\n".encode())


def remove_sidecar(bundle: Path) -> None:
    """Remove it, for certain before the bundle that it speaks of is replaced."""
    path = sidecar_of(bundle)
    was_there = os.path.lexists(path)
    remove_if_there(path)
    if was_there:
        sync_directory(path.parent)


def check_sidecar(bundle: Path, sha256: str) -> bool:
    """Whether there is one; it must name `sha256`. Raises IntegrityError. Line ends don't matter.

    Of several lines those count that name the bundle; a bundle that was renamed has the first.
    """
    path = sidecar_of(bundle)
    if not path.is_file():
        return False
    with local_errors(path, "read"), path.open("rb") as file:
        text = file.read(_LONGEST).decode("utf-8", "replace")
    lines = [line for line in map(_LINE.fullmatch, text.strip().splitlines()) if line]
    if not lines:
        raise IntegrityError(str(path), "no line of sha256sum", "carry it again, or remove it")
    for line in [line for line in lines if _file_of(line) == bundle.name] or lines[:1]:
        if (digest := line[1].lower()) != sha256:
            cause = f"it says {digest}, the bundle has {sha256}"
            next_step = "carry both files again; or run this again, if the bundle was being replaced"
            raise IntegrityError(str(path), cause, next_step)
    return True


def _file_of(line: re.Match[str]) -> str:
    """What it speaks of, without a folder."""
    return (line[2] or "").rpartition("/")[2]
