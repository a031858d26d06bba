"""Names and sizes of a kit's files: those that FAT32 takes, those of portable archives. No I/O.

Windows can open the files too. Source: Microsoft, "Naming Files, Paths, and Namespaces"; FAT32 File System
Specification 1.03.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bundler.about import PROGRAM
from bundler.errors import UsageError

TOO_LARGE = 1 << 32
"""Bytes of the smallest file that FAT32 does not take: 4 GiB."""

LONGEST_NAME = 255
"""UTF-16 code units of a name."""

_REFUSED = re.compile(r'[\x00-\x1f\x7f"*/:<>?\\|\ud800-\udfff]')

_DEVICES = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\..*)?", re.IGNORECASE | re.DOTALL)


def name_problem(name: str) -> str:
    """Return the reason why FAT32 does not take a file name; empty for a name that it takes."""
    if refused := _REFUSED.search(name):
        return f"FAT32 takes no name with {refused[0]!r}"
    if name != name.rstrip(". "):
        return "FAT32 takes no name that ends with a dot or a space"
    if _DEVICES.fullmatch(name):
        return "Windows keeps this name for a device"
    if len(name.encode("utf-16-le")) // 2 > LONGEST_NAME:
        return f"the name is longer than the {LONGEST_NAME} characters of FAT32"
    return ""


def fitting_name(name: str) -> str:
    """Return a name like this one that FAT32 takes."""
    fitting = _REFUSED.sub("_", name).rstrip(". ")[: LONGEST_NAME // 2]
    return f"_{fitting}" if not fitting or _DEVICES.fullmatch(fitting) else fitting


def check_names(names: Iterable[str]) -> None:
    """Raise UsageError for a name that FAT32 does not take, and for two that are one name there."""
    seen: dict[str, str] = {}
    for name in names:
        if problem := name_problem(name):
            raise UsageError(name, problem, f"rename it, for example to {fitting_name(name)}")
        if other := seen.get(name.upper()):
            cause = "two files would have this name" if other == name else f"FAT32 takes it for {other}"
            raise UsageError(name, cause, "rename one of them")
        seen[name.upper()] = name


def check_size(item: str, size: int, next_step: str) -> None:
    """Raise UsageError for a file that is too large."""
    if size >= TOO_LARGE:
        raise UsageError(item, f"{size:,} bytes; FAT32 takes no file of 4 GiB or more", next_step)


# --- portable archives -----------------------------------------------------------------------------

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
    match = _NAME.fullmatch(name)
    if not match or not start.startswith(XZ_MAGIC):
        cause = "it is not an xz file" if match else "the name is not that of a portable archive"
        raise UsageError(name, f"--tool: {cause}", f"name a file {FORM} as it was built")
    return PortableArchive(name, match[1], match[2])


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
