"""Portable archives of this program by their names: version and machine. No I/O."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from bundler.about import PROGRAM
from bundler.errors import UsageError

XZ_MAGIC = b"\xfd7zXZ\x00"
"""First bytes of a file in xz format."""

_NAME = re.compile(rf"({PROGRAM}-[0-9][0-9A-Za-z.+~]*-linux)-([0-9a-z_]+)\.tar\.xz")

FORM = f"{PROGRAM}-VERSION-linux-MACHINE.tar.xz"


class PortableArchive(NamedTuple):
    """One archive. It holds a folder with its own name, without `.tar.xz`."""

    name: str
    before_machine: str
    """Its name up to the machine: `timoni-bundler-1.2.0-linux`."""
    machine: str
    """As `uname -m` says it."""


def archive_named(name: str, start: bytes) -> PortableArchive:
    """Return the archive of this name; `start` is the beginning of the file. Raises UsageError."""
    found = _NAME.fullmatch(name)
    if not found or not start.startswith(XZ_MAGIC):
        cause = "it is not an xz file" if found else "the name is not that of a portable archive"
        raise UsageError(name, f"--tool: {cause}", f"name a file {FORM} as it was built")
    return PortableArchive(name, found[1], found[2])


def check_one_version(archives: Sequence[PortableArchive]) -> None:
    """Raise UsageError for archives that differ in more than the machine, or in nothing."""
    for archive in archives[1:]:
        if archive.before_machine != archives[0].before_machine:
            cause = f"--tool: another version than {archives[0].name}"
            raise UsageError(archive.name, cause, "take the archives of one version")


def common_name(archives: Sequence[PortableArchive]) -> str:
    """Return the name without `.tar.xz`, as a shell takes it; of several, the one of its own machine."""
    (first, *others) = archives
    return f"{first.before_machine}-{'$(uname -m)' if others else first.machine}"
