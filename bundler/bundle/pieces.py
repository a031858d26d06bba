"""The bytes of a bundle, wherever they lie: in one file, or in the volumes of a set. Read in place."""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from bundler.bundle.volume_format import (
    MAGIC,
    TRAILER,
    Volume,
    decode_trailer,
    is_trailer,
    needed,
)
from bundler.durable import local_errors
from bundler.errors import BundlerError, ContentError, IntegrityError, LocalError, NotFoundError, UsageError
from bundler.oci.content import CHUNK

_MOST_FILES = 10_000
"""Files of a folder that are looked at."""


class Pieces(Protocol):
    """Bytes to be read at any place."""

    size: int

    def read_at(self, size: int, offset: int) -> bytes:
        """At most `size` bytes; fewer only at the end. Raises LocalError."""

    def close(self) -> None:
        """Let go of the files."""

    def diagnose(self) -> None:
        """Raise IntegrityError with what is damaged, if that can be said more closely."""


class OneFile:
    """A bundle in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with local_errors(path, "open"):
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with local_errors(path, "look at"):
            self.size = os.fstat(self._descriptor).st_size

    def read_at(self, size: int, offset: int) -> bytes:
        """At most `size` bytes."""
        with local_errors(self._path, "read"):
            return os.pread(self._descriptor, size, offset)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def diagnose(self) -> None:
        """Nothing is known more closely."""


@contextmanager
def opened_files(paths: Sequence[Path]) -> Iterator[list[OneFile]]:
    """Files opened together."""
    files: list[OneFile] = []
    try:
        for path in paths:
            files.append(OneFile(path))
        yield files
    finally:
        for file in files:
            file.close()


class VolumeSet:
    """A bundle in volumes, all data volumes being there, in their lengths."""

    def __init__(self, volumes: Mapping[Path, Volume]) -> None:
        data = {path: volume for path, volume in volumes.items() if not volume.is_parity}
        self._volumes = sorted(data.items(), key=lambda item: item[1].number)
        self.size = self._volumes[0][1].total
        self._starts = [volume.offset for _, volume in self._volumes]
        self._files: list[OneFile] = []
        self._with_parity = len(volumes) - len(data)
        try:
            self._files += (OneFile(path) for path, _ in self._volumes)
        except BaseException:
            self.close()
            raise

    def read_at(self, size: int, offset: int) -> bytes:
        """At most `size` bytes, from as many volumes as they lie in."""
        found = bytearray()
        while len(found) < size and offset < self.size:
            number = bisect_right(self._starts, offset) - 1
            volume = self._volumes[number][1]
            inside = offset - volume.offset
            part = self._files[number].read_at(min(size - len(found), volume.size - inside), inside)
            if not part:
                break
            found += part
            offset += len(part)
        return bytes(found)

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files:
            file.close()

    def diagnose(self) -> None:
        """Hash every piece. Raises IntegrityError that names the damaged volumes."""
        wrong = [volume.number for path, volume in self._volumes if not is_whole(path, volume)]
        if wrong:
            volumes = [volume for _, volume in self._volumes]
            raise lacking(self._volumes[0][0], volumes, wrong, self._with_parity)


def is_whole(path: Path, volume: Volume) -> bool:
    """Whether a volume's piece has its digest."""
    digest = hashlib.sha256()
    for chunk in piece_of(path, volume):
        digest.update(chunk)
    return digest.hexdigest() == volume.sha256


def piece_of(path: Path, volume: Volume) -> Iterator[bytes]:
    """The bytes of a volume's piece."""
    left = volume.size
    with local_errors(path, "read"), path.open("rb") as file:
        while left and (chunk := file.read(min(left, CHUNK))):
            left -= len(chunk)
            yield chunk


def lacking(path: Path, volumes: Sequence[Volume], wrong: Sequence[int], parity: int) -> IntegrityError:
    """What to say of a set that has not all its data volumes whole; `parity` volumes are there."""
    data = volumes[0].data
    text = needed(volumes, wrong, data)
    count = data - len({volume.number for volume in volumes if not volume.is_parity} - set(wrong))
    state = "damaged" if wrong else "missing"
    verb = "is" if count == 1 else "are"
    if parity >= count:
        next_step = "`timoni-bundler volumes repair` makes it of the parity volumes that are here"
    else:
        next_step = "carry that alone again, or make it again: `timoni-bundler volumes split --only`"
    return IntegrityError(str(path.parent), f"need {text} only: {verb} {state}", next_step)


# --- finding a set -----------------------------------------------------------------------------------


def is_volume(path: Path) -> bool:
    """Whether a file ends like a volume. Raises LocalError."""
    file = OneFile(path)
    try:
        return ends_like_volume(file)
    finally:
        file.close()


def ends_like_volume(file: OneFile) -> bool:
    """The same of an open file."""
    return file.size >= TRAILER and file.read_at(len(MAGIC), file.size - len(MAGIC)) == MAGIC


def volumes_among(folder: Path) -> list[Path]:
    """The files of a folder that end like volumes; others, and what can't be read, are passed over."""
    found: list[Path] = []
    with local_errors(folder, "read"):
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    for path in entries[:_MOST_FILES]:
        with suppress(LocalError):
            if path.is_file() and is_volume(path):
                found.append(path)
    return found


class Found(Mapping[Path, Volume]):
    """The volumes of one set that are there; those that are not whole to the eye, with what is wrong."""

    def __init__(self, volumes: dict[Path, Volume], wrong: dict[Path, BundlerError]) -> None:
        self._volumes = volumes
        self.wrong = wrong

    def __getitem__(self, path: Path) -> Volume:
        return self._volumes[path]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._volumes)

    def __len__(self) -> int:
        return len(self._volumes)


def find_volumes(path: Path, more: Iterable[Path] = ()) -> Found:
    """The set that a volume belongs to, or that a folder holds, in this folder and in `more` of them.

    Names and order don't matter. Raises NotFoundError if there is none, UsageError for several sets,
    ContentError for one that contradicts itself.
    """
    folders = [path if path.is_dir() else path.parent, *more]
    volumes: dict[Path, Volume] = {}
    wrong: dict[Path, BundlerError] = {}
    for file in (file for folder in folders for file in volumes_among(folder)):
        try:
            volumes[file] = read_trailer(file)
        except (IntegrityError, UsageError) as error:
            wrong[file] = error
    own = volumes.get(path)
    sets = {volume.set for volume in volumes.values()} if own is None else {own.set}
    if not sets:
        first = next(iter(wrong.values()), NotFoundError(str(path), "no volumes are there"))
        raise first
    if len(sets) > 1:
        cause = f"volumes of {len(sets)} sets are there"
        raise UsageError(str(path), cause, "name one volume of the set that you mean")
    chosen = {volume.number: file for file, volume in volumes.items() if volume.set in sets}
    if len({volumes[file].of_set for file in chosen.values()}) > 1:
        raise ContentError(str(folders[0]), "the volumes of the set contradict each other")
    return Found({file: volumes[file] for _, file in sorted(chosen.items())}, wrong)


def open_set(path: Path, more: Iterable[Path] = ()) -> VolumeSet:
    """The set, opened. Raises IntegrityError that names the volumes that are missing or cut."""
    found = find_volumes(path, more)
    volumes = list(found.values())
    parity = sum(volume.is_parity for volume in volumes)
    if needed(volumes, (), volumes[0].data):
        raise lacking(next(iter(found)), volumes, (), parity)
    return VolumeSet(found)


def read_trailer(path: Path) -> Volume:
    """What a volume says of itself. Raises IntegrityError, ContentError, UsageError for no volume."""
    with local_errors(path, "read"), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - TRAILER, 0))
        block = file.read(TRAILER)
    if not is_trailer(block):
        raise UsageError(str(path), "not a volume")
    return decode_trailer(block, size, str(path))
