"""Files that a person wrote, and how many may be open at a time."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.errors import UsageError
from bundler.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from bundler.config.values import ImportFile

LONGEST = 4 * DEFAULT_LIMITS.config
"""Bytes of such a file: the characters that it may have, four bytes each."""


def text_of(path: Path) -> str:
    """A text file that a person wrote. Raises UsageError."""
    try:
        data = read_at_most(path, LONGEST)
        if len(data) > LONGEST:
            cause = f"larger than the limit of {LONGEST:,} bytes"
            raise UsageError(str(path), cause, "name a file that a person wrote")
        return data.decode().replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "not a text file"
        raise UsageError(str(path), cause, "name a text file that can be read") from None


def read_at_most(path: Path, limit: int) -> bytes:
    """A file's bytes; of a larger one, one more than `limit`. Raises OSError."""
    with path.open("rb") as file:
        return file.read(limit + 1)


def import_file(path: Path | None) -> ImportFile | None:
    """What an import file says, if there is one. Raises UsageError with all that is wrong in it."""
    if path is None:
        return None
    from bundler.config.import_file import read_import_file

    return read_import_file(str(path), text_of(path))


def allow_open_files() -> None:
    """As many as the system lets this process have: a chain of years is more than a shell gives at first."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
