"""The beginning of a bundle that a run left unfinished: as many of its frames as are whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from bundler.bundle import bundle_format
from bundler.bundle.reader import BundleFile
from bundler.errors import BundlerError
from bundler.oci import Descriptor


class UnfinishedBundle(BundleFile):
    """A bundle that ends somewhere behind its index. What is read of it is not believed before it is proven.

    Opening one that ends before, or that is something else, raises ContentError or IntegrityError.
    """

    def _read_seek_table(self) -> list[bundle_format.Frame]:
        """Return the whole frames, found from block to block: there is no seek table yet."""
        frames: list[bundle_format.Frame] = []
        offset = 0
        with suppress(BundlerError):
            while len(frames) < self._limits.frames:
                frames.append(self._frame_at(offset))
                offset += frames[-1].compressed
        return frames

    def _frame_at(self, offset: int) -> bundle_format.Frame:
        """Return a frame's sizes. Raises BundlerError where no whole one is."""
        header, content = bundle_format.frame_content(self._bytes(13, offset))
        size, last = header, False
        while not last:
            block, last = bundle_format.block_size(self._bytes(3, offset + size))
            size += 3 + block
        self._bytes(1, offset + size + 3)  # the last byte of the checksum
        return bundle_format.Frame(size + 4, content)

    def _bytes(self, size: int, offset: int) -> bytes:
        data = self._pieces.read_at(size, offset)
        if len(data) < size:
            raise bundle_format.truncated()
        return data

    def available(self, blob: Descriptor) -> int:
        """Return the number of a blob's bytes, from its first, that seem to be there."""
        start = self._starts.get(blob.digest)
        return 0 if start is None else min(max(self._contents[-1] - start, 0), blob.size)

    def beginning(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield the bytes of a blob that are there, not verified; end where a frame is damaged."""
        if available := self.available(blob):
            start = self._starts[blob.digest]
            with suppress(BundlerError):
                yield from self._range(start, start + available)
