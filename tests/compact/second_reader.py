"""A second reader of compact format 1, made from docs/compact-bundles.md alone, with nothing of the package.

It takes a file, what makes the DEFLATE stream of a codec, and the gzip blobs of the base by digest; it
returns every blob by digest. It is simple: all spaces are in memory.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from zstandard import ZstdDecompressor

MARK = b"\x52\x2a\x4d\x18" + struct.pack("<I", 30) + b"timoni-bundler compact bundle\n"
FRAME = 8 << 20
HEADERS, CONTENT, BASE, ZEROS, ENTRY, ENTRY_OF_BASE = range(6)
USUAL = "1f8b08000000000000ff"

Behind = Callable[[bytes, bytes], bytes]
"""Unpacks a frame that was compressed behind a prefix."""


class _Frames:
    """The frames of a file, one after the other, as its seek table lists them."""

    def __init__(self, data: bytes, behind: Behind) -> None:
        count, _, magic = struct.unpack("<IBI", data[-9:])
        assert magic == 0x8F92EAB1
        table = data[-9 - 8 * count - 8 :]
        assert table[:8] == struct.pack("<II", 0x184D2A5E, 8 * count + 9)
        end = len(data) - len(table) - 40
        assert data[end : end + 8] == struct.pack("<II", 0x184D2A51, 32)
        assert data[end + 8 : end + 40] == hashlib.sha256(data[:end]).digest()
        self._left = [struct.unpack_from("<II", table, 8 + 8 * number) for number in range(count)]
        self._data, self._at, self._end, self._behind = data, len(MARK), end, behind

    def next(self, size: int | None, prefix: bytes = b"") -> bytes:
        """Return the content of the next frame, which has a size."""
        compressed, content = self._left.pop(0)
        frame = self._data[self._at : self._at + compressed]
        self._at += compressed
        assert size in (None, content)
        if prefix:
            made = self._behind(prefix, frame)
        else:
            made = ZstdDecompressor().decompress(frame, max_output_size=content)
        assert len(made) == content
        return made

    def section(self, size: int, prefix: bytes = b"") -> bytes:
        """Return the content of frames of 8 MiB, the last one shorter."""
        return b"".join(self.next(min(FRAME, size - start), prefix) for start in range(0, size, FRAME))

    def finish(self) -> None:
        """Fail unless this was all."""
        assert (self._left, self._at) == ([], self._end)


def numbers(recipe: bytes) -> Iterator[int]:
    """Yield the numbers of a recipe."""
    value = shift = 0
    for byte in recipe:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield value
            value = shift = 0


def carried_out(recipe: bytes, spaces: Mapping[int, bytes], size: int) -> bytes:
    """Return the content that a recipe describes."""
    made, ends, left = b"", [0, 0, 0], numbers(recipe)

    def piece(space: int, length: int) -> bytes:
        step = next(left)
        start = ends[space] + (step // 2 if step % 2 == 0 else -(step + 1) // 2)
        ends[space] = start + length
        return spaces[space][start : start + length]

    for number in left:
        length, kind = number // 8, number % 8
        if kind == ZEROS:
            made += bytes(length)
        elif kind < ZEROS:
            made += piece(kind, length)
        else:
            made += with_fields(piece(HEADERS, 512), length)
            space = BASE if kind == ENTRY_OF_BASE else CONTENT
            made += piece(space, length) if length else b""
            made += bytes(-length % 512)
            if kind == ENTRY_OF_BASE:
                ends[BASE] += -length % 512
    assert len(made) == size
    return made


def with_fields(header: bytes, size: int) -> bytes:
    """Return a header with the size of its file and the sum of all its bytes."""
    header = header[:124] + b"%011o\0" % size + header[136:148] + b" " * 8 + header[156:]
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def all_blobs(
    data: bytes, deflate: Callable[[int, bytes], bytes], behind: Behind, base: Mapping[str, bytes]
) -> dict[str, bytes]:
    """Return every blob of a compact file by its digest."""
    assert data.startswith(MARK)
    frames = _Frames(data, behind)
    head = frames.next(None)
    ends = [16]
    for size in struct.unpack("<IIII", head[:16]):
        ends.append(ends[-1] + size)
    described, inventory = (json.loads(head[start:end]) for start, end in [*pairwise(ends)][:2])
    assert ends[-1] == len(head)
    assert described["compact"] == 1
    made = {inventory["blobs"][layer["blob"]]["digest"]: layer for layer in described["layers"]}
    listed = [*inventory["manifests"], *inventory["blobs"]]
    blobs = _carried(inventory["manifests"], frames, head[ends[1] : ends[2]][-FRAME:])
    blobs |= _carried([blob for blob in inventory["blobs"] if blob["digest"] not in made], frames)
    groups = [*described["headers"], *described["content"]]
    recipes = _cut(
        frames, [*(layer["recipe"] for layer in made.values()), *(_recipe(group) for group in groups)]
    )
    opened = {blob["digest"]: gzip.decompress(base[blob["digest"]]) for blob in described.get("base", ())}
    assert [len(content) for content in opened.values()] == [
        blob["content"] for blob in described.get("base", ())
    ]
    spaces = {2: b"".join(opened.values())}
    prefixes = iter(recipes[len(made) :])
    for space, name in enumerate(("headers", "content")):
        spaces[space] = b"".join(
            frames.next(group["size"], carried_out(next(prefixes), spaces, group.get("prefix", 0)))
            for group in described[name]
        )
    frames.finish()
    for (digest, layer), recipe in zip(made.items(), recipes, strict=False):
        content = carried_out(recipe, spaces, layer["content"])
        end = struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)
        blobs[digest] = bytes.fromhex(layer.get("header", USUAL)) + deflate(layer["codec"], content) + end
    for blob in listed:
        assert blob["digest"] == f"sha256:{hashlib.sha256(blobs[blob['digest']]).hexdigest()}"
    return blobs


def _recipe(group: Mapping[str, Any]) -> int:
    return int(group.get("recipe", 0))


def _carried(listed: list[Any], frames: _Frames, prefix: bytes = b"") -> dict[str, bytes]:
    parts = _cut(frames, [blob["size"] for blob in listed], prefix)
    return {blob["digest"]: part for blob, part in zip(listed, parts, strict=True)}


def _cut(frames: _Frames, sizes: Iterable[int], prefix: bytes = b"") -> list[bytes]:
    """Return the parts of the next section."""
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + size)
    data = frames.section(ends[-1], prefix)
    return [data[start:end] for start, end in pairwise(ends)]
