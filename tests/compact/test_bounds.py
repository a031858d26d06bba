"""Bounds of compact format 1, each at the limit and one past it."""

from __future__ import annotations

import pytest

from bundler.bundle.compacted import compact_format
from bundler.bundle.compacted.compact_format import CompactLayer, gzip_recipe, layout_of
from bundler.bundle.compacted.compact_head import head_parts
from bundler.compact.codecs import GZIP_HEADER, LONGEST_HEADER, header_size
from bundler.compact.recipes import Space, SpaceRange, SpaceSizes, TarEntry, decode_recipe, encode_recipe
from bundler.compact.tar_parts import LARGEST_SIZE
from bundler.errors import ContentError
from bundler.limits import Limits
from tests.builders import a_module, packed

SIZES = SpaceSizes(100, 1_000, 50)


@pytest.mark.parametrize("space", [Space.HEADERS, Space.CONTENT, Space.BASE])
def test_a_range_ends_with_its_space(space: Space) -> None:
    end = SIZES[space]
    at_the_end = SpaceRange(space, end - 7, 7)
    assert [*decode_recipe(encode_recipe([at_the_end]), SIZES, 7)] == [at_the_end]
    for past in (SpaceRange(space, end - 6, 7), SpaceRange(space, end, 1), SpaceRange(space, 0, end + 1)):
        with pytest.raises(ContentError, match="reads outside"):
            [*decode_recipe(encode_recipe([past]), SIZES, past.size)]


@pytest.mark.parametrize("declared", [29, 31])
def test_ranges_are_as_many_bytes_as_declared(declared: int) -> None:
    recipe = encode_recipe([SpaceRange(Space.CONTENT, 0, 20), SpaceRange(Space.ZEROS, 0, 10)])
    assert sum(piece.total for piece in decode_recipe(recipe, SIZES, 30)) == 30
    with pytest.raises(ContentError, match="it declares"):
        [*decode_recipe(recipe, SIZES, declared)]


@pytest.mark.parametrize("space", [Space.CONTENT, Space.BASE])
def test_an_entry_ends_with_its_spaces(space: Space) -> None:
    sizes = SpaceSizes(1_024, 700, 700)
    entry = TarEntry(512, SpaceRange(space, 100, 600))
    assert [*decode_recipe(encode_recipe([entry]), sizes, entry.total)] == [entry]
    for past in (
        entry._replace(header=513),
        entry._replace(file=SpaceRange(space, 101, 600)),
        entry._replace(file=SpaceRange(space, 100, 601)),
    ):
        with pytest.raises(ContentError, match="reads outside"):
            [*decode_recipe(encode_recipe([past]), sizes, past.total)]


@pytest.mark.parametrize("total", [1_535, 1_537])
def test_an_entry_makes_whole_blocks(total: int) -> None:
    recipe = encode_recipe([TarEntry(0, SpaceRange(Space.CONTENT, 0, 513))])
    assert len([*decode_recipe(recipe, SpaceSizes(512, 513), 1_536)]) == 1
    with pytest.raises(ContentError, match="it declares"):
        [*decode_recipe(recipe, SpaceSizes(512, 513), total)]


def test_a_file_is_as_large_as_its_header_can_say() -> None:
    sizes = SpaceSizes(512, 1 << 40)
    largest = TarEntry(0, SpaceRange(Space.CONTENT, 0, LARGEST_SIZE))
    assert [*decode_recipe(encode_recipe([largest]), sizes)] == [largest]
    past = TarEntry(0, SpaceRange(Space.CONTENT, 0, LARGEST_SIZE + 1))
    with pytest.raises(ContentError, match="larger than its header can say"):
        [*decode_recipe(encode_recipe([past]), sizes)]


def test_a_range_is_of_a_kind_that_the_format_has() -> None:
    for kind in (6, 7):
        with pytest.raises(ContentError, match="unknown kind"):
            [*decode_recipe(bytes([8 + kind, 0, 0]), SIZES)]
    for empty in (Space.HEADERS, Space.CONTENT, Space.BASE, Space.ZEROS):
        with pytest.raises(ContentError, match="empty range"):
            [*decode_recipe(bytes([empty, 0]), SIZES)]


def test_a_number_has_at_most_nine_bytes() -> None:
    # Zeros: the largest size that nine bytes can say.
    nine = b"\xfb" + b"\xff" * 7 + b"\x7f"
    size = (1 << 63) - 1 >> 3
    assert [piece.total for piece in decode_recipe(nine, SIZES, size)] == [size]
    with pytest.raises(ContentError, match="too large"):
        [*decode_recipe(b"\xff" * 9 + b"\x01", SIZES, size)]
    with pytest.raises(ContentError, match="in the middle of a number"):
        [*decode_recipe(nine[:-1], SIZES, size)]


def test_a_gzip_header_has_10_to_4096_bytes() -> None:
    longest = bytes.fromhex("1f8b0808000000000000") + b"n" * (LONGEST_HEADER - 11) + b"\0"
    assert len(longest) == LONGEST_HEADER == header_size(longest)
    assert gzip_recipe(CompactLayer(0, 1, 0, 0, longest.hex())).header == longest
    assert gzip_recipe(CompactLayer(0, 1, 0, 0, (GZIP_HEADER[:9] + b"\3").hex())).header[9] == 3
    assert header_size(longest[:-1] + b"n\0") is None
    for wrong in (longest + b"x", GZIP_HEADER[:9], GZIP_HEADER):
        with pytest.raises(ContentError, match="gzip header"):
            gzip_recipe(CompactLayer(0, 1, 0, 0, wrong.hex()))


def test_a_layer_is_one_of_the_blobs_and_each_comes_once() -> None:
    inventory, _ = packed({"h.example/app": a_module("1.0.0", "2.0.0")})
    last = len(inventory.blobs) - 1

    def head(*numbers: int) -> compact_format.CompactHead:
        layers = tuple(CompactLayer(number, 1, 0, 0) for number in numbers)
        return compact_format.CompactHead(1, layers, (), ())

    assert len(layout_of(1, head(0, last), inventory).layers) == 2
    for wrong in ((0, last + 1), (last, 0), (0, 0)):
        with pytest.raises(ContentError, match="not in the order"):
            layout_of(1, head(*wrong), inventory)


@pytest.mark.parametrize(
    ("place", "limit"), [(0, "inventory"), (1, "inventory"), (2, "statement"), (3, "signatures")]
)
def test_each_part_of_the_head_has_a_limit(place: int, limit: str) -> None:
    sizes = [1, 1, 1, 1]
    for size, taken in ((40, True), (41, False)):
        sizes[place] = size
        head = compact_format.HEAD_SIZES.pack(*sizes) + bytes(sum(sizes))
        limits = Limits()._replace(**{limit: 40})
        if taken:
            assert len(head_parts(head, limits)[place]) == 40
            continue
        with pytest.raises(ContentError, match="other sizes"):
            head_parts(head, limits)
