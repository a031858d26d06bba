"""A bundle cut into volumes: under temporary names, until all of them are durable."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.parity import encoded, parity_count, require_parity
from bundler.bundle.pieces import OneFile, opened_files
from bundler.bundle.volume_format import (
    MOST,
    MOST_WITH_PARITY,
    TRAILER,
    Volume,
    encode_trailer,
    file_name,
)
from bundler.durable import WholeFile, sync_directory, temporary_of
from bundler.errors import UsageError
from bundler.exporter.standing import is_there
from bundler.oci.content import CHUNK

SMALLEST = 64 * 1024
"""Bytes that a volume may have at least."""


class Cut(NamedTuple):
    """How to cut: every file is smaller than `size` bytes (FAT32 takes less than 4 GiB)."""

    size: int
    parity: int = 0
    """Percent of the data volumes, as parity volumes."""

    @property
    def piece(self) -> int:
        """Bytes of the bundle in one volume."""
        return self.size - 1 - TRAILER

    def check(self, largest: int) -> None:
        """Raise UsageError for what can't be, if the bundle may have `largest` bytes."""
        if self.size < SMALLEST:
            raise UsageError("--volume-size", f"less than {SMALLEST:,} bytes", "name a larger one")
        if self.parity:
            require_parity()
        data = -(-largest // self.piece)
        if data > MOST or (self.parity and data + parity_count(data, self.parity) > MOST_WITH_PARITY):
            cause = f"the bundle may need {data:,} volumes; a set has at most {MOST}"
            cause += f", with parity {MOST_WITH_PARITY} in all" if self.parity else ""
            raise UsageError("--volume-size", cause, "name a larger one")


class Splitter:
    """Takes a bundle's bytes in order, and makes the volumes of it under temporary names."""

    def __init__(self, bundle: Path, cut: Cut) -> None:
        self._bundle = bundle
        self._cut = cut
        self._files: list[WholeFile] = []
        self._digests: list[hashlib._Hash] = []
        self._whole = hashlib.sha256()
        self._room = 0
        self._total = 0

    def write(self, data: bytes) -> None:
        """Append to the volume under way, and begin the next where it is full."""
        self._whole.update(data)
        self._total += len(data)
        view = memoryview(data)
        while view:
            if not self._room:
                self._begin(file_name(self._bundle.name, len(self._files) + 1, MOST))
                self._room = self._cut.piece
            part = view[: self._room]
            self._append(len(self._files) - 1, part)
            self._room -= len(part)
            view = view[len(part) :]

    def _begin(self, name: str) -> None:
        path = self._bundle.with_name(name)
        self._files.append(WholeFile(path, temporary_of(path)))
        self._digests.append(hashlib.sha256())

    def _append(self, number: int, data: bytes | memoryview) -> None:
        self._files[number].write(data)
        self._digests[number].update(data)

    def finish(self, only: int | None = None) -> list[Volume]:
        """Make parity, say in each volume what it is, and give them their names.

        What is there whole already is left alone. Raises UsageError, before any name is given, where a
        volume of another set has one of the names.
        """
        data = len(self._files)
        if self._cut.parity:
            self._make_parity(data)
        # One volume alone may be short: then parity is of its length.
        piece = self._cut.piece if data > 1 else self._total
        shared = Volume(self._whole.hexdigest(), 1, data, len(self._files) - data, piece, self._total, "")
        volumes = [
            replace(shared, number=number, sha256=digest.hexdigest())
            for number, digest in enumerate(self._digests, 1)
        ]
        for file, volume in zip(self._files, volumes, strict=True):
            file.write(encode_trailer(volume))
        wanted = [
            file
            for file, volume in zip(self._files, volumes, strict=True)
            if only in (None, volume.number) and not is_there(file, volume)
        ]
        for file in wanted:
            file.commit(sync_folder=False)
            self._files.remove(file)
        sync_directory(self._bundle.parent)
        return volumes

    def _make_parity(self, data: int) -> None:
        count = parity_count(data, self._cut.parity)
        piece = self._cut.piece if data > 1 else self._total
        with opened_files([file.temporary for file in self._files]) as pieces:
            for number in range(data + 1, data + count + 1):
                self._begin(file_name(self._bundle.name, number, data))
            for stripe in encoded([one.read_at for one in pieces], count, piece):
                for number, part in enumerate(stripe, data):
                    self._append(number, part)

    def discard(self) -> None:
        """Remove what has no name yet."""
        for file in self._files:
            file.discard()


@contextmanager
def splitting(bundle: Path, cut: Cut) -> Iterator[Splitter]:
    """A splitter whose temporary files are gone in the end."""
    splitter = Splitter(bundle, cut)
    try:
        yield splitter
    finally:
        splitter.discard()


def split(bundle: Path, folder: Path, cut: Cut, only: int | None = None) -> list[Volume]:
    """Cut a bundle file into volumes in `folder`; `only` one of them. Raises UsageError, LocalError."""
    file = OneFile(bundle)
    try:
        cut.check(file.size)
        with splitting(folder / bundle.name, cut) as splitter:
            for offset in range(0, file.size, CHUNK):
                splitter.write(file.read_at(CHUNK, offset))
            volumes = splitter.finish(only)
    finally:
        file.close()
    if only is not None and only > len(volumes):
        raise UsageError("--only", f"there are {len(volumes)} volumes", "name one of them")
    return volumes
