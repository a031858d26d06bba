"""The two spaces of a compact file while it is written, and the ranges of one layer in them."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from bundler.bundle.compacted.compact_format import GROUP
from bundler.compact.recipes import RangeList, Space, encode_recipe
from bundler.compact.tar_parts import TarChunk, TarPart
from bundler.durable import local_errors


class ContentSpace:
    """Files, each once, in the order in which they were first seen; in a temporary file without a name."""

    def __init__(self, folder: Path) -> None:
        from tempfile import TemporaryFile

        self._path = folder
        with local_errors(folder, "write"):
            self._file: BinaryIO = TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `close`
        self.size = 0
        self._known: dict[bytes, tuple[int, int]] = {}
        self._fresh: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Append bytes."""
        with local_errors(self._path, "write"):
            self._file.write(data)
        self.size += len(data)

    def keep(self, start: int, digest: bytes) -> tuple[int, int]:
        """Return offset and size of the file that was written from `start` on, kept once."""
        size = self.size - start
        if digest in self._known:
            self._cut(start)
            return self._known[digest]
        self._known[digest] = (start, size)
        self._fresh.append(digest)
        return start, size

    def settle(self) -> None:
        """Keep what was added since the last call."""
        self._fresh.clear()

    def forget(self, size: int) -> None:
        """Take back what was added since the space had this size."""
        self._cut(size)
        for digest in self._fresh:
            del self._known[digest]
        self._fresh.clear()

    def groups(self) -> Iterator[bytes]:
        """Yield the space in groups."""
        self._file.seek(0)
        with local_errors(self._path, "read"):
            yield from iter(lambda: self._file.read(GROUP), b"")

    def close(self) -> None:
        """Remove it."""
        self._file.close()

    def _cut(self, size: int) -> None:
        with local_errors(self._path, "write"):
            self._file.seek(size)
            self._file.truncate()
        self.size = size


class HeaderSpace:
    """Tar headers, each once."""

    def __init__(self, limit: int) -> None:
        self.data = bytearray()
        self._limit = limit
        self._known: dict[bytes, int] = {}
        self._fresh: list[bytes] = []

    def keep(self, header: bytes) -> int | None:
        """Return the header's offset; None if there is no more room."""
        offset = self._known.get(header)
        if offset is None:
            if len(self.data) + len(header) > self._limit:
                return None
            offset = self._known[header] = len(self.data)
            self._fresh.append(header)
            self.data += header
        return offset

    def settle(self) -> None:
        """Keep what was added since the last call."""
        self._fresh.clear()

    def forget(self, size: int) -> None:
        """Take back what was added since the space had this size."""
        del self.data[size:]
        for header in self._fresh:
            del self._known[header]
        self._fresh.clear()


class LayerRanges:
    """The ranges of one layer, found while its content passes."""

    def __init__(self, headers: HeaderSpace, content: ContentSpace) -> None:
        self._headers = headers
        self._content = content
        self._list = RangeList()
        self._start = content.size
        self._digest = hashlib.sha256()

    def take(self, parts: Iterable[TarChunk]) -> None:
        """Take the next parts of the content."""
        for part, data, last in parts:
            if part is TarPart.FILE:
                self._file(data, last=last)
            elif part is TarPart.HEADER and (offset := self._headers.keep(data)) is not None:
                self._list.add(Space.HEADERS, offset, len(data))
            elif not any(data):
                self._list.add(Space.ZEROS, 0, len(data))
            else:
                self._file(data, last=True)

    @property
    def recipe(self) -> bytes:
        """The recipe, once everything was taken."""
        return encode_recipe(self._list.ranges)

    def _file(self, data: bytes, *, last: bool) -> None:
        self._content.write(data)
        self._digest.update(data)
        if last:
            self._list.add(Space.CONTENT, *self._content.keep(self._start, self._digest.digest()))
            self._start, self._digest = self._content.size, hashlib.sha256()
