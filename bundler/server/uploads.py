"""Upload sessions: bytes that arrive in pieces and become a blob once their digest is proven.

They lie below the store's `.partial/`, so that a finished one gets its name by a rename. A session
lives as long as the server: what an earlier process left is removed.
"""

import contextlib
import hashlib
import secrets
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from bundler.durable import WholeFile, local_errors, make_directories, remove_if_there
from bundler.errors import IntegrityError
from bundler.oci import Digest

SESSIONS = 200
"""Sessions at a time, each an open file; beyond them the oldest is given up."""

IN_USE = 1.0
"""Seconds that a request waits for a session that another one writes to."""

_PREFIX = "upload-"


class UploadInUseError(Exception):
    """Another request writes to this session, and doesn't end."""


class UploadSession:
    """One session. Its methods are called with its lock held."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        self.size = 0
        self._file = WholeFile(path, path)
        self._hash = hashlib.sha256()

    def append(self, chunks: Iterable[bytes]) -> None:
        """Take more bytes. If `chunks` breaks off, what came stays, and the session can go on."""
        for chunk in chunks:
            self._file.write(chunk)
            self._hash.update(chunk)
            self.size += len(chunk)

    def keep(self, digest: Digest, path: Path) -> None:
        """Make the upload a blob; the caller syncs the folder. The session ends either way.

        Raises IntegrityError, and keeps nothing, if its bytes have another digest.
        """
        try:
            seen = self._digest(digest.algorithm)
            if seen != digest:
                raise IntegrityError(f"blob {digest}", f"the received bytes have the digest {seen}")
            make_directories(path.parent)
            self._file.path = path
            self._file.commit(sync_folder=False)
        except BaseException:
            self._file.discard()
            raise

    def discard(self) -> None:
        """Give up the upload and remove its file."""
        self._file.discard()

    def _digest(self, algorithm: str) -> str:
        if algorithm == "sha256":
            return f"sha256:{self._hash.hexdigest()}"
        # Rare, and known only now: read it once more.
        with local_errors(self._file.temporary, "read"), self._file.temporary.open("rb") as file:
            return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


class Uploads:
    """All sessions of one server."""

    def __init__(self, folder: Path, sessions: int = SESSIONS) -> None:
        self._folder = folder
        self._sessions = sessions
        self._open: dict[str, UploadSession] = {}
        self._lock = threading.Lock()
        for left in folder.glob(f"{_PREFIX}*"):
            remove_if_there(left)

    def begin(self) -> str:
        """Open a session and return its name."""
        name = secrets.token_hex(16)
        with self._lock:
            self._make_room()
            self._open[name] = UploadSession(self._folder / f"{_PREFIX}{name}")
        return name

    @contextlib.contextmanager
    def session(self, name: str) -> Iterator[UploadSession | None]:
        """Yield a session, locked for the caller; None if it has ended or never existed.

        Raises UploadInUseError where another request keeps it.
        """
        upload = self._open.get(name)
        if upload is None:
            yield None
            return
        if not upload.lock.acquire(timeout=IN_USE):
            raise UploadInUseError
        try:
            yield upload if name in self._open else None
        finally:
            upload.lock.release()

    def end(self, name: str) -> None:
        """End a session."""
        with self._lock:
            self._open.pop(name, None)

    def discard_all(self) -> None:
        """Give up every session."""
        with self._lock:
            for upload in self._open.values():
                upload.discard()
            self._open.clear()

    def _make_room(self) -> None:
        # The oldest that nobody writes to: an abandoned session must not hold its file for ever.
        if len(self._open) < self._sessions:
            return
        for name, upload in self._open.items():
            if upload.lock.acquire(blocking=False):
                upload.discard()
                del self._open[name]
                upload.lock.release()
                return
