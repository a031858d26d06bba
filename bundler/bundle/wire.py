"""The compressed form of a bundle: a file or pipe cut into frames, block by block, and their contents.

No length is believed but the blocks' own; the digest of all bytes and the seek table are built anew
and compared at the end.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

import zstandard

from bundler.bundle import bundle_format
from bundler.bundle.bundle_format import FRAME_CONTENT, Frame
from bundler.errors import BUNDLE, ContentError
from bundler.limits import Limits
from bundler.oci import CHUNK, Descriptor, Digest
from bundler.workers import InOrder, ordered

THREADS = 2
"""Frames decompressed at a time; hashing the result takes longest."""

_KINDS = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"7z\xbc\xaf", "7-zip"),
)


class ByteStream(Protocol):
    """Bytes that are read in order: a file, a pipe."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end."""


class Wire:
    """A compressed stream, cut into frames block by block."""

    def __init__(self, file: ByteStream, limits: Limits) -> None:
        self._file = file
        self._limits = limits
        self._ahead = b""
        self._at = 0
        self._digest = _Digest()
        self._frames: list[Frame] = []

    def check_start(self) -> None:
        """Raise ContentError that says what the file is, unless it begins like a bundle."""
        head = self._peek(512)
        if head[:4] == bundle_format.ZSTD_MAGIC:
            return
        if head and not any(head):
            raise bundle_format.damaged("it begins with zeros")
        cause = f"not a bundle (found {_kind(head)})"
        raise ContentError(BUNDLE, cause, "name a file that `timoni-bundler export` wrote")

    def next_frame(self, largest: int = FRAME_CONTENT) -> tuple[bytearray, int] | None:
        """Return the next frame and the size of its content, at most `largest`; None behind the last one."""
        head = self._peek(13)
        if head[:4] == bundle_format.DIGEST_MAGIC:
            return None
        if len(head) < 13:
            raise bundle_format.truncated()
        header_size, content = bundle_format.frame_content(head, largest)
        frame = bytearray()
        self._take_into(frame, header_size)
        # What zstd needs at most for content that it can't compress; no block more.
        most = content + content // 128 + 1024
        last = False
        while not last:
            self._take_into(frame, 3)
            size, last = bundle_format.block_size(bytes(frame[-3:]))
            if len(frame) + size > most:
                raise ContentError(BUNDLE, "a zstd frame with more blocks than its content needs")
            self._take_into(frame, size)
        self._take_into(frame, 4)
        if len(self._frames) >= self._limits.frames:
            raise ContentError(BUNDLE, f"more than the limit of {self._limits.frames:,} zstd frames")
        self._frames.append(Frame(len(frame), content))
        self._digest.update(frame)
        return frame, content

    def finish(self) -> None:
        """Raise unless the digest of all bytes, the seek table of the frames and the end follow."""
        digest = bundle_format.digest_frame(self._digest.digest())
        if self._take(len(digest)) != digest:
            raise bundle_format.damaged("its bytes are not those that were written")
        expected = bundle_format.seek_table(self._frames)
        if self._take(len(expected)) != expected:
            raise bundle_format.damaged("its seek table is not that of its frames")
        if rest := self._peek(4):
            what = "another archive" if rest == bundle_format.ZSTD_MAGIC else "something else"
            raise ContentError(BUNDLE, f"{what} follows after its end")

    def sha256(self) -> str:
        """Return the sha256 of everything taken so far, in hexadecimal."""
        return self._digest.digest().hex()

    def _peek(self, size: int) -> bytes:
        while len(self._ahead) - self._at < size and (chunk := self._file.read(CHUNK)):
            self._ahead, self._at = self._ahead[self._at :] + chunk, 0
        return self._ahead[self._at : self._at + size]

    def _take(self, size: int) -> bytes:
        """Take the next bytes behind the frames."""
        taken = bytearray()
        self._take_into(taken, size)
        self._digest.update(taken)
        return bytes(taken)

    def _take_into(self, frame: bytearray, size: int) -> None:
        # The only copy of what was read: at the speed of memory, each more would be felt.
        while size:
            if self._at == len(self._ahead):
                self._ahead, self._at = self._file.read(CHUNK), 0
                if not self._ahead:
                    raise bundle_format.truncated()
            part = memoryview(self._ahead)[self._at : self._at + size]
            frame += part
            self._at += len(part)
            size -= len(part)


class _Digest:
    """A sha256 computed in a thread of its own, of parts that nobody changes any more."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._beside = InOrder()
        self._parts: list[bytearray] = []
        self._size = 0

    def update(self, data: bytearray) -> None:
        """Take the next bytes."""
        self._parts.append(data)
        self._size += len(data)
        if self._size >= CHUNK:
            self._flush()

    def digest(self) -> bytes:
        """Return the digest of all bytes taken so far."""
        self._flush()
        self._beside.wait()
        return self._hash.digest()

    def _flush(self) -> None:
        parts, self._parts, self._size = self._parts, [], 0
        self._beside.call(lambda: self._take(parts))

    def _take(self, parts: list[bytearray]) -> None:
        for part in parts:
            self._hash.update(part)


def _kind(head: bytes) -> str:
    """Return the kind of a file that is not a bundle, without showing any of it."""
    if not head:
        return "an empty file"
    if head[257:262] == b"ustar":
        return "a plain tar"
    for magic, name in _KINDS:
        if head.startswith(magic):
            return name
    return "text" if head.isascii() and b"\0" not in head else "unknown data"


def decompressed(wire: Wire) -> Iterator[bytes]:
    """Yield the frames' contents in order; the first before another is read, as it decides what follows."""
    local = threading.local()

    def decompress(frame: tuple[bytearray, int]) -> bytes:
        if not hasattr(local, "decompressor"):
            local.decompressor = zstandard.ZstdDecompressor(max_window_size=bundle_format.FRAME_CONTENT)
        return unpacked(local.decompressor, *frame)

    if first := wire.next_frame():
        yield decompress(first)
    yield from ordered(iter(wire.next_frame, None), decompress, threads=THREADS)


def first_frame(file: ByteStream, limits: Limits, largest: int) -> bytes:
    """Read one frame, of at most `largest` bytes of content, and return that.

    Raises: ContentError, IntegrityError.
    """
    frame = Wire(file, limits).next_frame(largest)
    if frame is None:
        raise bundle_format.truncated("it has no first frame")
    return unpacked(zstandard.ZstdDecompressor(max_window_size=largest), *frame)


def unpacked(decompressor: zstandard.ZstdDecompressor, frame: bytes | bytearray, content: int) -> bytes:
    """Return the content of exactly one frame, its checksum checked. Raises IntegrityError."""
    try:
        data = decompressor.decompress(frame, max_output_size=content, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise bundle_format.damaged(str(error)) from error
    if len(data) != content:
        raise bundle_format.damaged("a frame is not of the size that it says")
    return data


KEPT = 3 * FRAME_CONTENT
"""Bytes, however many bundles share them: a chain of a year must not take a year's memory."""


class FrameCache:
    """The last frames that were read, as many as there is room for."""

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[object, int], bytes] = OrderedDict()
        self._size = 0

    def allow(self, most: int) -> None:
        """Keep up to `most` bytes, if fewer were allowed: a compact bundle has larger frames."""
        with self._lock:
            self._most = max(self._most, most)

    def get(self, bundle: object, number: int, unpacked: Callable[[int], bytes]) -> bytes:
        """Return a frame of a bundle; one thread unpacks it, the others wait for the result."""
        key = bundle, number
        with self._lock:
            if key not in self._kept:
                self._kept[key] = unpacked(number)
                self._size += len(self._kept[key])
            self._kept.move_to_end(key)
            while self._size > self._most:
                self._size -= len(self._kept.popitem(last=False)[1])
            return self._kept[key]


class LayerCache:
    """The layers that were made last, whole and verified. Safe for any number of threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[Digest, list[bytes]] = OrderedDict()
        self._size = 0

    def through(self, blob: Descriptor, made: Callable[[Descriptor], Iterator[bytes]]) -> Iterator[bytes]:
        """Yield a layer's bytes: kept ones, or those of `made`, which are kept if they are few enough."""
        with self._lock:
            kept = self._kept.get(blob.digest)
            if kept is not None:
                self._kept.move_to_end(blob.digest)
        if kept is not None or blob.size > self._most // 4:
            yield from made(blob) if kept is None else kept
            return
        chunks: list[bytes] = []
        for chunk in made(blob):
            chunks.append(chunk)
            yield chunk
        with self._lock:
            if blob.digest not in self._kept:
                self._kept[blob.digest] = chunks
                self._size += blob.size
            while self._size > self._most:
                _, dropped = self._kept.popitem(last=False)
                self._size -= sum(map(len, dropped))
