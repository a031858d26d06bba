"""A bundle, or the same layout unpacked, opened for reading any blob: file and directory alike."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Protocol, Self

import zstandard

from bundler.bundle import format as layout
from bundler.bundle.index import check_index
from bundler.bundle.inventory import INVENTORY_FILE, Inventory, bundle_id, decode
from bundler.bundle.pieces import OneFile, Pieces, ends_like_volume, open_set, volumes_among
from bundler.bundle.stream import BundleStream, Judge
from bundler.bundle.wire import unpacked
from bundler.errors import BundlerError, ContentError, IntegrityError, NotFoundError, TrustError, UsageError
from bundler.layout import INDEX_FILE, LAYOUT, LAYOUT_FILE, Layout
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci.content import CHUNK, Descriptor, Digest, verified
from bundler.trust.armor import SIGNATURE_FILE
from bundler.trust.sealed import Sealed, sealed_of
from bundler.trust.statement import STATEMENT_FILE

KEPT_FRAMES = 3
"""Contents of shared frames held in memory: neighbours are mostly asked for together."""


class Bundle(Protocol):
    """What export made, in either form. A BlobSource."""

    path: Path
    id: Digest
    inventory: Inventory
    sha256: str | None
    """Of the whole file, once `everything` has passed; None for a directory."""
    file_size: int | None
    """Bytes of the file, or of all volumes together; None for a directory."""
    sealed: Sealed | None
    """What was signed of it; None for a bundle without a signature."""

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """A blob's bytes, verified."""

    def everything(self) -> Iterator[tuple[Descriptor, Iterator[bytes]]]:
        """Every blob in order; when it ends well, all of the bundle is proven."""

    def __enter__(self) -> Self:
        """The bundle itself."""

    def __exit__(self, *exception: object) -> None:
        """Close it."""


def open_bundle(
    path: Path,
    limits: Limits = DEFAULT_LIMITS,
    judge: Judge | None = None,
    volumes_in: Iterable[Path] = (),
) -> Bundle:
    """Open a bundle file, volumes or an unpacked layout; read its inventory, if the judge lets it in.

    A set is named by any of its volumes, or by the folder that holds it; `volumes_in` are more folders.

    Raises NotFoundError, UsageError for what is neither file nor directory, and what its content
    deserves: ContentError, IntegrityError, TrustError.
    """
    if path.is_dir() and (volumes_in or _holds_volumes(path)):
        return BundleFile(path, open_set(path, volumes_in), limits, judge)
    if path.is_dir():
        return BundleDirectory(path, limits, judge)
    if not path.exists():
        raise NotFoundError(str(path), "not there")
    if not path.is_file():
        raise UsageError(
            str(path), "neither a file nor a directory", "`-` reads a bundle from standard input"
        )
    file = OneFile(path)
    if not ends_like_volume(file):
        return BundleFile(path, file, limits, judge)
    file.close()
    return BundleFile(path, open_set(path, volumes_in), limits, judge)


def _holds_volumes(path: Path) -> bool:
    """Whether a folder is no layout, and has a volume."""
    if (path / INVENTORY_FILE).exists() or (path / LAYOUT_FILE).exists():
        return False
    return bool(volumes_among(path))


def _absent(blob: Descriptor, inventory: Inventory, path: Path) -> NotFoundError:
    """Why a bundle has no such blob."""
    if inventory.kind == "full":
        return NotFoundError(f"blob {blob.digest}", f"not in {path}")
    next_step = "`timoni-bundler merge` makes a full bundle of a delta and its base"
    return NotFoundError(f"blob {blob.digest}", f"{path} is a delta, and leaves it to its base", next_step)


class BundleFile:
    """A bundle's bytes with random access by their seek table; the same open files from first to last."""

    def __init__(self, path: Path, pieces: Pieces, limits: Limits, judge: Judge | None = None) -> None:
        self.path = path
        self.sha256: str | None = None
        self._limits = limits
        self._pieces = pieces
        self.file_size: int | None = pieces.size
        try:
            start = BundleStream(self._from_start(), limits, judge)
            self.inventory = start.open()
            self.id, self.sealed = start.id, start.sealed
            self._frames = self._read_seek_table()
        except BaseException:
            pieces.close()
            raise
        self._offsets = [0, *accumulate(frame.compressed for frame in self._frames)]
        self._contents = [0, *accumulate(frame.content for frame in self._frames)]
        members = [(blob.digest.path, blob.size) for blob in self.inventory.content]
        places = layout.places(members, start.position)
        self._places = {
            blob.digest: place for blob, place in zip(self.inventory.content, places, strict=True)
        }
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pieces.close()

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """A blob's bytes, verified; only the frames that hold it are read."""
        start = self._places.get(blob.digest)
        if start is None:
            raise _absent(blob, self.inventory, self.path)
        return verified(blob, self._range(start, start + blob.size))

    def everything(self) -> Iterator[tuple[Descriptor, Iterator[bytes]]]:
        """The whole file once from its start, every byte accounted for."""
        known = (self.id, self.inventory)
        stream = BundleStream(self._from_start(), self._limits, known=known)
        try:
            stream.open()
            if (stream.id, stream.sealed) != (self.id, self.sealed):
                raise IntegrityError(str(self.path), "it changed while it was read")
            yield from stream.blobs()
        except (IntegrityError, ContentError):
            self._pieces.diagnose()
            raise
        self.sha256 = stream.sha256

    def _from_start(self) -> _FromStart:
        return _FromStart(self._pieces)

    def _read_seek_table(self) -> list[layout.Frame]:
        size = self._pieces.size
        footer = self._pieces.read_at(layout.SEEK_TABLE_FOOTER, max(size - layout.SEEK_TABLE_FOOTER, 0))
        length = layout.seek_table_size(footer) or size + 1
        if length > size or length > layout.seek_table_size_of(self._limits.frames):
            raise self._diagnosis()
        frames = layout.parse_seek_table(self._pieces.read_at(length, size - length))
        if sum(frame.compressed for frame in frames) + layout.DIGEST_FRAME + length != size:
            raise self._diagnosis()
        if any(not 0 < frame.content <= layout.FRAME_CONTENT for frame in frames):
            raise ContentError("bundle", "its seek table names a frame of a size that format 1 has not")
        return frames

    def _diagnosis(self) -> BundlerError:
        """The end is not as it should be: reading from the start finds out why."""
        try:
            for _ in self.everything():
                pass
        except BundlerError as error:
            return error
        return IntegrityError(str(self.path), "damaged: its end is not that of a bundle")

    def _range(self, start: int, end: int) -> Iterator[bytes]:
        """Bytes of the tar stream."""
        shared = end - start <= layout.PIECE
        first = bisect_right(self._contents, start) - 1
        for number in range(first, len(self._frames)):
            begin = self._contents[number]
            if begin >= end:
                return
            data = self._shared_frame(number) if shared else self._frame(number)
            view = memoryview(data)[max(start - begin, 0) : end - begin]
            for offset in range(0, len(view), CHUNK):
                yield bytes(view[offset : offset + CHUNK])

    def _shared_frame(self, number: int) -> bytes:
        # One thread decompresses, the others find the result.
        with self._lock:
            if number not in self._kept:
                self._kept[number] = self._frame(number)
                if len(self._kept) > KEPT_FRAMES:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(number)
            return self._kept[number]

    def _frame(self, number: int) -> bytes:
        frame = self._frames[number]
        data = self._pieces.read_at(frame.compressed, self._offsets[number])
        if len(data) < frame.compressed:
            raise IntegrityError(str(self.path), "it changed while it was read")
        _, content = layout.frame_content(data[:13])
        if content != frame.content:
            raise IntegrityError(
                str(self.path), "damaged: a frame is not of the size that its seek table says"
            )
        return unpacked(zstandard.ZstdDecompressor(max_window_size=layout.FRAME_CONTENT), data, content)


class _FromStart:
    """Reads the pieces from their start without moving a position that others use. A ByteStream."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._position = 0

    def read(self, size: int, /) -> bytes:
        """The next bytes; none at the end."""
        data = self._pieces.read_at(size, self._position)
        self._position += len(data)
        return data


class BundleDirectory:
    """An unpacked bundle, or the directory that `export -o DIR` keeps."""

    def __init__(self, path: Path, limits: Limits, judge: Judge | None = None) -> None:
        self.path = path
        self.sha256: str | None = None
        self.file_size: int | None = None
        self._layout = Layout(path)
        try:
            data = self._layout.file(INVENTORY_FILE, limits.inventory)
        except NotFoundError as error:
            next_step = "an interrupted export has none: run it again; other layouts are not bundles"
            raise ContentError(str(path), f"not a bundle (no {INVENTORY_FILE})", next_step) from error
        self.id = bundle_id(data)
        self.sealed = self._read_seal(limits)
        if judge:
            judge(self.sealed)
        self.inventory = decode(data, limits=limits)
        if self._layout.file(LAYOUT_FILE, len(LAYOUT) + 1024).split() != LAYOUT.split():
            raise ContentError(str(path / LAYOUT_FILE), "not an OCI image layout 1.0.0")
        check_index(self._layout.file(INDEX_FILE, limits.inventory), self.inventory, limits=limits)

    def _read_seal(self, limits: Limits) -> Sealed | None:
        """Without a statement there is none; a signature that lies there alone speaks of nothing."""
        try:
            statement = self._layout.file(STATEMENT_FILE, limits.statement)
        except NotFoundError:
            return None
        try:
            signatures = self._layout.file(SIGNATURE_FILE, limits.signatures)
        except NotFoundError:
            cause = f"{STATEMENT_FILE} without {SIGNATURE_FILE}"
            raise TrustError(str(self.path), cause, "carry the directory again") from None
        return sealed_of(self.id, statement, signatures, limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is held open."""

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """A blob's bytes, verified."""
        try:
            yield from self._layout.chunks(blob)
        except NotFoundError as error:
            if any(blob.digest == left.digest for left in self.inventory.required):
                raise _absent(blob, self.inventory, self.path) from None
            raise IntegrityError(
                f"blob {blob.digest}", f"missing in {self.path}", "carry the directory again"
            ) from error

    def everything(self) -> Iterator[tuple[Descriptor, Iterator[bytes]]]:
        """Every blob that the inventory names. Other files of the directory don't matter."""
        for blob in self.inventory.content:
            chunks = self.chunks(blob)
            yield blob, chunks
            for _ in chunks:
                pass
