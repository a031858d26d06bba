"""Layers as ranges: the content again, byte for byte, and headers without the sizes of their files."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from tempfile import gettempdir

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bundler.bundle.compacted.base_index import BaseIndex, BaseLayers
from bundler.bundle.compacted.compact_writer import CompactWriter
from bundler.bundle.compacted.layer_ranges import LayerRanges
from bundler.bundle.compacted.spaces import ContentSpace, HeaderSpace
from bundler.bundle.inventory import Required
from bundler.compact.recipes import Space, SpaceRange, TarEntry, encode_recipe, made_of
from bundler.compact.tar_parts import TarCutter
from bundler.limits import Limits
from bundler.oci import RepositoryName, sha256
from bundler.reporting.progress import SILENCE
from tests.builders import TIMONI_LAYER, Content, MemoryStore, descriptor_of, packed
from tests.compact.layers import real_module

FOLDER = Path(gettempdir())
NEW = sha256(b"the new layer")


class Spaces:
    """Both spaces, and what layers are made of in them."""

    def __init__(self, room: int = 1 << 20, base: BaseIndex | None = None) -> None:
        self.headers, self.content, self.base = HeaderSpace(room), ContentSpace(FOLDER), base

    def __enter__(self) -> Spaces:
        return self

    def __exit__(self, *exception: object) -> None:
        self.content.close()

    def take(self, data: bytes, piece: int = 1 << 16) -> LayerRanges:
        """Take a layer that comes in pieces."""
        layer, cutter = LayerRanges(self.headers, self.content, self.base), TarCutter()
        layer.compare_with(self.base.layers_for(NEW) if self.base else [])
        for start in range(0, len(data), piece):
            layer.take(cutter.feed(data[start : start + piece]))
        layer.take(cutter.end())
        layer.end()
        return layer

    def made(self, layer: LayerRanges) -> bytes:
        """Make a layer again."""
        return b"".join(made_of(layer.collected.ranges, self._read))

    def _read(self, piece: SpaceRange) -> Iterable[bytes]:
        if piece.space is Space.HEADERS:
            return [bytes(self.headers.data[piece.offset : piece.offset + piece.size])]
        if piece.space is Space.BASE:
            assert self.base
            return self.base.content.chunks(piece.offset, piece.size)
        return [self.content.read(piece.offset, piece.size)]


def a_tar(files: dict[str, bytes], kind: int = tarfile.USTAR_FORMAT, time: int = 0) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), time
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def damaged(data: bytes, places: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for place, value in places:
        changed[place % len(changed)] = value
    return bytes(changed)


FILES = some.dictionaries(
    some.text("abc/", min_size=1, max_size=200), some.binary(max_size=1_500), min_size=1, max_size=5
)
KINDS = some.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])


@given(
    FILES,
    KINDS,
    some.integers(1, 5_000),
    some.lists(some.tuples(some.integers(0, 20_000), some.integers(0, 255)), max_size=3),
    some.integers(0, 20_000),
    some.sampled_from([0, 600, 1 << 20]),
)
def test_any_tar_is_made_again(
    files: dict[str, bytes],
    kind: int,
    piece: int,
    changes: list[tuple[int, int]],
    length: int,
    room: int,
) -> None:
    data = damaged(a_tar(files, kind), changes)[: length or None]
    with Spaces(room) as spaces:
        assert spaces.made(spaces.take(data, piece)) == data


def test_versions_of_a_file_share_one_header() -> None:
    with Spaces() as spaces:
        layers = [a_tar({"a.cue": b"x" * size, "b.cue": b"same"}) for size in (1, 511, 512, 513, 9_000)]
        taken = [spaces.take(data) for data in layers]
        assert [spaces.made(layer) for layer in taken] == layers
        assert len(spaces.headers.data) == 2 * 512
        kinds = {type(piece) for layer in taken for piece in layer.collected.ranges[:-1]}
    assert kinds == {TarEntry}


@pytest.mark.parametrize(
    ("place", "value"),
    [(124, b"1"), (135, b" "), (148, b" "), (155, b"\0"), (512 + 4, b"x"), (512 + 511, b"x")],
)
def test_what_an_entry_can_not_say_is_kept(place: int, value: bytes) -> None:
    """Fields that are spelled otherwise, and padding that is not zeros."""
    data = a_tar({"a.cue": b"data", "b.cue": b"more"})
    data = data[:place] + value + data[place + 1 :]
    with Spaces() as spaces:
        layer = spaces.take(data)
        assert spaces.made(layer) == data
        assert not isinstance(layer.collected.ranges[0], TarEntry)


def test_new_times_cost_no_files() -> None:
    files = {f"{number}.py": b"%d" % number * 700 for number in range(9)}
    content = Content()
    layer = gzip.compress(a_tar(files))
    content.add_blob(layer, TIMONI_LAYER)
    old = descriptor_of(layer, TIMONI_LAYER)
    blob = Required(old.media_type, old.digest, old.size, RepositoryName("h.example/app"))
    base = BaseIndex(FOLDER, BaseLayers({NEW: [blob]}, MemoryStore(content)))
    data = a_tar(files, time=1_700_000_000)
    with Spaces(base=base) as spaces:
        taken = spaces.take(data)
        assert spaces.made(taken) == data
        assert [type(piece) for piece in taken.collected.ranges[:-1]] == [TarEntry] * 9
        assert spaces.content.size == 0
        assert len(encode_recipe(taken.collected.ranges)) < 9 * 6
    base.content.close()


def test_no_file_is_remembered_while_frames_are_made(tmp_path: Path) -> None:
    """A hundred thousand files by digest are as large as what compresses them."""
    inventory, store = packed({"h.example/module": real_module(2)})
    remembered = []
    with CompactWriter(tmp_path, Limits()) as writer:

        def write(_: bytes) -> None:
            remembered.append(len(writer._headers.kept) + len(writer._content.kept))

        with SILENCE.step("packing", 0, 0) as step:
            writer.write(write, inventory, store, step)
        assert remembered[0] > 20
        assert set(remembered[1:]) == {0}
        assert writer._headers.data == b""
