"""A bundle read from its first byte to its last, once: the proof that it is whole.

Nothing is believed that can be computed: every frame is walked block by block, every tar header is
compared with the one that must stand there, every blob is hashed, and the seek table is built anew
and compared. So a pipe can be read as it flows, and a file is proven by the same code.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import zstandard

from bundler.bundle import format as layout
from bundler.bundle.format import BLOCK, END_OF_ARCHIVE, Frame
from bundler.bundle.inventory import INVENTORY_FILE, Inventory, bundle_id, check_index, decode
from bundler.errors import ContentError, IntegrityError
from bundler.layout import INDEX_FILE, LAYOUT, LAYOUT_FILE
from bundler.limits import Limits
from bundler.oci.content import CHUNK, Descriptor, Digest, verified
from bundler.workers import InOrder

THREADS = 2
"""Frames decompressed at a time: hashing the result is what takes longest."""

_KINDS = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"7z\xbc\xaf", "7-zip"),
)


class ByteStream(Protocol):
    """What can be read in order: a file, a pipe."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


class BundleStream:
    """A bundle that is being read. First `open`, then `blobs` to the end; then it is proven."""

    def __init__(self, file: ByteStream, limits: Limits) -> None:
        self._limits = limits
        self._wire = _Wire(file, limits)
        self._tar = _Tar(_decompressed(self._wire))
        self.id: Digest
        self.inventory: Inventory

    def open(self) -> Inventory:
        """Read what stands before the blobs. Raises ContentError, IntegrityError."""
        self._wire.check_start()
        size = layout.first_member_size(self._tar.exactly(BLOCK), INVENTORY_FILE)
        if size > self._limits.inventory:
            raise ContentError(INVENTORY_FILE, f"larger than the limit of {self._limits.inventory:,} bytes")
        data = self._tar.data(size)
        self.id, self.inventory = bundle_id(data), decode(data, limits=self._limits)
        if self._tar.member(LAYOUT_FILE, len(LAYOUT)) != LAYOUT:
            raise ContentError(LAYOUT_FILE, "not an OCI image layout 1.0.0")
        header = self._tar.exactly(BLOCK)
        size = layout.first_member_size(header, INDEX_FILE)
        if size > self._limits.inventory:
            raise ContentError(INDEX_FILE, f"larger than the limit of {self._limits.inventory:,} bytes")
        check_index(self._tar.data(size), self.inventory, limits=self._limits)
        return self.inventory

    def blobs(self) -> Iterator[tuple[Descriptor, Iterator[bytes]]]:
        """Every blob in file order, its bytes verified as they pass; then the end is proven.

        A blob that the caller did not read to its end is read here, so that none goes unproven.
        """
        for blob in self.inventory.content:
            self._tar.expect(layout.member_header(blob.digest.path, blob.size), blob.digest.path)
            chunks = verified(blob, self._tar.chunks(blob.size))
            yield blob, chunks
            for _ in chunks:
                pass
            self._tar.expect(layout.padding(blob.size), "padding")
        self._tar.expect(END_OF_ARCHIVE, "the end of the archive")
        self._tar.finish()
        self._wire.finish()

    @property
    def position(self) -> int:
        """Bytes of tar stream read so far."""
        return self._tar.position

    @property
    def sha256(self) -> str:
        """The sha256 of the whole file, once it is read."""
        return self._wire.sha256()


class _Tar:
    """The tar stream that the frames' contents make."""

    def __init__(self, contents: Iterator[bytes]) -> None:
        self._contents = contents
        self._waiting = memoryview(b"")
        self.position = 0

    def chunks(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes."""
        while size:
            if not self._waiting:
                self._waiting = memoryview(self._next())
                if not self._waiting:
                    raise IntegrityError(
                        "bundle", "truncated: its archive ends too early", "carry the file again"
                    )
            chunk = bytes(self._waiting[: min(size, CHUNK)])
            self._waiting = self._waiting[len(chunk) :]
            size -= len(chunk)
            self.position += len(chunk)
            yield chunk

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes in one."""
        return b"".join(self.chunks(size))

    def data(self, size: int) -> bytes:
        """A member's data, its padding checked."""
        data = self.exactly(size)
        self.expect(layout.padding(size), "padding")
        return data

    def member(self, name: str, size: int) -> bytes:
        """A whole member of a known name and size."""
        self.expect(layout.member_header(name, size), name)
        return self.data(size)

    def expect(self, expected: bytes, what: str) -> None:
        """Raise ContentError unless exactly these bytes come next."""
        found = self.exactly(len(expected))
        if found != expected:
            name = found[:100].rstrip(b"\0").decode("utf-8", "replace")
            raise ContentError("bundle", f"its archive holds {name!r:.120} where {what} must stand")

    def _next(self) -> bytes:
        return next(self._contents, b"")

    def finish(self) -> None:
        """Raise ContentError if anything follows."""
        if self._waiting or self._next():
            raise ContentError("bundle", "its archive goes on after its end")


class _Wire:
    """The compressed side: cuts the stream into frames, block by block."""

    def __init__(self, file: ByteStream, limits: Limits) -> None:
        self._file = file
        self._limits = limits
        self._ahead = bytearray()
        self._digest = _Digest()
        self._frames: list[Frame] = []

    def check_start(self) -> None:
        """Raise ContentError that says what the file is, unless it begins like a bundle."""
        head = self._peek(512)
        if head[:4] == layout.ZSTD_MAGIC:
            return
        if head and not any(head):
            raise IntegrityError("bundle", "damaged: it begins with zeros")
        cause = f"not a bundle (found {_kind(head)})"
        raise ContentError("bundle", cause, "give a file that `timoni-bundler export` made")

    def next_frame(self) -> tuple[bytes, int] | None:
        """The next frame and the size of its content; None behind the last one."""
        head = self._peek(13)
        if head[:4] == layout.DIGEST_MAGIC:
            return None
        if len(head) < 13:
            raise _truncated()
        header_size, content = layout.frame_content(head)
        frame = bytearray(self._take(header_size))
        # What zstd needs at most for content that it can't compress; no block more.
        most = content + content // 128 + 1024
        last = False
        while not last:
            header = self._take(3)
            size, last = layout.block_size(header)
            if len(frame) + size > most:
                raise ContentError("bundle", "a zstd frame of more blocks than its content needs")
            frame += header + self._take(size)
        frame += self._take(4)
        if len(self._frames) >= self._limits.frames:
            raise ContentError("bundle", f"more than the limit of {self._limits.frames:,} zstd frames")
        self._frames.append(Frame(len(frame), content))
        return bytes(frame), content

    def finish(self) -> None:
        """The digest of all that was read and the seek table of its frames must follow, then nothing."""
        digest = layout.digest_frame(self._digest.digest())
        if self._take(len(digest)) != digest:
            raise IntegrityError("bundle", "damaged: its bytes are not those that were written")
        expected = layout.seek_table(self._frames)
        if self._take(len(expected)) != expected:
            raise IntegrityError("bundle", "damaged: its seek table is not that of its frames")
        if rest := self._peek(4):
            what = "another archive" if rest == layout.ZSTD_MAGIC else "something else"
            raise ContentError("bundle", f"{what} follows after its end")

    def sha256(self) -> str:
        """Of all that was taken."""
        return self._digest.digest().hex()

    def _peek(self, size: int) -> bytes:
        while len(self._ahead) < size:
            chunk = self._file.read(CHUNK)
            if not chunk:
                break
            self._ahead += chunk
        return bytes(self._ahead[:size])

    def _take(self, size: int) -> bytes:
        data = self._peek(size)
        if len(data) < size:
            raise _truncated()
        del self._ahead[:size]
        self._digest.update(data)
        return data


class _Digest:
    """A sha256 that is computed beside the work."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._beside = InOrder()
        self._parts: list[bytes] = []
        self._size = 0

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        self._parts.append(data)
        self._size += len(data)
        if self._size >= CHUNK:
            self._flush()

    def digest(self) -> bytes:
        """The digest of all bytes taken so far."""
        self._flush()
        self._beside.wait()
        return self._hash.digest()

    def _flush(self) -> None:
        whole, self._parts, self._size = b"".join(self._parts), [], 0
        self._beside.call(lambda: self._hash.update(whole))


def _truncated() -> IntegrityError:
    return IntegrityError("bundle", "truncated: the file ends too early", "carry the file again")


def _kind(head: bytes) -> str:
    """What a file is that is no bundle, without showing any of it."""
    if not head:
        return "an empty file"
    if head[257:262] == b"ustar":
        return "a plain tar"
    for magic, name in _KINDS:
        if head.startswith(magic):
            return name
    return "text" if head.isascii() and b"\0" not in head else "unknown data"


def _decompressed(wire: _Wire) -> Iterator[bytes]:
    """The frames' contents in order, a few at a time."""
    local = threading.local()

    def decompress(frame: bytes, content: int) -> bytes:
        if not hasattr(local, "decompressor"):
            local.decompressor = zstandard.ZstdDecompressor(max_window_size=layout.FRAME_CONTENT)
        return unpacked(local.decompressor, frame, content)

    under_way: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(THREADS) as pool:
        while frame := wire.next_frame():
            under_way.append(pool.submit(decompress, *frame))
            if len(under_way) > THREADS:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def unpacked(decompressor: zstandard.ZstdDecompressor, frame: bytes, content: int) -> bytes:
    """The content of exactly one frame, its checksum checked. Raises IntegrityError."""
    try:
        data = decompressor.decompress(frame, max_output_size=content, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise IntegrityError("bundle", f"damaged: {error}", "carry the file again") from error
    if len(data) != content:
        raise IntegrityError("bundle", "damaged: a frame is not of the size that it says")
    return data
