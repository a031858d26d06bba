"""Bundles cut into volumes, and volumes made again: from the bundle, or from parity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.parity import decoded, encoded, parity_count, require_parity
from bundler.bundle.pieces import (
    Found,
    OneFile,
    find_volumes,
    is_volume,
    is_whole,
    lacking,
    piece_of,
    read_trailer,
)
from bundler.bundle.volume_format import (
    MOST,
    MOST_WITH_PARITY,
    TRAILER,
    Volume,
    encode_trailer,
    file_name,
)
from bundler.durable import WholeFile, sync_directory, temporary_of
from bundler.errors import BundlerError, IntegrityError, UsageError
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
        wanted = [
            (file, volume)
            for file, volume in zip(self._files, volumes, strict=True)
            if only in (None, volume.number) and not _is_there(file.path, volume)
        ]
        for file, volume in wanted:
            file.write(encode_trailer(volume))
        for file, _ in wanted:
            file.commit(sync_folder=False)
            self._files.remove(file)
        sync_directory(self._bundle.parent)
        return volumes

    def _make_parity(self, data: int) -> None:
        count = parity_count(data, self._cut.parity)
        piece = self._cut.piece if data > 1 else self._total
        with _opened([file.temporary for file in self._files]) as pieces:
            for number in range(data + 1, data + count + 1):
                self._begin(file_name(self._bundle.name, number, data))
            for stripe in encoded([one.read_at for one in pieces], count, piece):
                for number, part in enumerate(stripe, data):
                    self._append(number, part)

    def discard(self) -> None:
        """Remove what has no name yet."""
        for file in self._files:
            file.discard()


def _is_there(path: Path, volume: Volume) -> bool:
    """Whether this volume is there, whole. Raises UsageError where another set's volume is in its place."""
    if not path.exists():
        return False
    with suppress(IntegrityError):
        if not is_volume(path):
            raise UsageError(str(path), "it exists, and is no volume", "choose another name")
        there = read_trailer(path)
        if there.set != volume.set:
            next_step = "choose another name or folder, or remove the old set"
            raise UsageError(str(path), "it exists, and belongs to another set", next_step)
        return there == volume and is_whole(path, volume)
    return False


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


# --- looking after a set -----------------------------------------------------------------------------


class Checked(NamedTuple):
    """What is there of a set."""

    volumes: Found
    damaged: Mapping[Path, Volume]
    """Whose bytes are not what they were."""

    @property
    def whole(self) -> dict[int, Path]:
        """The file of every good volume, by number."""
        return {volume.number: path for path, volume in self.volumes.items() if path not in self.damaged}

    @property
    def any(self) -> Volume:
        """One of them, for what they share."""
        return next(iter(self.volumes.values()))


def check_volumes(path: Path, more: Iterable[Path] = ()) -> Checked:
    """Hash every volume of a set. Raises what keeps the set from being found."""
    found = find_volumes(path, more)
    return Checked(found, {file: volume for file, volume in found.items() if not is_whole(file, volume)})


def complaint(checked: Checked) -> BundlerError | None:
    """What the set lacks, if it lacks data volumes."""
    one, whole = checked.any, checked.whole
    if all(number in whole for number in range(1, one.data + 1)):
        return None
    wrong = [volume.number for volume in checked.damaged.values()]
    parity = sum(number > one.data for number in whole)
    return lacking(next(iter(checked.volumes)), list(checked.volumes.values()), wrong, parity)


def repair(checked: Checked, folder: Path) -> list[Path]:
    """Make the missing and damaged volumes again, in `folder`, from any as many as there are data volumes.

    Raises IntegrityError if too few are left, and UsageError without the library.
    """
    one, whole = checked.any, checked.whole
    missing = [number for number in range(1, one.data + one.parity + 1) if number not in whole]
    if not missing:
        return []
    if len(whole) < one.data:
        complaining = complaint(checked)
        cause = f"{len(whole)} good volumes are left, and {one.data} are needed"
        next_step = complaining.cause if complaining else ""
        raise IntegrityError(str(next(iter(checked.volumes)).parent), cause, next_step)
    require_parity()
    bundle = folder / _bundle_name(checked)
    files = {number: _begun(bundle, number, one.data) for number in missing}
    try:
        digests = _rebuild(one, whole, files)
        _prove(one, whole, files)
        for number, file in files.items():
            sha256 = digests[number].hexdigest()
            file.write(encode_trailer(replace(one, number=number, sha256=sha256)))
        for number in missing:
            files.pop(number).commit(sync_folder=False)
        sync_directory(folder)
    finally:
        for file in files.values():
            file.discard()
    return [bundle.with_name(file_name(bundle.name, number, one.data)) for number in missing]


def _bundle_name(checked: Checked) -> str:
    path, volume = next(iter(checked.volumes.items()))
    suffix = file_name("", volume.number, volume.data)
    return path.name.removesuffix(suffix)


def _begun(bundle: Path, number: int, data: int) -> WholeFile:
    path = bundle.with_name(file_name(bundle.name, number, data))
    return WholeFile(path, temporary_of(path))


def _rebuild(
    one: Volume, whole: Mapping[int, Path], files: Mapping[int, WholeFile]
) -> dict[int, hashlib._Hash]:
    """All data pieces from what is left, and of these the parity pieces, stripe by stripe."""
    used = sorted(whole)[: one.data]
    digests = {number: hashlib.sha256() for number in files}
    with _opened([whole[number] for number in used]) as opened:
        readers = {
            number - 1: partial(_within, file.read_at, replace(one, number=number).size)
            for number, file in zip(used, opened, strict=True)
        }
        offset = 0
        for stripe in decoded(readers, one.data, one.parity, one.piece):
            parts = [*stripe, *_parity_of(stripe, one)]
            for number, file in files.items():
                part = parts[number - 1][: max(replace(one, number=number).size - offset, 0)]
                digests[number].update(part)
                file.write(part)
            offset += len(stripe[0])
    return digests


def _prove(one: Volume, whole: Mapping[int, Path], files: Mapping[int, WholeFile]) -> None:
    """Raise IntegrityError unless the pieces make the bundle that the set is named by."""
    digest = hashlib.sha256()
    for number in range(1, one.data + 1):
        path = files[number].temporary if number in files else whole[number]
        for chunk in piece_of(path, replace(one, number=number)):
            digest.update(chunk)
    if digest.hexdigest() != one.set:
        cause = f"what was made of the volumes is {digest.hexdigest()}, and the bundle was {one.set}"
        raise IntegrityError(str(next(iter(whole.values())).parent), cause, "carry the volumes again")


def _parity_of(stripe: Sequence[bytes], one: Volume) -> list[bytes]:
    if not one.parity:
        return []
    readers = [partial(_part, data) for data in stripe]
    return next(encoded(readers, one.parity, len(stripe[0])))


def _part(data: bytes, size: int, offset: int) -> bytes:
    return data[offset : offset + size]


def _within(read: Callable[[int, int], bytes], length: int, size: int, offset: int) -> bytes:
    """A piece read without what stands behind it."""
    return read(min(size, max(length - offset, 0)), offset)


@contextmanager
def _opened(paths: Sequence[Path]) -> Iterator[list[OneFile]]:
    files: list[OneFile] = []
    try:
        for path in paths:
            files.append(OneFile(path))
        yield files
    finally:
        for file in files:
            file.close()
