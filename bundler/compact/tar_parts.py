"""The content of a layer cut where its files begin and end. Pure, and tolerant: what is no tar is one file.

The cuts decide only how well a layer is compacted. Whatever they are, the parts in their order are the
content, byte for byte.
"""

from collections.abc import Generator, Iterator
from enum import Enum, auto
from typing import NamedTuple

BLOCK = 512
"""Bytes of a header; files are padded to a multiple of it."""
LARGEST_SIZE = 8**11 - 1
"""Bytes of a file that the size field says in octal."""
_SIZE, _SUM = slice(124, 136), slice(148, 156)
_MAGIC = b"ustar"
_WITH_CONTENT = b"\x0007"
_ABOUT_THE_NEXT = b"xgLK"
_LARGEST_HEADER_DATA = 1 << 20
"""Bytes of a pax record that count as a header; a larger one is kept like a file."""
_LARGEST_FILE = 1 << 50
"""Bytes that an entry can have; a header that says more is none."""


class TarPart(Enum):
    """The kind of some bytes."""

    HEADER = auto()
    FILE = auto()
    PADDING = auto()


class TarChunk(NamedTuple):
    """Some bytes of a part."""

    part: TarPart
    data: bytes
    last: bool
    """The part ends with them."""


class TarCutter:
    """A cutter of one layer. Feed it chunks of any size; call `end` behind the last one."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._left = 0
        """Bytes of the present file that are still to come."""
        self._padding = 0
        self._broken = False

    def feed(self, chunk: bytes) -> Iterator[TarChunk]:
        """Yield the parts that are complete, and pieces of a file that is not."""
        self._waiting += chunk
        while self._waiting:
            if self._broken:
                yield TarChunk(TarPart.FILE, self._take(len(self._waiting)), last=False)
            elif self._left:
                data = self._take(min(self._left, len(self._waiting)))
                self._left -= len(data)
                yield TarChunk(TarPart.FILE, data, last=not self._left)
            elif self._padding:
                data = self._take(min(self._padding, len(self._waiting)))
                self._padding -= len(data)
                yield TarChunk(TarPart.PADDING, data, last=True)
            elif len(self._waiting) < BLOCK or not (yield from self._header()):
                return

    def end(self) -> Iterator[TarChunk]:
        """Yield what waited for more."""
        if self._waiting or self._broken or self._left:
            yield TarChunk(TarPart.FILE, self._take(len(self._waiting)), last=True)

    def _header(self) -> Generator[TarChunk, None, bool]:
        """Yield the block that begins an entry; return False where more of it must come first."""
        block = bytes(self._waiting[:BLOCK])
        if not any(block):
            yield TarChunk(TarPart.PADDING, self._take(BLOCK), last=True)
            return True
        size, kind = _size_in(block), block[156:157]
        self._broken = block[257:262] != _MAGIC or not 0 <= size < _LARGEST_FILE
        if self._broken:
            return True
        whole = BLOCK
        if kind in _ABOUT_THE_NEXT and size <= _LARGEST_HEADER_DATA:
            whole += size + -size % BLOCK
        elif kind in _WITH_CONTENT or kind in _ABOUT_THE_NEXT:
            self._left, self._padding = size, -size % BLOCK
        if len(self._waiting) < whole:
            return False
        yield TarChunk(TarPart.HEADER, self._take(whole), last=True)
        return True

    def _take(self, size: int) -> bytes:
        data = bytes(self._waiting[:size])
        del self._waiting[:size]
        return data


def with_size(header: bytes, size: int) -> bytes:
    """Return a header of one block with the size of its file, and the sum that follows."""
    block = bytearray(header)
    block[_SIZE] = b"%011o\0" % size
    block[_SUM] = b" " * 8
    block[_SUM] = b"%06o\0 " % sum(block)
    return bytes(block)


def without_size(header: bytes, size: int) -> bytes | None:
    """Return a header with zeros for size and sum; None where `with_size` would not make it again."""
    block = bytearray(header)
    block[_SIZE], block[_SUM] = bytes(12), bytes(8)
    emptied = bytes(block)
    return emptied if size <= LARGEST_SIZE and with_size(emptied, size) == header else None


def _size_in(block: bytes) -> int:
    field = block[_SIZE]
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & (1 << 88) - 1
    try:
        return int(field.strip(b"\0 ") or b"0", 8)
    except ValueError:
        return -1


class EntryNames:
    """Names of the entries of one tar, as its headers pass."""

    def __init__(self) -> None:
        self._long = b""

    def see(self, header: bytes) -> bytes | None:
        """Return the name of the entry that this header begins; None for one about the next header."""
        kind, data = header[156:157], header[BLOCK:]
        if kind in _ABOUT_THE_NEXT:
            if kind == b"L":
                self._long = data.partition(b"\0")[0]
            elif kind == b"x":
                self._long = _path_in(data) or self._long
            return None
        name, prefix = (header[start:end].partition(b"\0")[0] for start, end in ((0, 100), (345, 500)))
        long, self._long = self._long, b""
        return long or (prefix + b"/" + name if prefix else name)


def _path_in(records: bytes) -> bytes:
    """Return the path that pax records give; empty if they give none."""
    at = records.find(b" path=")
    return records[at + 6 :].partition(b"\n")[0] if at >= 0 else b""
