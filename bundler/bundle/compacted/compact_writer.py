"""Writing a compact file: layers taken apart, each file kept once, everything proven before it counts.

A layer becomes a recipe only where a codec made its whole gzip stream again, byte for byte. All others
are carried as they are. The content space grows in a file beside the output, because a night of images
is larger than memory. Of a delta, what its base has is not written: a recipe reads it there, and what
changed is compressed behind its old version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bundler.bundle.bundle_format import COMPACT_LEVEL, COMPACT_MARK, Frame, digest_frame, seek_table
from bundler.bundle.compacted import compact_format
from bundler.bundle.compacted.base_index import BaseIndex, BaseLayers
from bundler.bundle.compacted.compact_format import BaseBlob, CompactGroup, CompactLayer
from bundler.bundle.compacted.compact_frames import compressed, encode_head
from bundler.bundle.compacted.layer_ranges import LayerRanges
from bundler.bundle.compacted.spaces import (
    ContentSpace,
    HeaderSpace,
    PlannedGroup,
    content_groups,
    header_groups,
    plain_groups,
)  # fmt: skip
from bundler.bundle.inventory import Inventory, bundle_id, encode
from bundler.bundle.writer import WrittenBundle
from bundler.compact.codecs import GZIP_HEADER, PRODUCERS, GzipRecipe, Recognition, unknown_producer
from bundler.compact.recipes import Space, SpaceRange, SpaceSizes, decode_recipe, encode_recipe, made_of
from bundler.compact.tar_parts import TarCutter
from bundler.limits import Limits
from bundler.oci import CHUNK, BlobSource, Descriptor, pieces
from bundler.reporting.progress import Step

if TYPE_CHECKING:
    from bundler.trust.statement import SignedStatement

_GZIP_MAGIC = b"\x1f\x8b"


class CompactedLayer(NamedTuple):
    """The outcome for one layer."""

    blob: Descriptor
    recipe: GzipRecipe | None
    """None for one that is carried as it is."""
    producer: str
    """The encoder that compressed it, as far as it is known."""
    fresh: int
    """Bytes of files that no layer before it had."""


class WrittenCompact(NamedTuple):
    """A written compact file."""

    bundle: WrittenBundle
    layers: tuple[CompactedLayer, ...]
    """Every layer among its blobs."""
    content: Frame
    """The sizes of the content space: compressed, and as it is."""


class _Layer(NamedTuple):
    """A layer with its recipe, which reads the base space as the exporter built it."""

    number: int
    gzip: GzipRecipe
    size: int
    recipe: bytes


class _Plan(NamedTuple):
    """All that the head says, and the recipes in file order."""

    layers: list[CompactLayer]
    recipes: list[bytes]
    headers: list[PlannedGroup]
    content: list[PlannedGroup]
    base: tuple[BaseBlob, ...]


class CompactWriter(AbstractContextManager["CompactWriter"]):
    """A writer that takes the blobs of one bundle apart, then writes the compact file."""

    def __init__(
        self, folder: Path, limits: Limits, level: int = COMPACT_LEVEL, base: BaseLayers | None = None
    ) -> None:
        """Work in `folder`, which has room for all files of all layers, and of `base`, unpacked."""
        self._level = level
        self._limits = limits
        self._headers = HeaderSpace(limits.compact_headers)
        self._content = ContentSpace(folder)
        self._base = BaseIndex(folder, base) if base and base.candidates else None
        self._layers: list[_Layer] = []
        self._seen: list[CompactedLayer] = []

    def __exit__(self, *exception: object) -> None:
        self._content.close()
        if self._base:
            self._base.content.close()

    def write(
        self,
        write: Callable[[bytes], object],
        inventory: Inventory,
        source: BlobSource,
        step: Step,
        signed_statement: SignedStatement | None = None,
    ) -> WrittenCompact:
        """Write the compact file of a bundle by calls of `write`, in order, without ever seeking.

        Raises: what `source` raises for a blob that it does not have whole.
        """
        for number, blob in enumerate(inventory.blobs):
            self._take_apart(number, blob, source)
            step.advance(items=1, size=blob.size)
        digest, frames = hashlib.sha256(), []

        def pass_on(data: bytes) -> None:
            digest.update(data)
            write(data)

        pass_on(COMPACT_MARK)
        plan = self._planned()
        # What knows each file by its digest takes as much memory as the compression.
        for part in (self._headers, self._content, self._base):
            if part:
                part.finish()
        for content_size, frame in self._frames(plan, inventory, source, signed_statement):
            frames.append(Frame(len(frame), content_size))
            pass_on(frame)
        end = digest_frame(digest.digest()) + seek_table(frames)
        pass_on(end)
        size = len(COMPACT_MARK) + sum(frame.compressed for frame in frames) + len(end)
        written = WrittenBundle(bundle_id(encode(inventory)), digest.hexdigest(), size)
        content = frames[len(frames) - len(plan.content) :]
        sums = Frame(sum(frame.compressed for frame in content), sum(frame.content for frame in content))
        return WrittenCompact(written, tuple(self._seen), sums)

    # --- taking apart ----------------------------------------------------------------------------

    def _take_apart(self, number: int, blob: Descriptor, source: BlobSource) -> None:
        """Make a recipe of a layer, if a codec makes all of it again; note what came of it."""
        chunks = source.chunks(blob)
        first = next(chunks, b"")
        before, producer = self._content.size, unknown_producer(first)
        if first.startswith(_GZIP_MAGIC) and (gzip := self._recipe_of(number, blob, _after(first, chunks))):
            fresh = self._content.size - before
            self._seen.append(CompactedLayer(blob, gzip, PRODUCERS[gzip.codec], fresh))
        elif producer:
            self._seen.append(CompactedLayer(blob, None, producer, 0))

    def _recipe_of(self, number: int, blob: Descriptor, chunks: Iterator[bytes]) -> GzipRecipe | None:
        before = (len(self._headers.data), self._content.size)
        recognition = Recognition(chunks)
        ranges = LayerRanges(self._headers, self._content, self._base)
        if self._base:
            ranges.compare_with(self._base.layers_for(blob.digest))
        cutter, digest, size = TarCutter(), hashlib.sha256(), 0
        for content in recognition.content():
            ranges.take(cutter.feed(content))
            digest.update(content)
            size += len(content)
        ranges.take(cutter.end())
        ranges.end()
        recipe = encode_recipe(ranges.collected.ranges)
        gzip = recognition.recipe if self._makes(recipe, size, digest.digest()) else None
        if gzip is None:
            self._headers.forget(before[0])
            self._content.forget(before[1])
            return None
        self._headers.settle()
        self._content.settle()
        self._layers.append(_Layer(number, gzip, size, recipe))
        return gzip

    def _makes(self, recipe: bytes, size: int, digest: bytes) -> bool:
        """Return True for a recipe that a reader takes; if it reads the base, after it was carried out."""
        if len(recipe) > self._limits.compact_recipe:
            return False
        if self._base is None:
            return True
        made = hashlib.sha256()
        for data in made_of(decode_recipe(recipe, self._spaces(), size), self._range):
            made.update(data)
        return made.digest() == digest

    def _range(self, piece: SpaceRange) -> Iterator[bytes]:
        end = piece.offset + piece.size
        for start in range(piece.offset, end, CHUNK):
            yield self._bytes(piece.space, start, min(CHUNK, end - start))

    def _spaces(self) -> SpaceSizes:
        base = self._base.content.size if self._base else 0
        return SpaceSizes(len(self._headers.data), self._content.size, base)

    def _bytes(self, space: Space, offset: int, size: int) -> bytes:
        if space is Space.HEADERS:
            return bytes(self._headers.data[offset : offset + size])
        if space is Space.CONTENT:
            return self._content.read(offset, size)
        if space is Space.BASE and self._base:
            return self._base.content.read(offset, size)
        return bytes(size)

    # --- writing ---------------------------------------------------------------------------------

    def _planned(self) -> _Plan:
        if self._base:
            headers = list(header_groups(self._headers.kept, len(self._headers.data)))
            content = list(content_groups(self._content.kept))
        else:
            headers = list(plain_groups(len(self._headers.data), compact_format.SECTION_FRAME))
            content = list(plain_groups(self._content.size, compact_format.GROUP))
        layers = [layer.recipe for layer in self._layers]
        prefixes = [
            encode_recipe(SpaceRange(Space.BASE, *place) for place in group.prefix)
            for group in (*headers, *content)
        ]
        base: tuple[BaseBlob, ...] = ()
        if self._base:
            layers, prefixes, base = self._base.only_used(layers, prefixes, self._spaces())
        described = [
            CompactLayer(
                layer.number,
                int(layer.gzip.codec),
                layer.size,
                len(recipe),
                None if layer.gzip.header == GZIP_HEADER else layer.gzip.header.hex(),
            )
            for layer, recipe in zip(self._layers, layers, strict=True)
        ]
        return _Plan(described, [*layers, *prefixes], headers, content, base)

    def _frames(
        self, plan: _Plan, inventory: Inventory, source: BlobSource, signed_statement: SignedStatement | None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield the content size and the bytes of each frame, in file order."""
        from bundler.bundle.compacted.prefix_frames import compressed_behind

        most = compact_format.SECTION_FRAME
        made = {layer.number for layer in self._layers}
        whole = (blob for number, blob in enumerate(inventory.blobs) if number not in made)
        head = encode_head(self._head(plan), encoded := encode(inventory), signed_statement)
        yield head.content, head.frame
        behind = compressed_behind(compact_format.inventory_prefix(encoded))
        for manifests in pieces(_content(inventory.manifests, source), most):
            yield len(manifests), behind(manifests, self._level)
        yield from compressed(pieces(_content(whole, source), most), most, self._level)
        yield from compressed(pieces(plan.recipes, most), most, self._level)
        yield from self._grouped(plan.headers, Space.HEADERS, most)
        self._headers.data.clear()
        yield from self._grouped(plan.content, Space.CONTENT, compact_format.GROUP)

    def _grouped(
        self, groups: Iterable[PlannedGroup], space: Space, most: int
    ) -> Iterator[tuple[int, bytes]]:
        for prefixed, run in groupby(groups, key=lambda group: bool(group.prefix)):
            if not prefixed:
                contents = (self._bytes(space, group.start, group.size) for group in run)
                yield from compressed(contents, most, self._level)
                continue
            for group in run:
                # One at a time: content and prefix of each may take a quarter of a gigabyte.
                from bundler.bundle.compacted.prefix_frames import compressed_behind

                behind = compressed_behind(self._prefix(group))
                yield group.size, behind(self._bytes(space, group.start, group.size), self._level)

    def _prefix(self, group: PlannedGroup) -> bytes:
        if len(group.prefix) == 1:
            return self._bytes(Space.BASE, *group.prefix[0])
        return b"".join(self._bytes(Space.BASE, *place) for place in group.prefix)

    def _head(self, plan: _Plan) -> bytes:
        recipes = iter(plan.recipes[len(plan.layers) :])
        headers, content = (
            tuple(CompactGroup(group.size, group.prefix_size, len(next(recipes))) for group in groups)
            for groups in (plan.headers, plan.content)
        )
        head = compact_format.CompactHead(
            compact_format.COMPACT_FORMAT, tuple(plan.layers), headers, content, plan.base
        )
        return compact_format.encode_head(head)


def _after(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from chunks


def _content(blobs: Iterable[Descriptor], source: BlobSource) -> Iterator[bytes]:
    return (chunk for blob in blobs for chunk in source.chunks(blob))
