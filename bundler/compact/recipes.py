"""Recipes: a layer's content as ranges of spaces that all layers of a bundle share. Pure.

The *header space* holds tar headers, the *content space* files; each header and each file stands there
once. The *base space* is what is inside the base blobs of a delta, one behind the other. A recipe is a
sequence of ranges that, one after the other, are the layer's content, so whoever makes it again parses
no tar and touches no name.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

from bundler.errors import ContentError

COMPACT = "compact bundle"


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


class SpaceSizes(NamedTuple):
    """Bytes of each space."""

    headers: int
    content: int
    base: int = 0


class RangeList:
    """Ranges as they are found, neighbours joined."""

    def __init__(self) -> None:
        self.ranges: list[SpaceRange] = []

    def add(self, space: Space, offset: int, size: int) -> None:
        """Append a range; one that goes on where the last one ends becomes part of it."""
        if not size:
            return
        if self.ranges:
            last = self.ranges[-1]
            if last.space is space and (space is Space.ZEROS or last.offset + last.size == offset):
                self.ranges[-1] = last._replace(size=last.size + size)
                return
        self.ranges.append(SpaceRange(space, offset, size))


def encode_recipe(ranges: Iterable[SpaceRange]) -> bytes:
    """Return the bytes of a recipe.

    Each range is a number `size * 4 + space`; then, unless it is zeros, how far its offset lies behind
    the end of the last range of the same space, as a number whose lowest bit is the sign. Numbers are
    little-endian, seven bits to a byte, the high bit set on all bytes but the last.
    """
    data, ends = bytearray(), [0, 0, 0]
    for piece in ranges:
        _put_number(data, piece.size << 2 | piece.space)
        if piece.space is not Space.ZEROS:
            step = piece.offset - ends[piece.space]
            _put_number(data, step << 1 if step >= 0 else (-step << 1) - 1)
            ends[piece.space] = piece.offset + piece.size
    return bytes(data)


def decode_recipe(data: bytes, sizes: SpaceSizes, total: int | None = None) -> Iterator[SpaceRange]:
    """Yield the ranges of a recipe, each of them inside its space; `total` is what they must make.

    Raises: ContentError for a range outside its space, or ranges that are not `total` bytes together.
    """
    at, ends, made = 0, [0, 0, 0], 0
    while at < len(data):
        number, at = _number(data, at)
        size, kind = number >> 2, number & 3
        if not size:
            raise ContentError(COMPACT, "a recipe with an empty range")
        offset = 0
        if kind != Space.ZEROS:
            step, at = _number(data, at)
            offset = ends[kind] + (-(step + 1 >> 1) if step & 1 else step >> 1)
            if not 0 <= offset <= sizes[kind] - size:
                raise ContentError(COMPACT, "a recipe that reads outside its spaces")
            ends[kind] = offset + size
        made += size
        if total is not None and made > total:
            raise ContentError(COMPACT, f"a recipe of more than the {total:,} bytes that it declares")
        yield SpaceRange(Space(kind), offset, size)
    if total is not None and made != total:
        raise ContentError(COMPACT, f"a recipe of {made:,} bytes where it declares {total:,}")


def _put_number(data: bytearray, value: int) -> None:
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)


_LONGEST_NUMBER = 9
"""Bytes: sizes and offsets stay below 2^61."""


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(_LONGEST_NUMBER):
        if at >= len(data):
            raise ContentError(COMPACT, "a recipe that ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at
    raise ContentError(COMPACT, "a recipe with a number that is too large")
