"""Files that appear whole or not at all: with new folders, the only fsync and rename of the package.

Write to a temporary name in the same directory, fsync, rename, fsync the directory. Every OSError
of a local file becomes a LocalError that names the path here, so that no caller can forget it.
"""

import contextlib
import errno
import fcntl
import io
import os
import shlex
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bundler.errors import LocalError
from bundler.file_system import NO_LOCKS, beside, followed, open_by_mount, sync_descriptor, try_lock
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
    errno.ENAMETOOLONG: "choose a name of at most 255 bytes",
    NO_LOCKS: "choose a folder on a local disk, or mount it with locks (SMB: nobrl; NFS: local_lock=flock)",
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
    sync(path, os.O_DIRECTORY)


def sync(path: Path, flags: int) -> None:
    """Make a file or directory durable, opened with `flags`."""
    with local_errors(path, "sync"):
        descriptor = os.open(path, os.O_RDONLY | flags)
        try:
            sync_descriptor(descriptor, path)
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
            self._syncing.call(partial(sync_descriptor, self._file.fileno(), self.temporary, os.fdatasync))

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
            sync_descriptor(self._file.fileno(), self.temporary)
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
        return try_lock(descriptor)


def check_ours(path: Path) -> None:
    """Raise LocalError for what exists at `path` and is not this user's alone to change.

    That is a link, something of another user (root excepted), or something that others can write to.
    A store or a state folder of that kind would let others decide what this program believes.
    """
    with local_errors(path, "look at"), contextlib.suppress(FileNotFoundError):
        refuse_foreign(path, path.lstat())


def refuse_foreign(path: Path, status: os.stat_result) -> None:
    """Raise LocalError with the command that mends it."""
    name, mode = shlex.quote(str(path)), status.st_mode
    every = "-R " if stat.S_ISDIR(mode) else ""
    shared = stat.S_IWOTH | (stat.S_IWGRP if status.st_gid != os.getegid() else 0)
    if stat.S_ISLNK(mode):
        cause, remedy = "it is a link", f"name what it points to, or remove it: rm {name}"
    elif status.st_uid not in (os.geteuid(), 0):
        cause = f"it belongs to another user (id {status.st_uid})"
        remedy = f"choose another place or, if you trust its content: chown {every}{os.geteuid()} {name}"
    elif mode & shared and not open_by_mount(path, shared):
        cause, remedy = "other users can write to it", f"chmod {every}go-w {name}"
    else:
        return
    raise LocalError(str(path), cause, remedy)


def own_file(path: Path, mode: int) -> int:
    """Open a file for this program to write: created, or left by an earlier run. Raises LocalError.

    Its name may be planted: a link to a file of somebody's, a pipe that nobody reads, a file that its
    owner still has open. None of them is written to.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    cause = "a folder, a pipe, a device or a file with another name has this name"
    odd = partial(LocalError, str(path), cause, NEXT_STEP[errno.EEXIST])  # errors take long to make
    with local_errors(path, "open"):
        while True:
            with contextlib.suppress(FileExistsError):
                return os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
            if path.exists() and not path.is_file():
                raise odd()
            check_ours(path)  # another run may give it its final name meanwhile
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(path, flags | os.O_NONBLOCK)
                break
    try:
        with local_errors(path, "look at"):
            status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise odd()
        refuse_foreign(path, status)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _opened_alone(path: Path) -> io.FileIO:
    """Open the file, created if need be, and lock it: no two runs write into one temporary file."""
    while True:
        file = io.FileIO(own_file(path, 0o666), "r+b")
        try:
            if not locked(file.fileno(), path):
                raise LocalError(str(path), "another run is writing it", "wait until it has ended")
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
    return beside(path, ".", ".tmp")


def begin_whole(path: Path, *, follow: bool = True) -> WholeFile:
    """Return a file to write under its temporary name; behind a link, beside what the link leads to."""
    if follow:
        with local_errors(path, "follow"):
            path = followed(path)
    return WholeFile(path, temporary_of(path))


@contextlib.contextmanager
def whole_file(path: Path, *, follow: bool = True) -> Iterator[WholeFile]:
    """Yield a file that gets its name when the block ends well, and is removed when it doesn't.

    The temporary name is fixed, so that a killed run leaves one file that the next run replaces. With
    `follow`, a link stays and its file is replaced; without, as in folders of this program, the link.
    """
    file = begin_whole(path, follow=follow)
    try:
        yield file
        file.commit()
    except BaseException:
        file.discard()
        raise


def write_whole(path: Path, data: bytes, *, mode: int | None = None, follow: bool = True) -> None:
    """Write a small file so that it is there whole, or as it was before; `mode` overrules the umask."""
    with whole_file(path, follow=follow) as file:
        if mode is not None:
            file.permit(mode)
        file.write(data)


def append(path: Path, line: bytes) -> None:
    """Add a line to a small file, durably; two runs don't get into each other's lines."""
    descriptor = own_file(path, 0o600)
    with local_errors(path, "write"):
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
            os.write(descriptor, line)
            sync_descriptor(descriptor, path)
        finally:
            os.close(descriptor)
    sync_directory(path.parent)


def make_directories(path: Path) -> None:
    """Create a directory and its parents, which nobody else can write to, whatever the umask says."""
    with local_errors(path, "create the directory"):
        for folder in [folder for folder in (*reversed(path.parents), path) if not folder.is_dir()]:
            folder.mkdir(0o755, exist_ok=True)


def read_if_there(path: Path, limit: int = -1) -> bytes | None:
    """Return the first `limit` bytes of a file, or all; None if nothing has this name. Raises LocalError."""
    with local_errors(path, "read"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            if path.is_symlink():
                raise
            return None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise LocalError(str(path), "not a regular file", NEXT_STEP[errno.EEXIST])
            with io.FileIO(descriptor, closefd=False) as file:
                return io.BufferedReader(file).read(limit)
        finally:
            os.close(descriptor)


def remove_if_there(path: Path) -> None:
    """Remove a file that may be absent."""
    with local_errors(path, "remove"):
        path.unlink(missing_ok=True)
