"""The base space of a compact delta: what is inside the base blobs, as far as it is read.

It lies in a temporary file without a name. Ranges that no recipe reads are never written: the file is
sparse, and as large on disk as what is used of the base.
"""

from __future__ import annotations

import os
import zlib
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import NamedTuple

from bundler.bundle.compacted.compact_format import BaseBlob
from bundler.compact.recipes import SpaceRange
from bundler.durable import local_errors
from bundler.errors import BUNDLE, ContentError, IntegrityError
from bundler.oci import CHUNK

_PIECE = 1 << 20
"""Bytes that are inflated at a time."""
_GZIP = zlib.MAX_WBITS | 16


class ByteRange(NamedTuple):
    """Bytes of the base space."""

    start: int
    end: int

    @classmethod
    def of(cls, piece: SpaceRange) -> ByteRange:
        """Return the bytes of a range of the base space."""
        return cls(piece.offset, piece.offset + piece.size)


def joined(ranges: Iterable[ByteRange]) -> list[ByteRange]:
    """Return the same bytes as ranges in order, which neither touch nor overlap."""
    result: list[ByteRange] = []
    for start, end in sorted(ranges):
        if result and start <= result[-1].end:
            result[-1] = ByteRange(result[-1].start, max(end, result[-1].end))
        else:
            result.append(ByteRange(start, end))
    return result


def joined_within(ranges: Iterable[ByteRange], most: int) -> list[ByteRange]:
    """Return what `joined` returns, in bounded memory. Raises ContentError for more than `most` ranges."""
    collected: list[ByteRange] = []
    for piece in ranges:
        collected.append(piece)
        if len(collected) > 2 * most:
            collected = _at_most(joined(collected), most)
    return _at_most(joined(collected), most)


def _at_most(ranges: list[ByteRange], most: int) -> list[ByteRange]:
    if len(ranges) > most:
        raise ContentError(BUNDLE, f"it reads its base in more than the limit of {most:,} places")
    return ranges


class BaseRead(NamedTuple):
    """The ranges that are read of one base blob."""

    blob: BaseBlob
    start: int
    """Where its content begins in the base space."""
    ranges_read: list[ByteRange]
    """Ranges of the base space."""


def base_reads(blobs: Sequence[BaseBlob], ranges: Sequence[ByteRange]) -> list[BaseRead]:
    """Return the parts of the ranges in each base blob; blobs without any are left out."""
    starts = accumulate((blob.content for blob in blobs), initial=0)
    reads: list[BaseRead] = []
    for blob, start in zip(blobs, starts, strict=False):
        cut = (ByteRange(max(low, start), min(high, start + blob.content)) for low, high in ranges)
        if ranges_read := [piece for piece in cut if piece.start < piece.end]:
            reads.append(BaseRead(blob, start, ranges_read))
    return reads


def temporary_folder() -> Path:
    """Return the folder where the system keeps temporary files."""
    return Path(gettempdir())


def inflated(chunks: Iterable[bytes], item: str) -> Iterator[bytes]:
    """Yield what is inside a gzip stream, of one member or several, in pieces of at most 1 MiB.

    Reads `chunks` to their end, so that their source gives its verdict. Raises ContentError for anything
    that is not gzip.
    """
    inflate = zlib.decompressobj(_GZIP)
    for chunk in chunks:
        waiting = chunk
        while waiting:
            if inflate.eof:
                inflate = zlib.decompressobj(_GZIP)
            try:
                data = inflate.decompress(waiting, _PIECE)
            except zlib.error as error:
                raise ContentError(item, f"not a gzip stream: {error}") from None
            if data:
                yield data
            waiting = inflate.unconsumed_tail or inflate.unused_data
    while data := inflate.decompress(b"", _PIECE) if not inflate.eof else b"":
        yield data
    if not inflate.eof:
        raise ContentError(item, "a gzip stream that ends too early")


class BaseContent:
    """The base space in a file. Safe to read from several threads once everything is there."""

    def __init__(self, folder: Path | None = None) -> None:
        """Make the file in `folder`, or where the system keeps temporary files."""
        self.folder = folder or temporary_folder()
        with local_errors(self.folder, "write"):
            self._file = TemporaryFile(dir=self.folder)  # noqa: SIM115 - closed by `close`
        self.size = 0
        self._readable: list[ByteRange] = []

    def append(self, data: bytes) -> None:
        """Add bytes at the end."""
        self._write(data, self.size)
        self.size += len(data)

    def cut(self, size: int) -> None:
        """Take back what was added since the space had this size."""
        with local_errors(self.folder, "write"):
            self._file.truncate(size)
        self.size = size

    def take(self, start: int, size: int, chunks: Iterable[bytes], needed: Iterable[ByteRange]) -> None:
        """Keep the needed ranges of a base blob, whose content stands at `start` and has `size` bytes.

        `chunks` end well only if they are the blob's bytes; until they have, nothing of it is given out.
        Raises ContentError for more or less content.
        """
        ranges, source = [*needed], iter(chunks)
        try:
            self._keep(start, size, inflated(source, BUNDLE), ranges)
        except ContentError:
            # Wrong bytes are seldom gzip: what the source says of them is the better answer.
            deque(source, maxlen=0)
            raise
        self.size = max(self.size, start + size)
        self._readable = joined([*self._readable, *ranges])

    def _keep(self, start: int, size: int, content: Iterable[bytes], ranges: Sequence[ByteRange]) -> None:
        at, first = start, 0
        for data in content:
            end = at + len(data)
            if end > start + size:
                raise _other_size(size)
            while first < len(ranges) and ranges[first].end <= at:
                first += 1
            for piece in ranges[first:]:
                if piece.start >= end:
                    break
                low, high = max(piece.start, at), min(piece.end, end)
                self._write(data[low - at : high - at], low)
            at = end
        if at != start + size:
            raise _other_size(size)

    def whole(self) -> None:
        """Say that everything which was appended may be read."""
        self._readable = [ByteRange(0, self.size)] if self.size else []

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes that were kept. Raises IntegrityError for others."""
        position = bisect_right(self._readable, (offset, 1 << 63)) - 1
        if position < 0 or self._readable[position].end < offset + size:
            raise IntegrityError(BUNDLE, "it reads bytes of its base that were not fetched")
        return self.peek(offset, size)

    def peek(self, offset: int, size: int) -> bytes:
        """Return bytes at an offset; fewer at the end."""
        with local_errors(self.folder, "read"):
            return os.pread(self._file.fileno(), size, offset)

    def chunks(self, offset: int, size: int) -> Iterator[bytes]:
        """Yield bytes that were kept."""
        for start in range(offset, offset + size, CHUNK):
            yield self.read(start, min(CHUNK, offset + size - start))

    def close(self) -> None:
        """Remove it."""
        self._file.close()

    def _write(self, data: bytes, offset: int) -> None:
        with local_errors(self.folder, "write"):
            view = memoryview(data)
            while view:
                written = os.pwrite(self._file.fileno(), view, offset)
                view, offset = view[written:], offset + written


def _other_size(size: int) -> ContentError:
    return ContentError(BUNDLE, f"it does not hold the {size:,} bytes that the bundle says")
