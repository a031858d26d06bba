"""Content-addressed bytes: the two interfaces that all content passes through, and its verification."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from bundler.errors import IntegrityError
from bundler.oci.digest import Descriptor

CHUNK = 1 << 20
"""Bytes of one chunk of a stream, at most."""


class BlobSource(Protocol):
    """A source of the bytes of blobs."""

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield the blob's bytes in order; end normally only if they were its bytes.

        Raises IntegrityError at the end of wrong bytes, NotFoundError, or what the place raises.
        """


class BlobSink(Protocol):
    """A destination of blobs, which tells which it has."""

    def has(self, blob: Descriptor) -> bool:
        """Return whether the whole blob is stored."""

    def add(self, blob: Descriptor, chunks: Callable[[int], Iterable[bytes]]) -> object:
        """Keep a blob; `chunks(offset)` opens its bytes from an offset on.

        Raises IntegrityError, and keeps nothing, if they are not its bytes.
        """


class BlobStore(BlobSource, BlobSink, Protocol):
    """A place that gives and takes."""


class Verifier:
    """An observer of the bytes of one blob as they pass."""

    def __init__(self, blob: Descriptor) -> None:
        self.blob = blob
        self.seen = 0
        self._hash = hashlib.new(blob.digest.algorithm)

    def update(self, chunk: bytes | memoryview) -> None:
        """Take one more chunk. Raises IntegrityError as soon as there are too many bytes."""
        self.seen += len(chunk)
        if self.seen > self.blob.size:
            # Stop here: an endless body must not fill the disk.
            cause = f"more than the {self.blob.size:,} bytes that its descriptor says"
            raise IntegrityError(f"blob {self.blob.digest}", cause)
        self._hash.update(chunk)

    def finish(self) -> None:
        """Give the verdict. Raises IntegrityError that says what was wrong: the size or the bytes."""
        if self.seen < self.blob.size:
            cause = f"truncated: {self.seen:,} of {self.blob.size:,} bytes"
            raise IntegrityError(f"blob {self.blob.digest}", cause)
        seen = f"{self.blob.digest.algorithm}:{self._hash.hexdigest()}"
        if seen != self.blob.digest:
            raise IntegrityError(f"blob {self.blob.digest}", f"its bytes have digest {seen}")


def verified(blob: Descriptor, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass `chunks` on; end well only if they were the bytes of `blob`.

    The verdict comes after the last chunk: keep nothing before the end. Raises IntegrityError.
    """
    verifier = Verifier(blob)
    for chunk in chunks:
        verifier.update(chunk)
        yield chunk
    verifier.finish()


def held_back(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass `chunks` on one late, so that the last is not seen before the source's verdict.

    For a receiver that acts on the last byte, as a registry does on the end of an upload.
    """
    waiting: bytes | None = None
    for chunk in chunks:
        if waiting is not None:
            yield waiting
        waiting = chunk
    if waiting is not None:
        yield waiting


def pieces(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the same bytes in pieces of exactly `size`, the last one shorter."""
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= size:
            yield bytes(waiting[:size])
            del waiting[:size]
    if waiting:
        yield bytes(waiting)


def read_all(source: BlobSource, blob: Descriptor) -> bytes:
    """Return all bytes of a small blob, verified."""
    return b"".join(source.chunks(blob))
