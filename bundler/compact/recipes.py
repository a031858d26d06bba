"""Recipes: a layer's content as ranges of spaces that all layers of a bundle share. Pure.

The *header space* holds tar headers, the *content space* files; each header and each file stands there
once. The *base space* is what is inside the base blobs of a delta, one behind the other. A recipe is a
sequence of ranges that, one after the other, are the layer's content, so whoever makes it again parses
no tar and touches no name. An entry is a shorter way to say three ranges: a header whose size and sum
are filled in, a file, and the zeros behind it.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

from bundler.compact.tar_parts import BLOCK, LARGEST_SIZE, with_size
from bundler.errors import ContentError

COMPACT = "compact bundle"
_ZEROS = bytes(1 << 18)


class Space(IntEnum):
    """The source of the bytes of a range."""

    HEADERS = 0
    CONTENT = 1
    BASE = 2
    ZEROS = 3


class SpaceRange(NamedTuple):
    """Some bytes of a space; an offset among zeros is 0."""

    space: Space
    offset: int
    size: int

    @property
    def total(self) -> int:
        """Return the bytes that it makes."""
        return self.size

    def goes_on_at(self, space: Space, offset: int) -> bool:
        """Return True if bytes there stand right behind it."""
        return space is self.space and (space is Space.ZEROS or offset == self.offset + self.size)

    @property
    def sources(self) -> "tuple[SpaceRange, ...]":
        """Return the ranges of spaces that it reads."""
        return () if self.space is Space.ZEROS else (self,)

    def with_ranges(self, change: "Callable[[SpaceRange], SpaceRange]") -> "SpaceRange":
        """Return it with what `change` makes of its range."""
        return change(self)


class TarEntry(NamedTuple):
    """A header of the header space, with size and sum of its file; the file; zeros up to a whole block."""

    header: int
    """Offset of the header."""
    file: SpaceRange
    """In the content or the base space; it may be empty."""

    @property
    def total(self) -> int:
        """Return the bytes that it makes."""
        return BLOCK + self.file.size + self.padding

    @property
    def padding(self) -> int:
        """Return the zeros behind the file."""
        return -self.file.size % BLOCK

    @property
    def sources(self) -> tuple[SpaceRange, ...]:
        """Return the ranges of spaces that it reads."""
        header = SpaceRange(Space.HEADERS, self.header, BLOCK)
        return (header, self.file) if self.file.size else (header,)

    def with_ranges(self, change: Callable[[SpaceRange], SpaceRange]) -> "TarEntry":
        """Return it with what `change` makes of the range of its file."""
        return self._replace(file=change(self.file))


Piece = SpaceRange | TarEntry


class SpaceSizes(NamedTuple):
    """Bytes of each space."""

    headers: int
    content: int
    base: int = 0


class RangeList:
    """Ranges and entries as they are found, neighbours joined."""

    def __init__(self) -> None:
        self.ranges: list[Piece] = []

    def add(self, space: Space, offset: int, size: int) -> None:
        """Append a range; one that goes on where the last one ends becomes part of it."""
        if not size:
            return
        last = self.ranges[-1] if self.ranges else None
        if isinstance(last, SpaceRange) and last.goes_on_at(space, offset):
            self.ranges[-1] = last._replace(size=last.size + size)
        else:
            self.ranges.append(SpaceRange(space, offset, size))

    def add_entry(self, header: int, file: SpaceRange) -> None:
        """Append an entry."""
        self.ranges.append(TarEntry(header, file))


_ENTRY_KINDS = {Space.CONTENT: 4, Space.BASE: 5}


def encode_recipe(pieces: Iterable[Piece]) -> bytes:
    """Return the bytes of a recipe.

    Each range is a number `size * 8 + space`; then, unless it is zeros, how far its offset lies behind
    the end of the last range of the same space, as a number whose lowest bit is the sign. An entry is
    `size * 8 + 4` (its file is in the content space) or `+ 5` (in the base space), then the offsets of
    header and file; that of an empty file is left out. Numbers are little-endian, seven bits to a byte,
    the high bit set on all bytes but the last.
    """
    data, ends = bytearray(), [0, 0, 0]

    def put_offset(piece: SpaceRange, behind: int = 0) -> None:
        step = piece.offset - ends[piece.space]
        _put_number(data, step << 1 if step >= 0 else (-step << 1) - 1)
        ends[piece.space] = piece.offset + piece.size + behind

    for piece in pieces:
        if isinstance(piece, SpaceRange):
            _put_number(data, piece.size << 3 | piece.space)
            for source in piece.sources:
                put_offset(source)
            continue
        _put_number(data, piece.file.size << 3 | _ENTRY_KINDS[piece.file.space])
        for source in piece.sources:
            put_offset(source, _behind(source, piece))
    return bytes(data)


def _behind(source: SpaceRange, entry: TarEntry) -> int:
    """Return the bytes behind a file of the base where its space goes on: at the next header."""
    return entry.padding if source.space is Space.BASE else 0


def decode_recipe(data: bytes, sizes: SpaceSizes, total: int | None = None) -> Iterator[Piece]:
    """Yield the pieces of a recipe, each of them inside its spaces; `total` is what they must make.

    Raises: ContentError for a range outside its space, or pieces that are not `total` bytes together.
    """
    reading, made = _RecipeReader(data, sizes), 0
    while not reading.ended:
        piece = reading.piece()
        made += piece.total
        if total is not None and made > total:
            raise ContentError(COMPACT, f"a recipe of more than the {total:,} bytes that it declares")
        yield piece
    if total is not None and made != total:
        raise ContentError(COMPACT, f"a recipe of {made:,} bytes where it declares {total:,}")


class _RecipeReader:
    """A recipe while it is read."""

    def __init__(self, data: bytes, sizes: SpaceSizes) -> None:
        self._data, self._sizes = data, sizes
        self._at, self._ends = 0, [0, 0, 0]

    @property
    def ended(self) -> bool:
        return self._at >= len(self._data)

    def piece(self) -> Piece:
        number = self._number()
        size, kind = number >> 3, number & 7
        if kind > _ENTRY_KINDS[Space.BASE]:
            raise ContentError(COMPACT, "a recipe with a range of an unknown kind")
        if kind > Space.ZEROS:
            return self._entry(Space.CONTENT if kind == _ENTRY_KINDS[Space.CONTENT] else Space.BASE, size)
        if not size:
            raise ContentError(COMPACT, "a recipe with an empty range")
        return SpaceRange(Space.ZEROS, 0, size) if kind == Space.ZEROS else self._range(Space(kind), size)

    def _entry(self, space: Space, size: int) -> TarEntry:
        if size > LARGEST_SIZE:
            raise ContentError(COMPACT, "a recipe with a file that is larger than its header can say")
        header = self._range(Space.HEADERS, BLOCK).offset
        if not size:
            return TarEntry(header, SpaceRange(space, 0, 0))
        entry = TarEntry(header, self._range(space, size))
        self._ends[space] += _behind(entry.file, entry)
        return entry

    def _range(self, space: Space, size: int) -> SpaceRange:
        step = self._number()
        offset = self._ends[space] + (-(step + 1 >> 1) if step & 1 else step >> 1)
        if not 0 <= offset <= self._sizes[space] - size:
            raise ContentError(COMPACT, "a recipe that reads outside its spaces")
        self._ends[space] = offset + size
        return SpaceRange(space, offset, size)

    def _number(self) -> int:
        value = 0
        for place in range(_LONGEST_NUMBER):
            if self.ended:
                raise ContentError(COMPACT, "a recipe that ends in the middle of a number")
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 127) << 7 * place
            if byte < 128:
                return value
        raise ContentError(COMPACT, "a recipe with a number that is too large")


def made_of(pieces: Iterable[Piece], read: Callable[[SpaceRange], Iterable[bytes]]) -> Iterator[bytes]:
    """Yield the content that pieces make, in chunks; `read` gives the bytes of a range of a space."""
    for piece in pieces:
        if isinstance(piece, TarEntry):
            header, *file = piece.sources
            yield with_size(b"".join(read(header)), piece.file.size)
            for source in file:
                yield from read(source)
            yield bytes(piece.padding)
        elif piece.space is Space.ZEROS:
            for start in range(0, piece.size, len(_ZEROS)):
                yield _ZEROS[: piece.size - start]
        else:
            yield from read(piece)


def _put_number(data: bytearray, value: int) -> None:
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)


_LONGEST_NUMBER = 9
"""Bytes: sizes and offsets stay below 2^60."""
