"""Files and directories that appear whole or not at all: the only fsync and rename of the package.

Write to a temporary name in the same directory, fsync, rename, fsync the directory. Every OSError
of a local file becomes a LocalError that names the path here, so that no caller can forget it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import shutil
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bundler.errors import LocalError
from bundler.limits import MIB
from bundler.workers import InOrder

SYNC_EVERY = 64 * MIB
"""Bytes written before they are brought to the disk in the background."""

NEXT_STEP = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
    errno.EFBIG: "the file system or a limit allows no larger file here: choose another place",
    errno.EACCES: "check the permissions of the file and its folder",
    errno.EPERM: "check the permissions of the file and its folder",
    errno.EROFS: "the file system is read-only: choose another place",
    errno.EMFILE: "allow more open files (ulimit -n) or use fewer --jobs",
    errno.EIO: "the disk reports an error: check it before you try again",
    errno.EEXIST: "choose another name, or move what is there",
    errno.ENOENT: "check the path",
}
"""Next steps by the system's error number."""


@contextlib.contextmanager
def local_errors(path: Path, operation: str) -> Iterator[None]:
    """Turn an OSError of a local file operation into a LocalError that names the path."""
    try:
        yield
    except OSError as error:
        cause = f"can't {operation}: {error.strerror or error}"
        raise LocalError(str(path), cause, NEXT_STEP.get(error.errno or 0, "")) from error


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    _sync(path, os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    with local_errors(path, "sync"):
        descriptor = os.open(path, os.O_RDONLY | flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class WholeFile:
    """A file under a temporary name, until `commit` gives it its own.

    With `resume`, what an earlier run left under the temporary name is kept and appended to.
    """

    def __init__(self, path: Path, temporary: Path, *, resume: bool = False) -> None:
        self.path = path
        self.temporary = temporary
        self._unsynced = 0
        self._syncing: InOrder | None = None
        self._file = _opened_alone(temporary)
        if not resume:
            self.restart()

    def written(self) -> Iterator[bytes]:
        """Yield what an earlier run left, from the start; afterwards, writing goes on behind it."""
        with local_errors(self.temporary, "read"):
            while chunk := self._file.read(MIB):
                yield chunk

    def write(self, data: bytes | memoryview) -> None:
        """Append all of `data`."""
        with local_errors(self.temporary, "write"):
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        self._unsynced += len(data)
        if self._unsynced >= SYNC_EVERY:
            self._unsynced = 0
            self._begin_sync()

    def _begin_sync(self) -> None:
        """Have a long file brought to the disk while it is written, not only at its end."""
        if self._syncing is None:
            self._syncing = InOrder(behind=0)
        with self._sync_errors():
            self._syncing.call(partial(os.fdatasync, self._file.fileno()))

    @contextlib.contextmanager
    def _sync_errors(self) -> Iterator[None]:
        """Forget what could not be brought to the disk: a later run would read it from the cache."""
        try:
            with local_errors(self.temporary, "sync"):
                yield
        except LocalError:
            with contextlib.suppress(LocalError):
                self.restart()
            raise

    def _end_sync(self) -> None:
        if self._syncing is not None:
            syncing, self._syncing = self._syncing, None
            syncing.finish()

    def permit(self, mode: int) -> None:
        """Say who may read and write it, whatever the umask says."""
        with local_errors(self.temporary, "set the permissions of"):
            os.fchmod(self._file.fileno(), mode)

    def restart(self) -> None:
        """Forget everything written so far."""
        with local_errors(self.temporary, "truncate"):
            self._file.seek(0)
            self._file.truncate()

    def commit(self, *, sync_folder: bool = True) -> None:
        """Make it durable, then give it its name. The caller may sync the folder later, once."""
        with self._sync_errors():
            self._end_sync()
            os.fsync(self._file.fileno())
        # Closed after the rename: until then its lock keeps others from writing into it.
        with local_errors(self.path, "rename to"), self._file:
            self.temporary.replace(self.path)
        if sync_folder:
            sync_directory(self.path.parent)

    def keep(self) -> None:
        """Close it and leave it under the temporary name, for a later run to go on with."""
        with local_errors(self.temporary, "close"), self._file, self._sync_errors():
            self._end_sync()

    def discard(self) -> None:
        """Close and remove it."""
        with contextlib.suppress(OSError):
            self._end_sync()
        with contextlib.suppress(OSError):
            self.temporary.unlink()
        with contextlib.suppress(OSError):
            self._file.close()


def locked(descriptor: int, path: Path) -> bool:
    """Lock an open file until it is closed; False if another process has it locked."""
    with local_errors(path, "lock"):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def own_file(path: Path, mode: int) -> int:
    """Open a file for this program to write: created, or left by an earlier run. Raises LocalError.

    Where others may write into the folder, its name may be planted: a link to a file of somebody's, a
    pipe that nobody reads, a file that its owner still has open. None of them is written to.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    with local_errors(path, "open"):
        while True:
            with contextlib.suppress(FileExistsError):
                return os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
            # Another run may give it its final name meanwhile.
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(path, flags | os.O_NONBLOCK)
                break
        status, owner = os.fstat(descriptor), path.parent.stat().st_uid
        if stat.S_ISREG(status.st_mode) and status.st_nlink < 2 and status.st_uid in (os.geteuid(), owner):
            return descriptor
        os.close(descriptor)
    raise LocalError(str(path), "this is a link, a pipe or another user's file", "remove it")


def _opened_alone(path: Path) -> io.FileIO:
    """Open the file, created if need be, and lock it: no two runs write into one temporary file."""
    while True:
        file = io.FileIO(own_file(path, 0o666), "r+b")
        try:
            if not locked(file.fileno(), path):
                raise LocalError(str(path), "another run is writing it", "wait until that run has ended")
            # Whoever held the lock before may have given this file its final name meanwhile.
            with local_errors(path, "look at"), contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                    return file
        except BaseException:
            file.close()
            raise
        file.close()


def temporary_of(path: Path) -> Path:
    """Return the temporary name under which `whole_file` writes `path`."""
    return path.with_name(f".{path.name}.tmp")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[WholeFile]:
    """Yield a file that gets its name when the block ends well, and is removed when it doesn't.

    The temporary name is fixed, so that a killed run leaves one file that the next run replaces.
    """
    file = WholeFile(path, temporary_of(path))
    try:
        yield file
        file.commit()
    except BaseException:
        file.discard()
        raise


def write_whole(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write a small file so that it is there whole, or as it was before; `mode` overrules the umask."""
    with whole_file(path) as file:
        if mode is not None:
            file.permit(mode)
        file.write(data)


def append(path: Path, line: bytes) -> None:
    """Add a line to a small file, durably; two runs don't get into each other's lines."""
    descriptor = own_file(path, 0o666)
    with local_errors(path, "write"):
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    sync_directory(path.parent)


def make_directories(path: Path) -> None:
    """Create a directory and its parents."""
    with local_errors(path, "create the directory"):
        path.mkdir(parents=True, exist_ok=True)


def remove_if_there(path: Path) -> None:
    """Remove a file that may be absent."""
    with local_errors(path, "remove"):
        path.unlink(missing_ok=True)


# --- directories -------------------------------------------------------------------------------------


@contextlib.contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Yield a new directory that gets its name when the block ends well, and is removed when it doesn't.

    `path` must not be there, or be an empty directory. The temporary name is fixed, so that a killed
    run leaves one directory that the next run empties.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    lock = _directory_alone(temporary)
    try:
        yield temporary
        _sync_tree(temporary)
        with local_errors(path, "rename to"):
            temporary.rename(path)
        sync_directory(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def _directory_alone(path: Path) -> int:
    """Make the directory new and empty; return a descriptor that holds its lock."""
    while True:
        with local_errors(path, "create the directory"):
            path.mkdir(0o755, exist_ok=True)
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise LocalError(
                str(path), "another run is writing it", "wait until that run has ended"
            ) from error
        # Whoever held the lock before may have renamed or removed it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                _empty(path)
                return descriptor
        os.close(descriptor)


def _empty(path: Path) -> None:
    with local_errors(path, "empty"):
        for entry in path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _sync_tree(path: Path) -> None:
    for entry in (*path.rglob("*"), path):
        _sync(entry, os.O_NOFOLLOW)
