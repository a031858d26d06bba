"""What reads compact bundles: whole files, pipes, recipes, and what stands in frames that are all right."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from bundler.bundle import bundle_format as layout
from bundler.bundle.compacted.compact_copy import received
from bundler.bundle.compacted.compact_format import GROUP, SECTION_FRAME, decode_head
from bundler.bundle.compacted.compact_frames import compressed
from bundler.bundle.compacted.compact_reader import CompactFile
from bundler.bundle.compacted.prefix_frames import compressed_behind
from bundler.bundle.inventory_reader import decode
from bundler.bundle.reader import open_bundle
from bundler.compact.recipes import SpaceSizes, decode_recipe
from bundler.errors import BundlerError
from bundler.exporter.output.convert import convert_bundle
from bundler.limits import DEFAULT_LIMITS, MIB
from bundler.session import Session
from bundler.verify import verify_bundle
from tests.builders import a_bundle, a_module
from tests.compact.layers import real_module

LIMITS = DEFAULT_LIMITS._replace(compact_headers=MIB)
BREAK = b"\n--8<--\n"
"""Between the parts of an input that has several."""


def compact_file(data: bytes) -> None:
    """As a file, by its seek table."""
    with file_of(layout.COMPACT_MARK + data) as path, open_bundle(path, LIMITS) as bundle:
        verify_bundle(bundle, Session(limits=LIMITS))


def compact_pipe(data: bytes) -> None:
    """As a pipe, into a file without a name."""
    folder = Path(tempfile.gettempdir())
    with received(io.BytesIO(layout.COMPACT_MARK + data), folder, LIMITS) as bundle:
        verify_bundle(bundle, Session(limits=LIMITS))


def compact_parts(data: bytes) -> None:
    """Behind zstd: any bytes as documents, recipes and spaces, in frames that are all right."""
    given = data.split(BREAK)
    parts = [given[number] if number < len(given) else own for number, own in enumerate(_parts())]
    compact_file(_assembled(*parts[:6])[len(layout.COMPACT_MARK) :])


def recipe(data: bytes) -> None:
    """A recipe alone: what it lets through lies inside its spaces, and is not a byte more than declared."""
    sizes, total = SpaceSizes(1_000, 100_000, 5_000), 60_000
    made = 0
    for piece in decode_recipe(data, sizes, total):
        made += piece.total
        assert piece.total > 0
        assert made <= total
        for space, offset, size in piece.sources:
            assert 0 <= offset < offset + size <= sizes[space]
    assert made == total


def _assembled(
    compact: bytes, inventory: bytes, carried: bytes, recipes: bytes, headers: bytes, content: bytes
) -> bytes:
    """A compact file of these parts; sections are cut as its head says, if it can be read."""
    cuts, manifests = [[len(headers)], [len(content)]], 0
    try:
        head = decode_head(compact, LIMITS)
        cuts = [[group.size for group in groups] for groups in (head.headers, head.content)]
        manifests = sum(blob.size for blob in decode(inventory, limits=LIMITS).manifests)
    except BundlerError:
        pass
    sizes = b"".join(len(part).to_bytes(4, "little") for part in (compact, inventory, b"", b""))
    contents = [sizes + compact + inventory, carried[manifests:][:SECTION_FRAME], recipes[:SECTION_FRAME]]
    for space, lengths in zip((headers, content), cuts, strict=True):
        for length in lengths[:50]:
            contents.append(space[:length])
            space = space[length:]  # noqa: PLW2901
    frames = [*compressed([part for part in contents if part], GROUP, 1)]
    if first := carried[:manifests][:SECTION_FRAME]:
        frames.insert(1, (len(first), compressed_behind(inventory.ljust(8))(first, 1)))
    body = layout.COMPACT_MARK + b"".join(frame for _, frame in frames)
    table = layout.seek_table(layout.Frame(len(frame), size) for size, frame in frames)
    return body + layout.digest_frame(hashlib.sha256(body).digest()) + table


@cache
def _whole() -> bytes:
    contents = {"h.example/module": real_module(2), "h.example/app": a_module("1.0.0", size=100)}
    with tempfile.TemporaryDirectory() as folder:
        portable, out = a_bundle(Path(folder) / "b.tar.zst", contents), Path(folder) / "b.compact.zst"
        with open_bundle(portable) as bundle:
            convert_bundle("compact", bundle, out, Session(), compact=3)
        return out.read_bytes()


@cache
def _parts() -> list[bytes]:
    with file_of(_whole()) as path, open_bundle(path) as bundle:
        assert isinstance(bundle, CompactFile)
        parts = bundle.head_parts()
        sizes = [section.size for section in bundle._layout.sections]
        sections = [b"".join(bundle._section(number, 0, size)) for number, size in enumerate(sizes)]
    return [parts.compact, parts.inventory, *sections]


def whole_files() -> list[bytes]:
    """Inputs to begin with: a whole file behind its mark, and its parts put together again."""
    again = _assembled(*_parts())
    return [_whole()[len(layout.COMPACT_MARK) :], again[len(layout.COMPACT_MARK) :]]


def parts() -> list[bytes]:
    """The parts of a whole file."""
    return [BREAK.join(_parts())]


def recipes() -> list[bytes]:
    """Recipes of one range, and of several."""
    return [_parts()[3], bytes([0x81, 0x80, 0x0F, 0])]


@contextmanager
def file_of(data: bytes) -> Iterator[Path]:
    """A file in memory with these bytes."""
    descriptor = os.memfd_create("bundle")
    try:
        os.write(descriptor, data)
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
