"""Files that a person names: folders checked before any work, texts read within a bound."""

import os
from pathlib import Path

from bundler.durable import local_errors
from bundler.errors import LocalError, UsageError
from bundler.file_system import followed
from bundler.limits import DEFAULT_LIMITS


def check_folder(file: Path, option: str = "") -> None:
    """Raise unless a file can be made: `option` is the one that named it.

    Raises: UsageError without its folder and for `-`, LocalError for a device or a pipe, which a file would
    replace.
    """
    if str(file) == "-":
        raise UsageError(option or "-", "this can't be written to standard output", "name a file")
    if not file.parent.is_dir():
        cause = f"{option}: its folder does not exist" if option else "its folder does not exist"
        raise UsageError(str(file), cause, f"create {file.parent}")
    with local_errors(file, "replace"):
        followed(file)


def check_writable(file: Path) -> None:
    """Raise LocalError unless a file may be made in its folder."""
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise LocalError(str(file), "no permission to write into its folder", "choose another folder")


def check_new_folder(path: Path) -> None:
    """Raise LocalError unless `path` is a folder to write into, or can be made one."""
    places = (path, *path.parents)
    with local_errors(path, "look at"):
        nearest = next(place for place in places if os.path.lexists(place))
    if not nearest.is_dir():
        raise LocalError(str(path), f"{nearest} is not a directory", "choose another place")
    if not os.access(nearest, os.R_OK | os.W_OK | os.X_OK):
        raise LocalError(str(path), f"no permission to write into {nearest}", "choose another place")


LONGEST = 4 * DEFAULT_LIMITS.config
"""Bytes of such a file: the characters that it may have, four bytes each."""


def text_of(path: Path) -> str:
    """Read a text file that a person wrote. Raises UsageError."""
    try:
        data = read_at_most(path, LONGEST)
        if len(data) > LONGEST:
            cause = f"larger than the limit of {LONGEST:,} bytes"
            raise UsageError(str(path), cause, "check that it is the right file")
        return data.decode().replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "not a text file"
        raise UsageError(str(path), cause, "name a text file that can be read") from None


def read_at_most(path: Path, limit: int) -> bytes:
    """Read a file's bytes; of a larger one, one more than `limit`. Raises OSError."""
    with path.open("rb") as file:
        return file.read(limit + 1)
