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
from typing import TYPE_CHECKING, NamedTuple

import zstandard

from bundler.bundle.bundle_format import COMPACT_LEVEL, COMPACT_MARK, Frame, digest_frame, seek_table
from bundler.bundle.compacted import compact_format
from bundler.bundle.compacted.spaces import ContentSpace, HeaderSpace, LayerRanges
from bundler.bundle.inventory import Inventory, bundle_id, encode
from bundler.bundle.writer import WrittenBundle
from bundler.compact.codecs import GZIP_HEADER, GzipRecipe, Recognition
from bundler.compact.tar_parts import TarCutter
from bundler.limits import MIB, Limits
from bundler.oci import BlobSource, Descriptor, pieces
from bundler.reporting.progress import Step
from bundler.workers import ordered

if TYPE_CHECKING:
    from bundler.trust.statement import SignedStatement

_HEAD_LEVEL, _LARGE_HEAD_LEVEL = 19, 9
"""zstd levels of a head of up to 1 MiB, and of a larger one, whatever the level of the file."""
_GZIP_MAGIC = b"\x1f\x8b"


class CompactedLayer(NamedTuple):
    """The outcome for one blob that is a gzip stream."""

    blob: Descriptor
    recipe: GzipRecipe | None
    """None for one that is carried as it is."""


class WrittenCompact(NamedTuple):
    """A written compact file."""

    bundle: WrittenBundle
    layers: tuple[CompactedLayer, ...]
    """Every gzip stream among its blobs."""


class CompactWriter(AbstractContextManager["CompactWriter"]):
    """Takes the blobs of one bundle apart, then writes the compact file."""

    def __init__(self, folder: Path, limits: Limits, level: int = COMPACT_LEVEL) -> None:
        """Work in `folder`, which has room for all files of all layers, unpacked."""
        self._level = level
        self._headers = HeaderSpace(limits.compact_headers)
        self._content = ContentSpace(folder)
        self._recipes: list[bytes] = []
        self._layers: list[compact_format.CompactLayer] = []
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
            (pieces(carried, compact_format.SECTION_FRAME), compact_format.SECTION_FRAME),
            (pieces(self._recipes, compact_format.SECTION_FRAME), compact_format.SECTION_FRAME),
            (pieces([bytes(self._headers.data)], compact_format.SECTION_FRAME), compact_format.SECTION_FRAME),
            (self._content.groups(), compact_format.GROUP),
        )
        digest, frames, size = hashlib.sha256(), [], 0

        def pass_on(data: bytes) -> None:
            digest.update(data)
            write(data)

        pass_on(COMPACT_MARK)
        head = encode_head(self._head(), encode(inventory), sealed)
        frames.append(Frame(len(head.frame), head.content))
        pass_on(head.frame)
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
        ranges, cutter, size = LayerRanges(self._headers, self._content), TarCutter(), 0
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
        self._layers.append(compact_format.CompactLayer(number, int(codec), size, len(recipe), unusual))

    def _head(self) -> bytes:
        head = compact_format.CompactHead(
            compact_format.COMPACT_FORMAT, tuple(self._layers), len(self._headers.data), self._content.size
        )
        return compact_format.encode_head(head)


class HeadFrame(NamedTuple):
    """The first frame, and the bytes of its content."""

    frame: bytes
    content: int


def encode_head(compact: bytes, inventory: bytes, sealed: SignedStatement | None) -> HeadFrame:
    """Return the head: at one level, so that a signature added later makes the same bytes."""
    signed = [data for _, data in sealed.files()] if sealed else [b"", b""]
    parts = [compact, inventory, *signed]
    content = compact_format.HEAD_SIZES.pack(*map(len, parts)) + b"".join(parts)
    level = _HEAD_LEVEL if len(content) <= MIB else _LARGE_HEAD_LEVEL
    ((size, frame),) = _compressed([content], compact_format.GROUP, level)
    return HeadFrame(frame, size)


def _after(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from chunks


def _compressed(contents: Iterable[bytes], most: int, level: int) -> Iterator[tuple[int, bytes]]:
    """Yield each content's size and frame, in order. One thread makes a frame: the bytes are fixed."""
    local = threading.local()
    # Versions of a file lie far apart, and differ every few lines: long matches are looked for often.
    distant = {"enable_ldm": True, "ldm_min_match": 32, "ldm_hash_rate_log": 3, "ldm_hash_log": 20}
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        window_log=most.bit_length() - 1,
        write_checksum=True,
        write_content_size=True,
        **(distant if most == compact_format.GROUP else {}),
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
