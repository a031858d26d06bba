"""Names and sizes of files that a FAT32 medium takes, and that Windows can open there. No I/O.

Source: Microsoft, "Naming Files, Paths, and Namespaces"; FAT32 File System Specification 1.03.
"""

import re
from collections.abc import Iterable

from bundler.errors import UsageError

TOO_LARGE = 1 << 32
"""Bytes of the smallest file that FAT32 does not take: 4 GiB."""

LONGEST_NAME = 255
"""UTF-16 code units of a name."""

_REFUSED = re.compile(r'[\x00-\x1f\x7f"*/:<>?\\|\ud800-\udfff]')

_DEVICES = re.compile(r"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\..*)?", re.IGNORECASE | re.DOTALL)


def name_problem(name: str) -> str:
    """Return the reason why FAT32 does not take a file name; empty for a name that it takes."""
    if found := _REFUSED.search(name):
        return f"FAT32 takes no name with {found[0]!r}"
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
