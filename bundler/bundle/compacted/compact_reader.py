"""A compact file opened for reading any blob: layers are made again as they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Self

import zstandard

from bundler.bundle import bundle_format
from bundler.bundle.compacted import compact_format
from bundler.bundle.compacted.compact_head import HeadParts, OpenedHead, head_parts
from bundler.bundle.stream import StatementCheck
from bundler.bundle.unpacked import absent
from bundler.bundle.wire import FrameCache, LayerCache, unpacked
from bundler.compact.codecs import gzip_again
from bundler.compact.recipes import Space, decode_recipe
from bundler.errors import BUNDLE, ContentError, errors_of
from bundler.limits import MIB, Limits
from bundler.oci import CHUNK, Descriptor, verified
from bundler.volumes.volume_reader import BundleBytes

_ZEROS = bytes(CHUNK)
_FRAMES_KEPT = 2 * compact_format.GROUP
"""Bytes of unpacked frames that are kept, however many bundles share them."""
_LAYERS_KEPT = 32 * MIB
"""Bytes of layers that are kept: an import reads each of them twice, a registry as often as it is asked."""


class CompactFile:
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
        self.path = path
        self.name = pieces.name
        self.sha256: str | None = None
        self.file_size: int | None = pieces.size
        self.volumes = pieces.volumes
        self._limits = limits
        self._pieces = pieces
        self._cache = frames or FrameCache()
        self._cache.allow(_FRAMES_KEPT)
        self._layers = LayerCache(_LAYERS_KEPT)
        try:
            self._open(verifier)
        except BaseException:
            pieces.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pieces.close()

    @property
    def header_bytes(self) -> int:
        """Bytes of the distinct tar headers of all layers."""
        return self._layout.sections[2].size

    @property
    def frames(self) -> list[bundle_format.Frame]:
        """The seek table's entries; the first is the head's."""
        starts = pairwise(self._offsets)
        return [bundle_format.Frame(b - a, size) for (a, b), size in zip(starts, self._sizes, strict=True)]

    def head_parts(self) -> HeadParts:
        """Read the parts of the head again."""
        return head_parts(self._frame(0), self._limits)

    def behind_head(self) -> Iterator[bytes]:
        """Yield the bytes of all frames but the head, as they stand in the file."""
        return self._told(self._raw(self._offsets[1], self._offsets[-1]))

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, verified."""
        if blob.digest in self._layout.layers:
            return self._told(self._layers.through(blob, self._layer))
        offset = self._layout.carried.get(blob.digest)
        if offset is None:
            raise absent(blob, self.inventory, self.path)
        return self._told(verified(blob, self._section(0, offset, blob.size)))

    def everything(self) -> Iterator[tuple[Descriptor, Iterator[bytes]]]:
        """Yield every blob in order, after the digest of the whole file was proven."""
        with errors_of(self.path):
            self.sha256 = self._whole()
        for blob in self.inventory.content:
            chunks = self.chunks(blob)
            yield blob, chunks
            for _ in chunks:
                pass

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
        frames = self._seek_table()
        self._offsets = [
            *accumulate((frame.compressed for frame in frames), initial=len(bundle_format.COMPACT_MARK))
        ]
        self._sizes = [frame.content for frame in frames]
        head = OpenedHead(self._frame(0), self._limits, verifier)
        self.id, self.sealed, self.proven = head.id, head.sealed, head.proven
        self.inventory, self._layout = head.inventory, head.layout
        if self._layout.frames != self._sizes:
            raise ContentError(
                compact_format.COMPACT_FILE, "its seek table lists other frames than its head describes"
            )
        counts = [1, *(len([*section.frames()]) for section in self._layout.sections)]
        self._first = [*accumulate(counts)]

    def _seek_table(self) -> list[bundle_format.Frame]:
        size = self._pieces.size
        footer = self._pieces.read_at(
            bundle_format.SEEK_TABLE_FOOTER, max(size - bundle_format.SEEK_TABLE_FOOTER, 0)
        )
        length = bundle_format.seek_table_size(footer)
        if length is None or not length <= min(size, bundle_format.seek_table_size_of(self._limits.frames)):
            raise bundle_format.truncated("it does not end with a seek table")
        frames = bundle_format.parse_seek_table(self._pieces.read_at(length, size - length))
        if (
            len(bundle_format.COMPACT_MARK)
            + sum(frame.compressed for frame in frames)
            + bundle_format.DIGEST_FRAME
            + length
            != size
        ):
            raise bundle_format.damaged("its frames are not as long as the file")
        if not frames or any(not 0 < frame.content <= compact_format.GROUP for frame in frames):
            raise ContentError(
                BUNDLE, "its seek table lists a frame of a size that the format does not allow"
            )
        return frames

    # --- reading ---------------------------------------------------------------------------------

    def _made_again(self, layer: compact_format.CompactLayer, recipe_at: int) -> Iterator[bytes]:
        recipe = b"".join(self._section(1, recipe_at, layer.recipe))
        yield from gzip_again(compact_format.gzip_recipe(layer), self._content(recipe, layer.content))

    def _content(self, recipe: bytes, total: int) -> Iterator[bytes]:
        """Yield a layer's content, range by range."""
        _, _, headers, content = self._layout.sections
        for space, offset, size in decode_recipe(recipe, (headers.size, content.size), total):
            if space is Space.ZEROS:
                for start in range(0, size, CHUNK):
                    yield _ZEROS[: min(CHUNK, size - start)]
            else:
                yield from self._section(2 if space is Space.HEADERS else 3, offset, size)

    def _section(self, number: int, offset: int, size: int) -> Iterator[bytes]:
        """Yield bytes of a section."""
        frame_size, end = self._layout.sections[number].frame, offset + size
        while offset < end:
            frame = self._first[number] + offset // frame_size
            data = self._cache.get(self, frame, self._frame)
            start = offset % frame_size
            chunk = data[start : start + min(end - offset, CHUNK)]
            offset += len(chunk)
            yield chunk

    def _frame(self, number: int) -> bytes:
        start, end = self._offsets[number], self._offsets[number + 1]
        data = self._pieces.read_at(end - start, start)
        if len(data) < end - start:
            raise bundle_format.truncated()
        _, content = bundle_format.frame_content(data[:13], compact_format.GROUP)
        if content != self._sizes[number]:
            raise bundle_format.damaged("a frame is not of the size that its seek table says")
        return unpacked(zstandard.ZstdDecompressor(max_window_size=compact_format.GROUP), data, content)

    def _whole(self) -> str:
        """Return the sha256 of the file, its digest frame checked."""
        digest, passed = hashlib.sha256(), self._pieces.checking()
        end = self._offsets[-1]
        for data in self._raw(0, end):
            digest.update(data)
            passed(data)
        expected = bundle_format.digest_frame(digest.digest())
        rest = b"".join(self._raw(end, self._pieces.size))
        if rest[: len(expected)] != expected:
            self._pieces.diagnose()
            raise bundle_format.damaged("its bytes are not those that were written")
        digest.update(rest)
        passed(rest)
        self._pieces.check(digest.hexdigest())
        return digest.hexdigest()

    def _raw(self, start: int, end: int) -> Iterator[bytes]:
        while start < end:
            data = self._pieces.read_at(min(CHUNK, end - start), start)
            if not data:
                raise bundle_format.truncated()
            start += len(data)
            yield data
