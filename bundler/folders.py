"""Folders: free space, checked before the first byte is written, and new ones that appear whole."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from bundler import durable
from bundler.errors import LocalError


def check_disk(needs: list[tuple[Path, int]]) -> None:
    """Raise LocalError unless every file system has room for all that goes there."""
    per_device: dict[int, tuple[Path, int]] = {}
    for path, size in needs:
        place = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
        with durable.local_errors(place, "look at"):
            device = place.stat().st_dev
        first, sum_ = per_device.get(device, (place, 0))
        per_device[device] = (first, sum_ + size)
    for place, size in per_device.values():
        with durable.local_errors(place, "look at"):
            usage = shutil.disk_usage(place)
        # Some file systems report 0 of 0 blocks: their space is unknown, not none.
        if usage.total and size > usage.free:
            cause = f"up to {size:,} bytes are needed, and {usage.free:,} are free"
            raise LocalError(str(place), cause, "free some space, or choose another place")


@contextlib.contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Yield a new directory that gets its name when the block ends well, and is removed when it doesn't.

    `path` must not be there, or be an empty directory. The temporary name is fixed, so that a killed
    run leaves one directory that the next run empties.
    """
    temporary = durable.temporary_of(path)
    lock = _directory_alone(temporary)
    try:
        yield temporary
        _sync_tree(temporary)
        with durable.local_errors(path, "rename to"):
            temporary.rename(path)
        durable.sync_directory(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def _directory_alone(path: Path) -> int:
    """Make the directory new and empty; return a descriptor that holds its lock."""
    while True:
        with durable.local_errors(path, "create the directory"):
            path.mkdir(0o755, exist_ok=True)
        durable.check_ours(path)
        with durable.local_errors(path, "open"):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            durable.refuse_foreign(path, os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        try:
            if not durable.locked(descriptor, path):
                raise LocalError(str(path), "another run is writing it", "wait until it has ended")
        except BaseException:
            os.close(descriptor)
            raise
        # Whoever held the lock before may have renamed or removed it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                _empty(path)
                return descriptor
        os.close(descriptor)


def _empty(path: Path) -> None:
    with durable.local_errors(path, "empty"):
        for entry in path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _sync_tree(path: Path) -> None:
    for entry in (*path.rglob("*"), path):
        durable.sync(entry, os.O_NOFOLLOW)
