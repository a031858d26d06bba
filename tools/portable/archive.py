"""Deterministic archives: the same folder and time give the same bytes."""

from __future__ import annotations

import lzma
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, NamedTuple

ROOT_ID = 0

BRANCHES = {"x86_64": ({"id": lzma.FILTER_X86},)}
"""Filters for machine code, which every xz can undo; that for arm64 is of 2022."""


class Owned(NamedTuple):
    """A directory that is in an archive without being on the disk."""

    name: str
    mode: int
    owner: int = ROOT_ID


def write_tar(
    out: IO[bytes], folder: Path, below: str, time: int, *, directories: Iterable[Owned] = ()
) -> None:
    """Write a tar of `directories`, then of `folder` under the name `below`: owner root, one time for all."""
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for directory in directories:
            archive.addfile(_entry(directory.name, directory.mode, time, directory.owner))
        for path in (folder, *sorted(folder.rglob("*"))):
            name = f"{below}/{path.relative_to(folder)}".removesuffix("/.")
            if path.is_dir():
                archive.addfile(_entry(name, 0o755, time))
                continue
            entry = _entry(name, 0o755 if path.stat().st_mode & 0o100 else 0o644, time)
            entry.type, entry.size = tarfile.REGTYPE, path.stat().st_size
            with path.open("rb") as content:
                archive.addfile(entry, content)


def write_xz(out: Path, folder: Path, below: str, time: int, machine: str) -> None:
    """Write the folder as a `.tar.xz`."""
    packer = {"id": lzma.FILTER_LZMA2, "preset": 9}
    with lzma.open(out, "wb", check=lzma.CHECK_CRC64, filters=[*BRANCHES.get(machine, ()), packer]) as packed:
        write_tar(packed, folder, below, time)


def _entry(name: str, mode: int, time: int, owner: int = ROOT_ID) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, mode, time
    entry.uid = entry.gid = owner
    return entry
