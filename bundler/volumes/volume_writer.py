"""Cutting a bundle into volumes; what exists under their names is kept, completed or refused."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bundler.durable import WholeFile, begin_whole, local_errors, sync_directory
from bundler.errors import IntegrityError, UsageError
from bundler.folders import check_disk
from bundler.oci import CHUNK
from bundler.reporting.progress import SILENCE, Progress
from bundler.volumes import volume_format
from bundler.volumes.continued_file import begin_continued
from bundler.volumes.parity import parity_count, parity_pieces, require_parity
from bundler.volumes.volume_reader import OneFile, chunks_of, is_whole, opened_files
from bundler.volumes.volume_sets import is_volume, read_trailer

_ELSEWHERE = "choose another name or folder, or remove it"


def is_there(made: WholeFile, volume: volume_format.Volume) -> bool:
    """Return True if a volume exists whole under its name; `made` has its bytes, and no name yet.

    False if nothing is there, or only this volume damaged or cut off. Raises UsageError for all else.
    """
    path = made.path
    if not path.exists():
        return False
    if not is_volume(path):
        if _begins(made.temporary, path):
            return False
        raise UsageError(str(path), "it exists and is not a volume", _ELSEWHERE)
    try:
        existing = read_trailer(path)
    except IntegrityError:
        return False
    if existing.shared != volume.shared:
        raise UsageError(
            str(path), f"it exists and belongs to another set{_cut(existing, volume)}", _ELSEWHERE
        )
    if existing.number != volume.number:
        raise UsageError(str(path), f"it exists and is {existing.name}", "choose another folder: -o DIR")
    return is_whole(path, existing)


def _cut(existing: volume_format.Volume, volume: volume_format.Volume) -> str:
    return (
        f": the same bundle, cut into {existing.data} and {existing.parity}"
        if existing.set == volume.set
        else ""
    )


def _begins(whole: Path, part: Path) -> bool:
    """Return True if a file is the beginning of another, that is, an incomplete copy."""
    with local_errors(part, "look at"):
        size = part.stat().st_size
    digests = [hashlib.sha256(), hashlib.sha256()]
    for digest, path in zip(digests, (whole, part), strict=True):
        for chunk in chunks_of(path, size):
            digest.update(chunk)
    return size <= whole.stat().st_size and digests[0].digest() == digests[1].digest()


SMALLEST = 64 * 1024
"""Smallest size of a volume in bytes."""


class Cut(NamedTuple):
    """The way to cut a bundle: every file is smaller than `size` bytes (FAT32 takes less than 4 GiB)."""

    size: int
    parity: int = 0
    """Percent of the data volumes, as parity volumes."""

    @property
    def piece(self) -> int:
        """Return the bytes of the bundle that one volume holds."""
        return self.size - 1 - volume_format.TRAILER

    def need(self, size: int) -> int:
        """Return the bytes of all volumes of a bundle of `size` bytes."""
        data = -(-size // self.piece)
        parity = parity_count(data, self.parity) if self.parity else 0
        return size + parity * min(self.piece, size) + (data + parity) * volume_format.TRAILER

    def check(self, largest: int) -> None:
        """Raise UsageError if a bundle of `largest` bytes can't be cut so."""
        if self.size < SMALLEST:
            raise UsageError("--volume-size", f"less than {SMALLEST:,} bytes", "name a larger one")
        if self.parity:
            require_parity()
        data = -(-largest // self.piece)
        if data > volume_format.MOST or (
            self.parity and data + parity_count(data, self.parity) > volume_format.MOST_WITH_PARITY
        ):
            cause = f"the bundle may need {data:,} volumes; a set has at most {volume_format.MOST}"
            cause += f", with parity {volume_format.MOST_WITH_PARITY} in all" if self.parity else ""
            raise UsageError("--volume-size", cause, "name a larger one")


class Splitter:
    """Writer of volumes: takes a bundle's bytes in order, writes them under temporary names."""

    def __init__(self, bundle: Path, cut: Cut, only: int | None = None, *, resumable: bool = False) -> None:
        self._bundle = bundle
        self._cut = cut
        self._begin_file = begin_continued if resumable else begin_whole
        self._only = only
        self._files: list[WholeFile | None] = []
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
                self._begin(
                    volume_format.file_name(self._bundle.name, len(self._files) + 1, volume_format.MOST)
                )
                self._room = self._cut.piece
            part = view[: self._room]
            self._append(len(self._files) - 1, part)
            self._room -= len(part)
            view = view[len(part) :]

    def _begin(self, name: str) -> None:
        path = self._bundle.with_name(name)
        written_here = self._only in (None, len(self._files) + 1)
        self._files.append(self._begin_file(path) if written_here else None)
        self._digests.append(hashlib.sha256())

    def _append(self, number: int, data: bytes | memoryview) -> None:
        if file := self._files[number]:
            file.write(data)
        self._digests[number].update(data)

    def finish(
        self, progress: Progress = SILENCE, source: OneFile | None = None
    ) -> list[volume_format.Volume]:
        """Make parity, describe each volume in its trailer, and give the volumes their names.

        `source` has all the bytes, where not all volumes are written.

        What is there whole already is left alone. Raises UsageError, before any name is given, where a
        volume of another set has one of the names.
        """
        data = len(self._files)
        if self._cut.parity:
            self._make_parity(data, progress, source)
        # One volume alone may be short: then parity is of its length.
        piece = self._cut.piece if data > 1 else self._total
        shared = volume_format.Volume(
            self._whole.hexdigest(), 1, data, len(self._files) - data, piece, self._total, ""
        )
        volumes = [
            replace(shared, number=number, sha256=digest.hexdigest())
            for number, digest in enumerate(self._digests, 1)
        ]
        made = [(file, volume) for file, volume in zip(self._files, volumes, strict=True) if file]
        for file, volume in made:
            file.write(volume_format.encode_trailer(volume))
        for file in [file for file, volume in made if not is_there(file, volume)]:
            file.commit(sync_folder=False)
            self._files.remove(file)
        sync_directory(self._bundle.parent)
        return volumes

    def _make_parity(self, data: int, progress: Progress, source: OneFile | None) -> None:
        count = parity_count(data, self._cut.parity)
        piece = self._cut.piece if data > 1 else self._total
        written = [file.temporary for file in self._files if file] if source is None else []
        with opened_files(written) as pieces, progress.step("making parity", size=data * piece) as step:
            for number in range(data + 1, data + count + 1):
                self._begin(volume_format.file_name(self._bundle.name, number, data))
            readers = [partial(_piece_of, source, piece, number) for number in range(data)] if source else []
            for stripe in parity_pieces(readers or [part_file.read_at for part_file in pieces], count, piece):
                for number, part in enumerate(stripe, data):
                    self._append(number, part)
                step.advance(size=data * len(stripe[0]))

    def discard(self) -> None:
        """Remove every file that has no name yet."""
        for file in self._files:
            if file:
                file.discard()

    def keep(self) -> None:
        """Leave the files that have no name yet for a later run to go on with."""
        for file in self._files:
            if file:
                file.keep()


def _piece_of(source: OneFile, piece: int, number: int, size: int, offset: int) -> bytes:
    """Read from one piece of the whole bundle."""
    return source.read_at(size, number * piece + offset)


@contextmanager
def splitting(
    bundle: Path, cut: Cut, only: int | None = None, *, resumable: bool = False
) -> Iterator[Splitter]:
    """Yield a splitter, and remove its temporary files in the end; resumable ones stay after an error."""
    splitter = Splitter(bundle, cut, only, resumable=resumable)
    try:
        yield splitter
    except BaseException:
        if resumable:
            splitter.keep()
        else:
            splitter.discard()
        raise
    splitter.discard()


def split(
    bundle: Path, folder: Path, cut: Cut, only: int | None = None, progress: Progress = SILENCE
) -> list[volume_format.Volume]:
    """Cut a bundle file into volumes in `folder`; `only` one of them. Raises UsageError, LocalError."""
    with opened_files([bundle]) as (file,), splitting(folder / bundle.name, cut, only) as splitter:
        cut.check(file.size)
        check_disk(
            [(folder, min(cut.size, file.size + volume_format.TRAILER) if only else cut.need(file.size))]
        )
        with progress.step("cutting", size=file.size) as step:
            for offset in range(0, file.size, CHUNK):
                splitter.write(file.read_at(CHUNK, offset))
                step.advance(size=min(CHUNK, file.size - offset))
        volumes = splitter.finish(progress, file)
    if only is not None and only > len(volumes):
        raise UsageError("--only", f"there are {len(volumes)} volumes", "name one of them")
    return volumes
