"""An OCI image layout on disk that grows, and outlives interruptions. A BlobSource and a BlobSink.

Present means verified: a blob gets its name only after its bytes were hashed and made durable.
`.partial/` holds blobs under way; a later run goes on with them. Source: image-spec 1.1,
image-layout.md.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from bundler import durable
from bundler.errors import BundlerError, IntegrityError, LocalError
from bundler.layout import LAYOUT, LAYOUT_FILE, Layout
from bundler.limits import KIB, MIB
from bundler.oci import CHUNK, Descriptor, Digest, Verifier, verified
from bundler.session import Session
from bundler.workers import each

PARTIAL = ".partial"

LOCK = ".lock"

SMALL = 64 * KIB
"""Largest size of a blob that a temporary store keeps in memory: a file of its own costs more time."""

HELD = 4 * MIB
"""Bytes of small blobs in memory, and so what a run that is killed has to fetch again."""


class Store(Layout):
    """A layout that is written to, by one process at a time."""

    def __init__(self, path: Path, *, temporary: bool = False) -> None:
        super().__init__(path)
        self._temporary = temporary
        self._held: dict[Digest, bytes] = {}
        """Manifests that a temporary store need not write: they are in memory anyway."""
        self._small: dict[Digest, bytes] = {}
        """Small blobs that it keeps in memory, too."""
        self._room = HELD if temporary else -1
        """Bytes of small blobs that it may keep more; about, as several threads count."""
        self._goes_on = False
        """Whether an earlier run has left something in it that was under way."""
        self._lock: int | None = None
        # An earlier run may have ended after it gave blobs their names, and before it made them durable.
        self._names_unsynced = True

    # --- life ------------------------------------------------------------------------------------

    def __enter__(self) -> Store:
        """Create what is missing and lock it. Raises LocalError when another process holds it."""
        for folder in (self.path, self.path / PARTIAL, self.path / "blobs", self.path / "blobs" / "sha256"):
            durable.make_directories(folder)
            durable.check_ours(folder)
        self._lock = _lock(self.path / LOCK)
        with durable.local_errors(self.path, "look at"):
            if not (self.path / LAYOUT_FILE).exists():
                durable.write_whole(self.path / LAYOUT_FILE, LAYOUT, follow=False)
            self._goes_on = any((self.path / PARTIAL).iterdir())
        return self

    def __exit__(self, *exception: object) -> None:
        """Unlock it."""
        if self._lock is not None:
            with durable.local_errors(self.path / LOCK, "close"):
                os.close(self._lock)
            self._lock = None

    def check_free(self) -> None:
        """Raise LocalError if another process holds the store now; change nothing."""
        path = self.path / LOCK
        with durable.local_errors(path, "open"):
            if not path.exists():
                return
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _refuse_locked(descriptor, path)
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Remove it all, lock included."""
        with durable.local_errors(self.path, "remove"):
            try:
                shutil.rmtree(self.path)
            except OSError as error:
                if error.errno != errno.ENOTEMPTY:
                    raise
                # NFS and FUSE keep the lock, under another name, as long as it is open.
                self.__exit__()
                shutil.rmtree(self.path, ignore_errors=True)

    def empty(self) -> bool:
        """Return whether it holds no blob, complete or partial."""
        with durable.local_errors(self.path, "look at"):
            folders = (self.path / PARTIAL, *(self.path / "blobs").iterdir())
            return not any(entry for folder in folders for entry in folder.iterdir())

    # --- blobs -----------------------------------------------------------------------------------

    def has(self, blob: Descriptor) -> bool:
        """Return True if the blob is there in its size."""
        small = self._small.get(blob.digest)
        return super().has(blob) if small is None else len(small) == blob.size

    def left_over(self, blob: Descriptor) -> int:
        """Return the number of bytes that an earlier run left of a partial blob."""
        try:
            return min(self._partial(blob.digest).lstat().st_size, blob.size)
        except OSError:
            return 0

    def add(self, blob: Descriptor, chunks: Callable[[int], Iterable[bytes]]) -> None:
        """Keep a blob; goes on with what an earlier run left of it.

        On IntegrityError what came is gone; on any other error it stays for the next run.
        """
        if blob.size <= min(SMALL, self._room) and not (self._goes_on and self.left_over(blob)):
            self._room -= blob.size
            self._small[blob.digest] = b"".join(verified(blob, chunks(0)))
            return
        file = durable.WholeFile(self.blob_path(blob.digest), self._partial(blob.digest), resume=True)
        try:
            self._fill(file, blob, chunks)
        except IntegrityError:
            file.discard()
            raise
        except BaseException:
            file.keep()
            raise
        self._commit(file)

    def _commit(self, file: durable.WholeFile) -> None:
        if not file.path.parent.is_dir():
            durable.make_directories(file.path.parent)
        file.commit(sync_folder=False)
        self._names_unsynced = True

    def _fill(
        self, file: durable.WholeFile, blob: Descriptor, chunks: Callable[[int], Iterable[bytes]]
    ) -> None:
        verifier = Verifier(blob)
        try:
            for chunk in file.written():
                verifier.update(chunk)
        except IntegrityError:  # longer than the blob: of no use
            verifier = Verifier(blob)
            file.restart()
        if verifier.seen < blob.size or not blob.size:
            for chunk in chunks(verifier.seen):
                verifier.update(chunk)
                file.write(chunk)
        verifier.finish()

    def add_bytes(self, blob: Descriptor, data: bytes) -> None:
        """Keep a small blob that is in memory, and proven."""
        if self._temporary:
            self._held[blob.digest] = data
        elif not self.has(blob):
            file = durable.WholeFile(self.blob_path(blob.digest), self._partial(blob.digest))
            try:
                file.write(data)
            except BaseException:
                file.discard()
                raise
            self._commit(file)

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, verified; remove a damaged blob, so that the next run fetches it again."""
        held = self._held.get(blob.digest) or self._small.get(blob.digest)
        if held is not None:
            yield from verified(blob, [held])
            return
        try:
            yield from super().chunks(blob)
        except IntegrityError as error:
            durable.remove_if_there(self.blob_path(blob.digest))
            cause = f"{error.cause}; removed from {self.path}"
            raise IntegrityError(error.item, cause, "run the same command again to fetch it again") from error

    def keep_held(self) -> None:
        """Write the small blobs that are in memory, for the next run to go on with. Raises LocalError."""
        for digest, data in list(self._small.items()):
            file = durable.WholeFile(self.blob_path(digest), self._partial(digest))
            try:
                file.write(data)
            finally:
                file.keep()

    def sync(self) -> None:
        """Make the names of all blobs durable: before anything is written that relies on them."""
        if self._names_unsynced:
            with durable.local_errors(self.path, "sync"):
                for folder in (self.path / "blobs").iterdir():
                    durable.sync_directory(folder)
            durable.sync_directory(self.path / "blobs")
            # The store's own name: a directory that can't be read was not made by a run of ours.
            if not self._temporary and os.access(self.path.parent, os.R_OK):
                durable.sync_directory(self.path.parent)
            self._names_unsynced = False

    def write_file(self, name: str, data: bytes) -> None:
        """Replace one of the layout's own files."""
        durable.write_whole(self.path / name, data, follow=False)

    def _partial(self, digest: Digest) -> Path:
        return self.path / PARTIAL / f"{digest.algorithm}-{digest.encoded}"


def _lock(path: Path) -> int:
    descriptor = durable.own_file(path, 0o600)
    try:
        _refuse_locked(descriptor, path)
        with durable.local_errors(path, "write"):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_locked(descriptor: int, path: Path) -> None:
    """Lock an open file until it is closed. Raises: LocalError if another process has it locked."""
    if not durable.locked(descriptor, path):
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
        cause = f"in use by another run (process {holder or 'unknown'})"
        raise LocalError(str(path.parent), cause, "wait until it has ended")


class StoredBlob(NamedTuple):
    """One blob on disk, by its name."""

    digest: Digest
    path: Path
    size: int


def stored_blobs(store: Store) -> Iterator[StoredBlob]:
    """Yield every file under `blobs/` that is named like a blob."""
    folder = store.path / "blobs"
    with durable.local_errors(folder, "look at"):
        for path in sorted(folder.glob("*/*")):
            name = f"{path.parent.name}:{path.name}"
            if Digest.grammar.fullmatch(name) and path.is_file() and not path.is_symlink():
                yield StoredBlob(Digest(name), path, path.stat().st_size)


def unneeded(store: Store, needed: Callable[[Digest], bool]) -> list[StoredBlob]:
    """Return the blobs that nothing needs."""
    return [blob for blob in stored_blobs(store) if not needed(blob.digest)]


def remove(store: Store, blobs: Iterable[StoredBlob]) -> None:
    """Remove blobs, durably. The store's lock is held by the caller."""
    folders: dict[Path, None] = {}
    for blob in blobs:
        durable.remove_if_there(blob.path)
        folders[blob.path.parent] = None
    for folder in folders:
        durable.sync_directory(folder)


def damaged(store: Store, session: Session) -> list[tuple[StoredBlob, BundlerError]]:
    """Return every blob whose bytes are not those of its name; each is read whole."""
    blobs = list(stored_blobs(store))
    damaged_blobs: list[tuple[StoredBlob, BundlerError]] = []
    with session.progress.step("checking", len(blobs), sum(blob.size for blob in blobs)) as step:
        for blob, result in each(blobs, _check, jobs=session.jobs):
            step.advance(items=1, size=blob.size)
            if isinstance(result, BundlerError):
                damaged_blobs.append((blob, result))
    return sorted(damaged_blobs, key=lambda item: item[0].digest)


def _check(blob: StoredBlob) -> None:
    verifier = Verifier(Descriptor("", blob.digest, blob.size))
    with durable.local_errors(blob.path, "read"), blob.path.open("rb") as file:
        while chunk := file.read(CHUNK):
            verifier.update(chunk)
    try:
        verifier.finish()
    except IntegrityError as error:
        raise IntegrityError(
            str(blob.path), error.cause, "see `timoni-bundler store check --remove`"
        ) from None
