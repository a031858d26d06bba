"""Recipes of ranges, and the content of layers cut where files begin and end."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bundler.compact.recipes import RangeList, Space, SpaceRange, SpaceSizes, decode_recipe, encode_recipe
from bundler.compact.tar_parts import TarCutter, TarPart
from bundler.errors import ContentError

SPACES = (1_000, 2_000, 500)

RANGES = some.lists(
    some.tuples(some.sampled_from(Space), some.integers(0, 1 << 40), some.integers(1, 1 << 30)), max_size=50
)


def ranges_of(found: list[tuple[Space, int, int]]) -> list[SpaceRange]:
    return [SpaceRange(space, 0 if space is Space.ZEROS else offset, size) for space, offset, size in found]


@given(RANGES)
def test_a_recipe_is_read_as_it_was_written(found: list[tuple[Space, int, int]]) -> None:
    ranges = ranges_of(found)
    total = sum(piece.size for piece in ranges)
    assert list(decode_recipe(encode_recipe(ranges), SpaceSizes(1 << 50, 1 << 50, 1 << 50), total)) == ranges


@given(some.binary(max_size=300), some.integers(0, 10_000))
def test_no_bytes_read_outside_the_spaces(data: bytes, total: int) -> None:
    made = 0
    try:
        for space, offset, size in decode_recipe(data, SpaceSizes(*SPACES), total):
            assert space is Space.ZEROS or 0 <= offset <= offset + size <= SPACES[space]
            made += size
            assert made <= total
    except ContentError:
        return
    assert made == total


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
