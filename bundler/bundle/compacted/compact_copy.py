"""A compact file copied as bytes: out of a pipe into a temporary file, or with another statement.

Layers can't be made before all of the file is there: what a layer consists of stands at the end. So a pipe
is received whole before anything else happens. The head comes first, and is judged as soon as it came.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from bundler.bundle import bundle_format
from bundler.bundle.compacted.compact_format import GROUP, FrameLayout
from bundler.bundle.compacted.compact_frames import encode_head
from bundler.bundle.compacted.compact_head import OpenedHead
from bundler.bundle.compacted.compact_reader import CompactFile
from bundler.bundle.stream import StatementCheck
from bundler.bundle.wire import ByteStream, first_frame
from bundler.bundle.writer import WrittenBundle
from bundler.durable import local_errors
from bundler.errors import BUNDLE, PIPE, ContentError, errors_of
from bundler.limits import Limits
from bundler.oci import CHUNK
from bundler.trust.statement import SignedStatement
from bundler.volumes.volume_reader import WithoutDigests


def received(
    file: ByteStream, folder: Path, limits: Limits, verifier: StatementCheck | None = None
) -> CompactFile:
    """Read a compact file from a pipe to its end, into a file without a name in `folder`, and open it.

    Raises: ContentError, IntegrityError, TrustError; those of its head as soon as the head came.
    """
    copy = _ReceivedFile(file, folder)
    try:
        with errors_of(PIPE):
            head = OpenedHead(_head_of(copy, limits), limits, verifier)
            copy.receive(_most(head.layout))
    except BaseException:
        copy.close()
        raise
    proven = head.proven
    with errors_of(PIPE):
        return CompactFile(Path(PIPE), copy, limits, (lambda _: proven) if proven else None)


class _ReceivedFile(WithoutDigests):
    """Everything that came so far, kept. A ByteStream while it comes, BundleBytes afterwards."""

    name = PIPE
    volumes = 0

    def __init__(self, file: ByteStream, folder: Path) -> None:
        self._from = file
        self._folder = folder
        self.size = 0
        with local_errors(folder, "write"):
            self._file: BinaryIO = TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by `close`

    def read(self, size: int, /) -> bytes:
        """Return the next bytes of the pipe."""
        data = self._from.read(size)
        view = memoryview(data)
        with local_errors(self._folder, "write"):
            while view:
                view = view[self._file.write(view) :]
        self.size += len(data)
        return data

    def receive(self, most: int) -> None:
        """Read the rest. Raises ContentError if all together is more than `most` bytes."""
        while self.read(CHUNK):
            if self.size > most:
                raise ContentError(BUNDLE, "it goes on behind the end that its head describes")

    def read_at(self, size: int, offset: int) -> bytes:
        """Read at most `size` bytes."""
        with local_errors(self._folder, "read"):
            return os.pread(self._file.fileno(), size, offset)

    def close(self) -> None:
        """Remove it."""
        self._file.close()


def _head_of(file: ByteStream, limits: Limits) -> bytes:
    """Read mark and head frame; return the head. Raises ContentError, IntegrityError."""
    mark = b""
    while len(mark) < len(bundle_format.COMPACT_MARK) and (
        data := file.read(len(bundle_format.COMPACT_MARK) - len(mark))
    ):
        mark += data
    if mark != bundle_format.COMPACT_MARK:
        raise bundle_format.truncated()
    return first_frame(file, limits, GROUP)


def _most(frames: FrameLayout) -> int:
    """Return the bytes that a file of this layout can have: what incompressible content takes."""
    sizes = frames.frames
    content = sum(size + size // 128 + 1024 for size in sizes)
    return (
        len(bundle_format.COMPACT_MARK)
        + content
        + bundle_format.DIGEST_FRAME
        + bundle_format.seek_table_size_of(len(sizes))
    )


def write_with_statement(
    write: Callable[[bytes], object], bundle: object, signed_statement: SignedStatement
) -> WrittenBundle:
    """Write a CompactFile with another statement, all else as it is, by calls of `write`, in order."""
    assert isinstance(bundle, CompactFile)
    digest, size = hashlib.sha256(), 0

    def pass_on(data: bytes) -> None:
        nonlocal size
        digest.update(data)
        size += len(data)
        write(data)

    parts = bundle.head_parts()
    head = encode_head(parts.compact, parts.inventory, signed_statement)
    pass_on(bundle_format.COMPACT_MARK)
    pass_on(head.frame)
    for data in bundle.behind_head():
        pass_on(data)
    frames = [bundle_format.Frame(len(head.frame), head.content), *bundle.frames[1:]]
    pass_on(bundle_format.digest_frame(digest.digest()) + bundle_format.seek_table(frames))
    return WrittenBundle(bundle.id, digest.hexdigest(), size)
