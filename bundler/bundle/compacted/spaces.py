"""The two spaces of a compact file while it is written, and their frames."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from bundler.bundle.compacted import compact_format
from bundler.bundle.compacted.base_index import SpacePlace
from bundler.durable import local_errors


class Kept(NamedTuple):
    """A file or header of a space, and its old version in the base space."""

    start: int
    size: int
    old: SpacePlace | None


class ContentSpace:
    """Files, each once, in the order in which they were first seen; in a temporary file without a name."""

    def __init__(self, folder: Path) -> None:
        from tempfile import TemporaryFile

        self._path = folder
        with local_errors(folder, "write"):
            self._file: BinaryIO = TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `close`
        self.size = 0
        self.kept: list[Kept] = []
        self._files: dict[bytes, Kept] = {}
        self._settled = 0

    def write(self, data: bytes) -> None:
        """Append bytes."""
        with local_errors(self._path, "write"):
            self._file.write(data)
        self.size += len(data)

    def keep(self, start: int, digest: bytes, old: SpacePlace | None) -> Kept:
        """Return the file that was written from `start` on, kept once; `old` is what it was in the base."""
        if digest in self._files:
            self.cut(start)
            return self._files[digest]
        self._files[digest] = Kept(start, self.size - start, old)
        self.kept.append(self._files[digest])
        return self._files[digest]

    def settle(self) -> None:
        """Keep what was added since the last call."""
        self._settled = len(self.kept)

    def forget(self, size: int) -> None:
        """Take back what was added since the space had this size."""
        self.cut(size)
        fresh = set(self.kept[self._settled :])
        self._files = {digest: kept for digest, kept in self._files.items() if kept not in fresh}
        del self.kept[self._settled :]

    def finish(self) -> None:
        """Give up what only more files would need, and memory is wanted for."""
        self._files, self.kept = {}, []

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of the space."""
        with local_errors(self._path, "read"):
            self._file.flush()
            return os.pread(self._file.fileno(), size, offset)

    def close(self) -> None:
        """Remove it."""
        self._file.close()

    def cut(self, size: int) -> None:
        """Take back the bytes from `size` on."""
        if size == self.size:
            return
        with local_errors(self._path, "write"):
            self._file.seek(size)
            self._file.truncate()
        self.size = size


class HeaderSpace:
    """Tar headers, each once; most of them without the size of their file."""

    def __init__(self, limit: int) -> None:
        self.data = bytearray()
        self.kept: list[Kept] = []
        self._limit = limit
        self._offsets: dict[bytes, int] = {}
        """By sha256: a header has 512 bytes or more."""
        self._settled = 0

    def keep(self, header: bytes, old: SpacePlace | None) -> int | None:
        """Return the header's offset; None if there is no more room. `old` is what it was in the base."""
        digest = hashlib.sha256(header).digest()
        offset = self._offsets.get(digest)
        if offset is None:
            if len(self.data) + len(header) > self._limit:
                return None
            offset = self._offsets[digest] = len(self.data)
            self.kept.append(Kept(offset, len(header), old))
            self.data += header
        return offset

    def settle(self) -> None:
        """Keep what was added since the last call."""
        self._settled = len(self.kept)

    def forget(self, size: int) -> None:
        """Take back what was added since the space had this size."""
        for kept in self.kept[self._settled :]:
            del self._offsets[hashlib.sha256(self.data[kept.start : kept.start + kept.size]).digest()]
        del self.kept[self._settled :]
        del self.data[size:]

    def finish(self) -> None:
        """Give up what only more headers would need."""
        self._offsets, self.kept = {}, []


# --- frames of the spaces ---

_WHOLE = compact_format.LARGEST_GROUP // 4 * 3
"""Bytes of a file, and of what it was, that are one frame: the old bytes stay within the window."""
_PIECE = compact_format.LARGEST_GROUP // 2
"""Bytes of a file too large for one frame that are in one frame; its prefix is what stood around them."""


class PlannedGroup(NamedTuple):
    """A frame, and what stands before it for the compression."""

    start: int
    size: int
    prefix: tuple[SpacePlace, ...] = ()

    @property
    def prefix_size(self) -> int:
        """Return the bytes of the prefix."""
        return sum(place.size for place in self.prefix)


def plain_groups(size: int, frame: int) -> Iterator[PlannedGroup]:
    """Yield the frames of a space without any prefix."""
    start = 0
    for length in compact_format.evenly(size, frame):
        yield PlannedGroup(start, length)
        start += length


def header_groups(kept: Iterable[Kept], size: int) -> Iterator[PlannedGroup]:
    """Yield the frames of the header space, each behind the old headers of the entries that begin in it."""
    entries = list(kept)
    for group in plain_groups(size, compact_format.SECTION_FRAME):
        inside = [entry for entry in entries if 0 <= entry.start - group.start < group.size]
        yield group._replace(prefix=_prefix(inside, compact_format.SECTION_FRAME))


def content_groups(kept: Iterable[Kept]) -> Iterator[PlannedGroup]:
    """Yield the frames of the content space, each behind the old files; a large file stands alone."""
    group: list[Kept] = []
    new = old = 0
    for file in kept:
        before = file.old.size if file.old else 0
        large = max(file.size, before) > compact_format.GROUP
        if large or new + file.size > compact_format.GROUP or old + before > compact_format.GROUP:
            yield from _together(group, new)
            group, new, old = [], 0, 0
        if large:
            yield from _alone(file)
        else:
            group.append(file)
            new, old = new + file.size, old + before
    yield from _together(group, new)


def _together(group: Sequence[Kept], size: int) -> Iterator[PlannedGroup]:
    if size:
        yield PlannedGroup(group[0].start, size, _prefix(group, compact_format.GROUP))


def _alone(file: Kept) -> Iterator[PlannedGroup]:
    """Yield the frames of one file that is large, or was."""
    if file.old and max(file.size, file.old.size) <= _WHOLE:
        yield PlannedGroup(file.start, file.size, (file.old,))
        return
    for start in range(0, file.size, _PIECE):
        size = min(_PIECE, file.size - start)
        low = max(start - _PIECE // 2, 0)
        high = min(start + _PIECE + _PIECE // 2, file.old.size if file.old else 0)
        if file.old and high - low >= compact_format.SHORTEST_PREFIX:
            yield PlannedGroup(file.start + start, size, (SpacePlace(file.old.offset + low, high - low),))
        else:
            for group in plain_groups(size, compact_format.GROUP):
                yield group._replace(start=file.start + start + group.start)


def _prefix(entries: Iterable[Kept], most: int) -> tuple[SpacePlace, ...]:
    """Return the old versions, each once, up to a number of bytes; none if they are too short together."""
    places: list[SpacePlace] = []
    total = 0
    for place in dict.fromkeys(entry.old for entry in entries if entry.old):
        if total + place.size <= most:
            places.append(place)
            total += place.size
    return tuple(places) if total >= compact_format.SHORTEST_PREFIX else ()
