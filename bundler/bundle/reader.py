"""A bundle, or the same layout unpacked, opened for reading any blob: file and directory alike."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Protocol, Self

import zstandard

from bundler.bundle import bundle_format
from bundler.bundle.inventory import Inventory
from bundler.bundle.member_encoding import member_of
from bundler.bundle.stream import BundleStream, StatementCheck
from bundler.bundle.unpacked import BundleDirectory, absent, is_layout
from bundler.bundle.wire import FrameCache, unpacked
from bundler.errors import (
    BUNDLE,
    BundlerError,
    ContentError,
    IntegrityError,
    NotFoundError,
    UsageError,
    errors_of,
)
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import CHUNK, Descriptor, Digest
from bundler.reporting.json_report import StatementReport
from bundler.trust.statement import SignedStatement
from bundler.volumes.volume_reader import BundleBytes, OneFile, PiecedBundle
from bundler.volumes.volume_sets import ends_like_volume, names_lost_volume, open_set, volumes_among


class Bundle(Protocol):
    """A bundle in any form. A BlobSource."""

    path: Path
    name: str
    """File name without a folder; for volumes, the name of the bundle that they make."""
    id: Digest
    inventory: Inventory
    sha256: str | None
    """sha256 of the whole file, once `everything` has passed; None for a directory."""
    file_size: int | None
    """Bytes of the file, or of all volumes together; None for a directory."""
    volumes: int
    """Number of data volumes; 0 for one file or a directory."""
    signed_statement: SignedStatement | None
    """Signed statement; None for a bundle without a signature."""
    is_compact: bool
    """True for the compact form."""
    proven: StatementReport | None
    """The part of the statement that the verifier has proven; None without one."""

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, verified."""

    def everything(self) -> Iterator[tuple[Descriptor, Iterator[bytes]]]:
        """Yield every blob in order; when this ends well, the whole bundle is proven."""

    def __enter__(self) -> Self:
        """Return the bundle itself."""

    def __exit__(self, *exception: object) -> None:
        """Close it."""


def open_bundle(
    path: Path,
    limits: Limits = DEFAULT_LIMITS,
    verifier: StatementCheck | None = None,
    volumes_in: Iterable[Path] = (),
    frames: FrameCache | None = None,
) -> Bundle:
    """Open a bundle file, volumes or an unpacked layout, and read its inventory.

    A set is named by any of its volumes, by the folder that holds it, or by the bundle's name beside them;
    `volumes_in` are more folders. Bundles that are read together share `frames`, and so the memory for them.

    Raises NotFoundError, UsageError for what is neither file nor directory, and what its content
    deserves: ContentError, IntegrityError, TrustError.
    """
    with errors_of(path):
        return _opened(path, limits, verifier, volumes_in, frames)


def refuse_unused_folders(volumes_in: Collection[Path], *bundles: Bundle) -> None:
    """Raise UsageError where folders of volumes are given, and none of the bundles is in volumes."""
    if volumes_in and not any(bundle.volumes for bundle in bundles):
        names = ", ".join(str(bundle.path) for bundle in bundles)
        raise UsageError("--volumes-in", f"not in volumes: {names}", "leave it out")


def _opened(
    path: Path,
    limits: Limits,
    verifier: StatementCheck | None,
    volumes_in: Iterable[Path],
    frames: FrameCache | None,
) -> Bundle:
    if _means_volumes(path, volumes_in):
        return _in_pieces(path, open_set(path, volumes_in), limits, verifier, frames)
    if path.is_dir():
        return BundleDirectory(path, limits, verifier)
    if not path.exists():
        raise NotFoundError(str(path), "not there", "check the path")
    if not path.is_file():
        raise UsageError(
            str(path), "neither a file nor a directory", "`-` reads a bundle from standard input"
        )
    file = OneFile(path)
    if not ends_like_volume(file):
        return _in_pieces(path, file, limits, verifier, frames)
    file.close()
    return _in_pieces(path, open_set(path, volumes_in), limits, verifier, frames)


def _in_pieces(
    path: Path,
    pieces: BundleBytes,
    limits: Limits,
    verifier: StatementCheck | None,
    frames: FrameCache | None,
) -> Bundle:
    """Open a bundle in the form that its first bytes say."""
    if pieces.read_at(len(bundle_format.COMPACT_MARK), 0) != bundle_format.COMPACT_MARK:
        return BundleFile(path, pieces, limits, verifier, frames)
    from bundler.bundle.compacted.compact_reader import CompactFile

    return CompactFile(path, pieces, limits, verifier, frames)


def _means_volumes(path: Path, more: Iterable[Path]) -> bool:
    """Return True if a path that is not a file stands for volumes."""
    if not path.is_dir():
        return names_lost_volume(path)
    return not is_layout(path) and bool(volumes_among(path) or any(map(volumes_among, more)))


def _told_of(path: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks; an error among them names the file."""
    with errors_of(path):
        yield from chunks


class BundleFile(PiecedBundle):
    """A bundle's bytes with random access by their seek table; the same open files from first to last."""

    is_compact = False

    def __init__(
        self,
        path: Path,
        pieces: BundleBytes,
        limits: Limits,
        verifier: StatementCheck | None = None,
        frames: FrameCache | None = None,
    ) -> None:
        super().__init__(path, pieces, limits)
        try:
            start = BundleStream(self._from_start(), limits, verifier)
            self.inventory = start.open()
            self.id, self.signed_statement, self.proven = start.id, start.signed_statement, start.proven
            self._frames = self._read_seek_table()
        except BaseException:
            pieces.close()
            raise
        self._offsets = [0, *accumulate(frame.compressed for frame in self._frames)]
        self._contents = [0, *accumulate(frame.content for frame in self._frames)]
        self._starts: dict[Digest, int] = {}
        offset = start.position
        for member in self.inventory.members:
            self._starts[member.blob.digest] = offset + len(member.header)
            offset += member.length
        self._shared = frames or FrameCache()

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, verified; only the frames that hold it are read."""
        start = self._starts.get(blob.digest)
        if start is None:
            raise absent(blob, self.inventory, self.path)
        member = member_of(blob)
        return _told_of(self.path, member.restored(self._range(start, start + member.size)))

    def everything(self) -> Iterator[tuple[Descriptor, Iterator[bytes]]]:
        """Yield every blob in order, reading the whole file once; every byte is accounted for."""
        read_before = (self.id, self.inventory)
        stream = BundleStream(self._from_start(), self._limits, read_before=read_before)
        try:
            stream.open()
            if (stream.id, stream.signed_statement) != (self.id, self.signed_statement):
                raise self._changed()
            with errors_of(self.path):
                for blob, chunks in stream.blobs():
                    yield blob, _told_of(self.path, chunks)
        except (IntegrityError, ContentError):
            self._pieces.diagnose()
            raise
        self._pieces.check(stream.sha256)
        self.sha256 = stream.sha256

    def _from_start(self) -> _FromStart:
        return _FromStart(self._pieces)

    def _read_seek_table(self) -> list[bundle_format.Frame]:
        size = self._pieces.size
        footer = self._pieces.read_at(
            bundle_format.SEEK_TABLE_FOOTER, max(size - bundle_format.SEEK_TABLE_FOOTER, 0)
        )
        length = bundle_format.seek_table_size(footer) or size + 1
        if length > size or length > bundle_format.seek_table_size_of(self._limits.frames):
            raise self._diagnosis()
        frames = bundle_format.parse_seek_table(self._pieces.read_at(length, size - length))
        if sum(frame.compressed for frame in frames) + bundle_format.DIGEST_FRAME + length != size:
            raise self._diagnosis()
        if any(not 0 < frame.content <= bundle_format.FRAME_CONTENT for frame in frames):
            raise ContentError(BUNDLE, "its seek table lists a frame of a size that format 1 does not allow")
        return frames

    def _changed(self) -> IntegrityError:
        return IntegrityError(str(self.path), "it changed while it was read", "run the same command again")

    def _diagnosis(self) -> BundlerError:
        """Return the reason why the end is wrong, found by reading from the start."""
        try:
            for _ in self.everything():
                pass
        except BundlerError as error:
            return error
        return bundle_format.damaged("its end is not that of a bundle")

    def _range(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of the tar stream."""
        shared = end - start <= bundle_format.PIECE
        first = bisect_right(self._contents, start) - 1
        for number in range(first, len(self._frames)):
            begin = self._contents[number]
            if begin >= end:
                return
            data = self._shared.get(self, number, self._frame) if shared else self._frame(number)
            view = memoryview(data)[max(start - begin, 0) : end - begin]
            for offset in range(0, len(view), CHUNK):
                yield bytes(view[offset : offset + CHUNK])

    def _frame(self, number: int) -> bytes:
        frame = self._frames[number]
        data = self._pieces.read_at(frame.compressed, self._offsets[number])
        if len(data) < frame.compressed:
            raise self._changed()
        _, content = bundle_format.frame_content(data[:13])
        if content != frame.content:
            raise bundle_format.damaged("a frame is not of the size that its seek table says")
        return unpacked(
            zstandard.ZstdDecompressor(max_window_size=bundle_format.FRAME_CONTENT), data, content
        )


class _FromStart:
    """A ByteStream over the pieces with a position of its own."""

    def __init__(self, pieces: BundleBytes) -> None:
        self._pieces = pieces
        self._position = 0
        self._passed = pieces.checking()

    def read(self, size: int, /) -> bytes:
        """Return the next bytes; none at the end."""
        data = self._pieces.read_at(size, self._position)
        self._position += len(data)
        self._passed(data)
        return data
