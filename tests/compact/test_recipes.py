"""Recipes of ranges, and the content of layers cut where files begin and end."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bundler.compact.recipes import (
    Piece,
    RangeList,
    Space,
    SpaceRange,
    SpaceSizes,
    TarEntry,
    decode_recipe,
    encode_recipe,
)
from bundler.compact.tar_parts import TarCutter, TarPart, with_size, without_size
from bundler.errors import ContentError

SPACES = (1_000, 2_000, 500)

OFFSETS, LENGTHS = some.integers(0, 1 << 40), some.integers(1, 1 << 30)
RANGES = some.builds(SpaceRange, some.sampled_from([*Space][:3]), OFFSETS, LENGTHS)
FILES = some.builds(SpaceRange, some.sampled_from([Space.CONTENT, Space.BASE]), OFFSETS, LENGTHS)
NO_FILE = some.just(SpaceRange(Space.CONTENT, 0, 0))
ENTRIES = some.builds(TarEntry, OFFSETS, FILES | NO_FILE)
PIECES = some.lists(RANGES | ENTRIES | some.just(SpaceRange(Space.ZEROS, 0, 11)), max_size=50)


@given(PIECES)
def test_a_recipe_is_read_as_it_was_written(pieces: list[Piece]) -> None:
    total = sum(piece.total for piece in pieces)
    assert list(decode_recipe(encode_recipe(pieces), SpaceSizes(1 << 50, 1 << 50, 1 << 50), total)) == pieces


@given(some.binary(max_size=300), some.integers(0, 10_000))
def test_no_bytes_read_outside_the_spaces(data: bytes, total: int) -> None:
    made = 0
    try:
        for piece in decode_recipe(data, SpaceSizes(*SPACES), total):
            for space, offset, size in piece.sources:
                assert 0 <= offset <= offset + size <= SPACES[space]
            made += piece.total
            assert made <= total
    except ContentError:
        return
    assert made == total


@given(some.binary(min_size=512, max_size=512), some.integers(0, 8**11 + 5))
def test_a_header_is_emptied_only_if_it_can_be_filled(header: bytes, size: int) -> None:
    emptied = without_size(header, size)
    assert emptied is None or with_size(emptied, size) == header
    if size < 8**11:
        assert without_size(with_size(header, size), size) is not None


@pytest.mark.parametrize("sizes", [(9, 5), (10, 4)])
def test_a_range_ends_where_its_space_ends(sizes: tuple[int, int]) -> None:
    recipe = encode_recipe([SpaceRange(Space.HEADERS, 4, 6), SpaceRange(Space.CONTENT, 0, 5)])
    assert len(list(decode_recipe(recipe, SpaceSizes(10, 5), 11))) == 2
    with pytest.raises(ContentError, match="outside its spaces"):
        list(decode_recipe(recipe, SpaceSizes(*sizes), 11))


@pytest.mark.parametrize("total", [10, 12])
def test_a_recipe_makes_what_it_declares(total: int) -> None:
    recipe = encode_recipe([SpaceRange(Space.ZEROS, 0, 11)])
    with pytest.raises(ContentError, match="recipe of"):
        list(decode_recipe(recipe, SpaceSizes(0, 0), total))


def test_neighbours_become_one_range() -> None:
    ranges = RangeList()
    for offset in range(0, 50, 10):
        ranges.add(Space.CONTENT, offset, 10)
    assert ranges.ranges == [SpaceRange(Space.CONTENT, 0, 50)]


def a_tar(files: dict[str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@given(
    some.dictionaries(some.text("abc/", min_size=1, max_size=300), some.binary(max_size=2_000), max_size=6),
    some.integers(1, 5_000),
)
def test_the_parts_of_a_tar_are_its_bytes(files: dict[str, bytes], piece: int) -> None:
    data, cutter = a_tar(files), TarCutter()
    parts = [
        part for start in range(0, len(data), piece) for part in cutter.feed(data[start : start + piece])
    ]
    parts += cutter.end()
    assert b"".join(part.data for part in parts) == data
    found, current = [], b""
    for part in parts:
        if part.part is TarPart.FILE:
            current += part.data
            if part.last:
                found.append(current)
                current = b""
    assert found == [content for content in files.values() if content]


@given(some.binary(max_size=5_000), some.integers(1, 5_000))
def test_the_parts_of_anything_are_its_bytes(data: bytes, piece: int) -> None:
    cutter = TarCutter()
    parts = [
        part for start in range(0, len(data), piece) for part in cutter.feed(data[start : start + piece])
    ]
    assert b"".join(part.data for part in (*parts, *cutter.end())) == data
