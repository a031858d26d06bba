"""Writing a compact file: layers taken apart, each file kept once, everything proven before it counts.

A layer becomes a recipe only where a codec made its whole gzip stream again, byte for byte. All others
are carried as they are. The content space grows in a file beside the output, because a night of images
is larger than memory.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import zstandard

from bundler.bundle.compacted.compact_format import (
    COMPACT_FORMAT,
    GROUP,
    HEAD_SIZES,
    SECTION_FRAME,
    CompactHead,
    CompactLayer,
    encode_head,
)
from bundler.bundle.format import COMPACT_LEVEL, COMPACT_MARK, Frame, digest_frame, seek_table
from bundler.bundle.inventory import Inventory, bundle_id, encode
from bundler.bundle.writer import WrittenBundle
from bundler.compact.codecs import GZIP_HEADER, GzipRecipe, Recognition
from bundler.compact.recipes import RangeList, Space, encode_recipe
from bundler.compact.tar_parts import Part, TarChunk, TarCutter
from bundler.durable import local_errors
from bundler.limits import Limits
from bundler.oci.content import BlobSource, Descriptor
from bundler.reporting.progress import Step
from bundler.workers import ordered

if TYPE_CHECKING:
    from bundler.trust.statement import SignedStatement

_GZIP_MAGIC = b"\x1f\x8b"


class CompactedLayer(NamedTuple):
    """What became of one blob that is a gzip stream."""

    blob: Descriptor
    recipe: GzipRecipe | None
    """None for one that is carried as it is."""


class WrittenCompact(NamedTuple):
    """A written compact file."""

    bundle: WrittenBundle
    layers: tuple[CompactedLayer, ...]
    """Every gzip stream among its blobs."""


class _ContentSpace:
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


class _HeaderSpace:
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


class _LayerRanges:
    """The ranges of one layer, found while its content passes."""

    def __init__(self, headers: _HeaderSpace, content: _ContentSpace) -> None:
        self._headers = headers
        self._content = content
        self._list = RangeList()
        self._start = content.size
        self._digest = hashlib.sha256()

    def take(self, parts: Iterable[TarChunk]) -> None:
        """Take the next parts of the content."""
        for part, data, last in parts:
            if part is Part.FILE:
                self._file(data, last=last)
            elif part is Part.HEADER and (offset := self._headers.keep(data)) is not None:
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


class CompactWriter(AbstractContextManager["CompactWriter"]):
    """Takes the blobs of one bundle apart, then writes the compact file."""

    def __init__(self, folder: Path, limits: Limits, level: int = COMPACT_LEVEL) -> None:
        """Work in `folder`, which has room for all files of all layers, unpacked."""
        self._level = level
        self._headers = _HeaderSpace(limits.compact_headers)
        self._content = _ContentSpace(folder)
        self._recipes: list[bytes] = []
        self._layers: list[CompactLayer] = []
        self._seen: list[CompactedLayer] = []

    def __exit__(self, *exception: object) -> None:
        self._content.close()

    def write(
        self,
        write: Callable[[bytes], object],
        inventory: Inventory,
        source: BlobSource,
        step: Step,
        sealed: SignedStatement | None = None,
    ) -> WrittenCompact:
        """Write the compact file of a bundle by calls of `write`, in order, without ever seeking.

        Raises: what `source` raises for a blob that it does not have whole.
        """
        for number, blob in enumerate(inventory.blobs):
            self._take_apart(number, blob, source)
            step.advance(items=1, size=blob.size)
        made = {layer.blob for layer in self._layers}
        left = [blob for number, blob in enumerate(inventory.blobs) if number not in made]
        carried = (chunk for blob in (*inventory.manifests, *left) for chunk in source.chunks(blob))
        sections = (
            ([self._head(inventory, sealed)], SECTION_FRAME),
            (_cut(carried, SECTION_FRAME), SECTION_FRAME),
            (_cut(self._recipes, SECTION_FRAME), SECTION_FRAME),
            (_cut([bytes(self._headers.data)], SECTION_FRAME), SECTION_FRAME),
            (self._content.groups(), GROUP),
        )
        digest, frames, size = hashlib.sha256(), [], 0

        def pass_on(data: bytes) -> None:
            digest.update(data)
            write(data)

        pass_on(COMPACT_MARK)
        for contents, most in sections:
            for content_size, frame in _compressed(contents, most, self._level):
                frames.append(Frame(len(frame), content_size))
                pass_on(frame)
        end = digest_frame(digest.digest()) + seek_table(frames)
        pass_on(end)
        size = len(COMPACT_MARK) + sum(frame.compressed for frame in frames) + len(end)
        written = WrittenBundle(bundle_id(encode(inventory)), digest.hexdigest(), size)
        return WrittenCompact(written, tuple(self._seen))

    def _take_apart(self, number: int, blob: Descriptor, source: BlobSource) -> None:
        """Make a recipe of a layer, if a codec makes all of it again."""
        chunks = source.chunks(blob)
        first = next(chunks, b"")
        if not first.startswith(_GZIP_MAGIC):
            return
        before = (len(self._headers.data), self._content.size)
        recognition = Recognition(_after(first, chunks))
        ranges, cutter, size = _LayerRanges(self._headers, self._content), TarCutter(), 0
        for content in recognition.content():
            ranges.take(cutter.feed(content))
            size += len(content)
        ranges.take(cutter.end())
        self._seen.append(CompactedLayer(blob, recognition.recipe))
        if recognition.recipe is None:
            self._headers.forget(before[0])
            self._content.forget(before[1])
            return
        self._headers.settle()
        self._content.settle()
        codec, header = recognition.recipe
        recipe = ranges.recipe
        self._recipes.append(recipe)
        unusual = None if header == GZIP_HEADER else header.hex()
        self._layers.append(CompactLayer(number, int(codec), size, len(recipe), unusual))

    def _head(self, inventory: Inventory, sealed: SignedStatement | None) -> bytes:
        head = CompactHead(COMPACT_FORMAT, tuple(self._layers), len(self._headers.data), self._content.size)
        signed = [data for _, data in sealed.files()] if sealed else [b"", b""]
        parts = [encode_head(head), encode(inventory), *signed]
        return HEAD_SIZES.pack(*map(len, parts)) + b"".join(parts)


def _after(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from chunks


def _cut(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield bytes in pieces of exactly `size`, the last one shorter."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= size:
            yield bytes(waiting[:size])
            del waiting[:size]
    if waiting:
        yield bytes(waiting)


def _compressed(contents: Iterable[bytes], most: int, level: int) -> Iterator[tuple[int, bytes]]:
    """Yield each content's size and frame, in order. One thread makes a frame: the bytes are fixed."""
    local = threading.local()
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        window_log=most.bit_length() - 1,
        enable_ldm=most == GROUP,
        write_checksum=True,
        write_content_size=True,
    )

    def compress(content: bytes) -> tuple[int, bytes]:
        if not hasattr(local, "compressor"):
            local.compressor = zstandard.ZstdCompressor(compression_params=parameters)
        compressor: zstandard.ZstdCompressor = local.compressor
        return len(content), compressor.compress(content)

    return ordered(contents, compress, threads=min(os.cpu_count() or 1, 2))


def write_compact(
    write: Callable[[bytes], object],
    inventory: Inventory,
    source: BlobSource,
    step: Step,
    sealed: SignedStatement | None = None,
    *,
    folder: Path,
    limits: Limits,
    level: int = COMPACT_LEVEL,
) -> WrittenBundle:
    """Write a bundle in its compact form, as `write_bundle` writes the portable one.

    `folder` has room for the files of all layers, unpacked, each once.
    """
    with CompactWriter(folder, limits, level) as writer:
        return writer.write(write, inventory, source, step, sealed).bundle
