"""Operations that some file systems refuse, done as far as they go: syncs, locks, long names, links."""

import errno
import fcntl
import hashlib
import os
import stat
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

LONGEST_NAME = 255
"""Bytes of a file name, on every usual file system."""

_MOST_LINKS = 40

_NOT_SUPPORTED = frozenset(
    {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.ENOTTY, errno.EISDIR}
)
"""Error numbers of file systems that do not know an operation (SMB, FUSE, 9p, shared folders)."""

NO_LOCKS = errno.ENOLCK
"""The error number of every lock that a file system does not support."""

_warned: set[int] = set()


class LocalWarning(UserWarning):
    """A warning about what a file system does not do, and what is done without."""


def sync_descriptor(descriptor: int, path: Path, sync: Callable[[int], None] | None = None) -> None:
    """Make an open file or directory durable; warn once for each file system that refuses that.

    Raises: OSError for a disk that fails, which is another matter.
    """
    try:
        (sync or os.fsync)(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
        _warn_once(
            os.fstat(descriptor).st_dev,
            f"{path}: the file system does not sync it ({error.strerror}): after a power cut, "
            "check what was written last, with verify",
        )


def _warn_once(kind: int, message: str) -> None:
    if kind not in _warned:
        _warned.add(kind)
        warnings.warn(message, LocalWarning, stacklevel=3)


def open_by_mount(path: Path, shared: int) -> bool:
    """Return whether the mount lets others write to a file or folder, and nobody can change that.

    FAT, exFAT, NTFS and network shares may have one mode for all files, whatever mode they are given: with a
    warning, once, they are used nevertheless. On one that is read-only, nobody writes. `shared` are the bits
    by which others write.
    """
    folder = path if path.is_dir() else path.parent
    try:
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return True
        with tempfile.TemporaryFile(dir=folder) as file:
            status = os.fstat(file.fileno())
    except OSError:
        return False
    if status.st_mode & shared:
        _warn_once(
            -status.st_dev,
            f"{path}: by its mount (umask, file_mode), everybody on this machine can change what is there",
        )
    return bool(status.st_mode & shared)


def try_lock(descriptor: int) -> bool:
    """Lock an open file or directory until it is closed; False if another process has it locked.

    Raises: OSError, with the number `NO_LOCKS` where the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NOT_SUPPORTED | {errno.ENOLCK}:
            raise OSError(NO_LOCKS, f"the file system does not support locks ({error.strerror})") from error
        raise
    return True


def fits(name: str) -> bool:
    """Return whether a file system takes a name of this length."""
    return len(os.fsencode(name)) <= LONGEST_NAME


def beside(path: Path, before: str, after: str) -> Path:
    """Return the path of a file beside another: its name between two parts, or its digest where that fits."""
    name = f"{before}{path.name}{after}"
    if not fits(name):
        name = f"{before}{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32]}{after}"
    return path.with_name(name)


def followed(path: Path) -> Path:
    """Return the file that a link leads to, which need not exist; any other path as it is.

    Raises: OSError for a link of another user, who could have planted it, for a loop, and for a device, a
    pipe or a socket, which a file with this name would replace.
    """
    for _ in range(_MOST_LINKS):
        try:
            status = path.lstat()
        except FileNotFoundError:
            return path
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            return path
        if not stat.S_ISLNK(status.st_mode):
            raise OSError(errno.EEXIST, "it is a device, a pipe or a socket")
        if status.st_uid not in (os.geteuid(), 0):
            raise OSError(errno.EPERM, f"it is a link of another user (id {status.st_uid})")
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
