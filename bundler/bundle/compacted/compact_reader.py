"""A compact file opened for reading any blob: layers are made again as they are asked for.

A compact delta reads its base, which `take_base` gives it. Without, everything can be checked but the
layers that need it.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import accumulate, pairwise
from pathlib import Path

import zstandard

from bundler.bundle import bundle_format
from bundler.bundle.compacted import compact_format
from bundler.bundle.compacted.base_content import (
    BaseContent,
    BaseRead,
    ByteRange,
    UnpackedFrames,
    base_reads,
    joined_within,
    temporary_folder,
)  # fmt: skip
from bundler.bundle.compacted.compact_frames import proven_whole, raw_bytes, seek_table_in
from bundler.bundle.compacted.compact_head import HeadParts, OpenedHead, head_parts
from bundler.bundle.stream import StatementCheck
from bundler.bundle.unpacked import absent
from bundler.bundle.wire import FrameCache, LayerCache, unpacked
from bundler.compact.codecs import gzip_again
from bundler.compact.recipes import Space, SpaceRange, SpaceSizes, decode_recipe, made_of
from bundler.errors import ContentError, NotFoundError, errors_of
from bundler.folders import check_disk
from bundler.limits import MIB, Limits
from bundler.oci import CHUNK, BlobSource, Descriptor, Digest, verified
from bundler.volumes.volume_reader import BundleBytes, PiecedBundle
from bundler.workers import ordered

_FRAMES_KEPT = 2 * compact_format.GROUP
"""Bytes of unpacked frames in memory, however many bundles share them; of more, files go into a file."""
_CORES = 4
"""Layers that are proven at a time, at most."""
_LAYERS_KEPT = 32 * MIB
"""Bytes of layers that are kept: an import reads each of them twice, a registry as often as it is asked."""


class CompactFile(PiecedBundle):
    """A bundle in its compact form. A Bundle; it has the id, inventory and signatures of the same content."""

    is_compact = True

    def __init__(
        self,
        path: Path,
        pieces: BundleBytes,
        limits: Limits,
        verifier: StatementCheck | None = None,
        frames: FrameCache | None = None,
    ) -> None:
        super().__init__(path, pieces, limits)
        self._cache = frames or FrameCache()
        self._cache.allow(_FRAMES_KEPT)
        self._layers = LayerCache(_LAYERS_KEPT)
        self._recipe_cache = FrameCache(compact_format.SECTION_FRAME)
        self._base: BaseContent | None = None
        self._needed: list[BaseRead] | None = None
        self._files: UnpackedFrames | None = None
        try:
            self._open(verifier)
        except BaseException:
            pieces.close()
            raise

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        for content in (self._files, self._base):
            if content:
                content.close()

    @property
    def header_bytes(self) -> int:
        """Return the bytes of the distinct tar headers of all layers."""
        return self._spaces.headers

    # --- the base --------------------------------------------------------------------------------

    @property
    def needing_base(self) -> tuple[Descriptor, ...]:
        """Return the layers that can't be made without the base; none once it is there."""
        if self._base or not self._head.base:
            return ()
        return tuple(
            blob
            for blob in self.inventory.blobs
            if blob.digest in self._layout.layers and self._reads_base(*self._layout.layers[blob.digest])
        )

    def base_blobs(self) -> tuple[compact_format.BaseBlob, ...]:
        """Return the base blobs that recipes read and that are still to be given. Raises ContentError."""
        return () if self._base else tuple(blob for blob, _, _ in self._reads())

    def base_need(self) -> tuple[Path, int]:
        """Return the folder and the bytes of disk that the base takes, and files that are unpacked there."""
        ranges = (piece for _, _, pieces in self._reads() for piece in pieces)
        unpacked_files = self._files.size if self._files else 0
        return temporary_folder(), sum(end - start for start, end in ranges) + unpacked_files

    def take_base(self, sources: Mapping[Digest, BlobSource]) -> Iterator[compact_format.BaseBlob]:
        """Read the base blobs, keep what recipes read of them, and yield each that was taken.

        Raises: IntegrityError or ContentError for a blob that is not what the bundle says.
        """
        content = BaseContent()
        try:
            for blob, start, ranges in self._reads():
                with errors_of(f"base blob {blob.digest}"):
                    content.take(start, blob.content, sources[blob.digest].chunks(blob), ranges)
                yield blob
        except BaseException:
            content.close()
            raise
        self._base = content

    def _reads(self) -> list[BaseRead]:
        """Return what is read of each base blob; blobs that nothing reads are left out."""
        if self._needed is None:
            pieces = (piece for recipe in self._recipes() for piece in decode_recipe(*recipe))
            sources = (source for piece in pieces for source in piece.sources)
            read = (ByteRange.of(source) for source in sources if source.space is Space.BASE)
            self._needed = base_reads(self._head.base, joined_within(read, self._limits.compact_ranges))
        return self._needed

    def _recipes(self) -> Iterator[tuple[bytes, SpaceSizes, int]]:
        """Yield every recipe with the spaces that it may read, and the bytes that it makes."""
        for layer, recipe_at in self._layout.layers.values():
            yield b"".join(self._section(1, recipe_at, layer.recipe)), self._spaces, layer.content
        for group, recipe_at in zip(self._head.groups, self._layout.prefixes, strict=False):
            if group.prefix:
                yield b"".join(self._section(1, recipe_at, group.recipe)), self._base_only, group.prefix

    def _reads_base(self, layer: compact_format.CompactLayer, recipe_at: int) -> bool:
        recipe = b"".join(self._section(1, recipe_at, layer.recipe))
        pieces = decode_recipe(recipe, self._spaces, layer.content)
        return any(self._needs_base(source) for piece in pieces for source in piece.sources)

    def _needs_base(self, piece: SpaceRange) -> bool:
        if piece.space is Space.BASE:
            return True
        section = self._layout.sections[piece.space + 2]
        groups = self._head.headers if piece.space is Space.HEADERS else self._head.content
        first = bisect_right(section.starts, piece.offset) - 1
        last = bisect_right(section.starts, piece.offset + piece.size - 1)
        return any(group.prefix for group in groups[first:last])

    # --- content ---------------------------------------------------------------------------------

    @property
    def frames(self) -> list[bundle_format.Frame]:
        """Return the seek table's entries; the first is the head's."""
        starts = pairwise(self._offsets)
        return [bundle_format.Frame(b - a, size) for (a, b), size in zip(starts, self._sizes, strict=True)]

    def head_parts(self) -> HeadParts:
        """Read the parts of the head again."""
        return head_parts(b"".join(self._unpacked(0)), self._limits)

    def behind_head(self) -> Iterator[bytes]:
        """Yield the bytes of all frames but the head, as they stand in the file."""
        return self._told(raw_bytes(self._pieces, self._offsets[1], self._offsets[-1]))

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, verified."""
        if blob.digest in self._layout.layers:
            return self._told(self._layers.through(blob, self._layer))
        offset = self._layout.carried.get(blob.digest)
        if offset is None:
            raise absent(blob, self.inventory, self.path)
        return self._told(verified(blob, self._section(0, offset, blob.size)))

    def everything(self) -> Iterator[tuple[Descriptor, Iterator[bytes]]]:
        """Yield every blob in order, after the digest of the whole file was proven.

        Layers that need the base are left out while it is not there. Raises LocalError without room.
        """
        with errors_of(self.path):
            self.sha256 = proven_whole(self._pieces, self._offsets[-1])
            self._reads()
        if self._files:
            check_disk([(temporary_folder(), self._files.size)])
        missing = frozenset(self.needing_base)
        provable = (blob for blob in self.inventory.content if blob not in missing)
        for blob in ordered(provable, self._proven, threads=min(os.cpu_count() or 1, _CORES)):
            yield blob, self.chunks(blob)

    def _proven(self, blob: Descriptor) -> Descriptor:
        deque(self.chunks(blob), maxlen=0)
        return blob

    def _layer(self, blob: Descriptor) -> Iterator[bytes]:
        return verified(blob, self._made_again(*self._layout.layers[blob.digest]))

    def _told(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        with errors_of(self.path):
            yield from chunks

    # --- opening ---------------------------------------------------------------------------------

    def _open(self, verifier: StatementCheck | None) -> None:
        """Read the head, and hold the seek table against it.

        Raises: ContentError, IntegrityError, TrustError.
        """
        frames = seek_table_in(self._pieces, self._limits)
        self._offsets = [
            *accumulate((frame.compressed for frame in frames), initial=len(bundle_format.COMPACT_MARK))
        ]
        self._sizes = [frame.content for frame in frames]
        head = OpenedHead(b"".join(self._unpacked(0)), self._limits, verifier)
        self.id, self.signed_statement, self.proven = head.id, head.signed_statement, head.proven
        self.inventory, self._head, self._layout = head.inventory, head.described, head.layout
        self._spaces: SpaceSizes = self._head.spaces
        self._base_only = SpaceSizes(0, 0, self._spaces.base)
        if self._layout.frames != self._sizes:
            raise ContentError(
                compact_format.COMPACT_FILE, "its seek table lists other frames than its head describes"
            )
        counts = [1, *(len(section.frames) for section in self._layout.sections)]
        self._first = [*accumulate(counts)]
        files = self._layout.sections[3]
        if files.size > _FRAMES_KEPT or max(files.frames, default=0) > compact_format.GROUP:
            self._files = UnpackedFrames(files.starts)

    # --- reading ---------------------------------------------------------------------------------

    def _made_again(self, layer: compact_format.CompactLayer, recipe_at: int) -> Iterator[bytes]:
        recipe = b"".join(self._section(1, recipe_at, layer.recipe))
        yield from gzip_again(compact_format.gzip_recipe(layer), self._content(recipe, layer.content))

    def _content(self, recipe: bytes, total: int) -> Iterator[bytes]:
        """Yield a layer's content, range by range."""
        return made_of(decode_recipe(recipe, self._spaces, total), self._range)

    def _range(self, piece: SpaceRange) -> Iterator[bytes]:
        if piece.space is Space.BASE:
            return self._given_base().chunks(piece.offset, piece.size)
        return self._section(piece.space + 2, piece.offset, piece.size)

    def _given_base(self) -> BaseContent:
        if self._base is None:
            names = " and ".join(self.inventory.base)
            cause = "its recipe reads content of the base, which is not at hand"
            raise NotFoundError("layer", cause, f"name the base with --with: bundle {names}")
        return self._base

    def _section(self, number: int, offset: int, size: int) -> Iterator[bytes]:
        """Yield bytes of a section."""
        section, end = self._layout.sections[number], offset + size
        while offset < end:
            frame = bisect_right(section.starts, offset) - 1
            start = offset - section.starts[frame]
            length = min(end - offset, CHUNK, section.frames[frame] - start)
            chunk = self._bytes(self._first[number] + frame, start, length)
            offset += len(chunk)
            yield chunk

    def _bytes(self, frame: int, start: int, size: int) -> bytes:
        """Return bytes of a frame."""
        if self._files and frame >= self._first[3]:
            return self._files.read(frame - self._first[3], start, size, lambda: self._unpacked(frame))
        # Recipes have a cache of their own: a frame of the others may need one while it is unpacked.
        cache = self._recipe_cache if frame < self._first[2] else self._cache
        return cache.get(self, frame, lambda number: b"".join(self._unpacked(number)))[start : start + size]

    def _unpacked(self, number: int) -> Iterator[bytes]:
        """Yield the content of a frame."""
        start, end = self._offsets[number], self._offsets[number + 1]
        data = self._pieces.read_at(end - start, start)
        if len(data) < end - start:
            raise bundle_format.truncated()
        _, content = bundle_format.frame_content(data[:13], compact_format.LARGEST_GROUP)
        if content != self._sizes[number]:
            raise bundle_format.damaged("a frame is not of the size that its seek table says")
        prefix = self._prefix(number)
        if prefix is None:
            limit = compact_format.LARGEST_GROUP
            yield unpacked(zstandard.ZstdDecompressor(max_window_size=limit), data, content)
            return
        from bundler.bundle.compacted.prefix_frames import unpacked_behind

        yield from unpacked_behind(prefix)(data, content)

    def _prefix(self, number: int) -> bytes | bytearray | None:
        """Return the bytes that a frame was compressed behind; None for most frames."""
        if 1 <= number <= self._layout.manifest_frames:
            return compact_format.inventory_prefix(self.head_parts().inventory)
        place = number - self._first[2] if number else -1
        group = self._head.groups[place] if place >= 0 else None
        if group is None or not group.prefix:
            return None
        recipe = b"".join(self._section(1, self._layout.prefixes[place], group.recipe))
        first = next(decode_recipe(recipe, self._base_only, group.prefix))
        if isinstance(first, SpaceRange) and first.space is Space.BASE and first.size == group.prefix:
            return self._given_base().read(first.offset, first.size)
        prefix = bytearray()
        for chunk in self._content(recipe, group.prefix):
            prefix += chunk
        return prefix
