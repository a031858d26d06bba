"""Bundles cut into volumes, and what may become of these."""

from __future__ import annotations

import shutil
from pathlib import Path

from bundler.volumes.volume_sets import open_set
from bundler.volumes.volume_writer import SMALLEST, Cut, split

SIZE = SMALLEST


def cut(folder: Path, data: bytes, *, parity: int = 0, size: int = SIZE) -> list[Path]:
    """The volumes of some bytes."""
    source = folder / "x.tar.zst"
    source.write_bytes(data)
    out = folder / "volumes"
    out.mkdir()
    split(source, out, Cut(size, parity))
    return sorted(out.iterdir())


def read(path: Path, *more: Path) -> bytes:
    """All bytes of a set."""
    pieces = open_set(path, more)
    try:
        return pieces.read_at(pieces.size + 1, 0)
    finally:
        pieces.close()


def damage(file: Path) -> None:
    """Change one byte of a volume's piece."""
    data = bytearray(file.read_bytes())
    data[1000] ^= 4
    file.write_bytes(data)


def moved(folder: Path, *files: Path) -> Path:
    """Volumes on another medium."""
    folder.mkdir(exist_ok=True)
    for file in files:
        shutil.move(file, folder)
    return folder
