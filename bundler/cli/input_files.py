"""Files that a person wrote, how many may be open at a time, and the folder for temporary ones."""

from __future__ import annotations

import os
import resource
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import bundler
from bundler.config.selection_options import SelectOptions, TagOptions, narrowed, rules_of
from bundler.errors import LocalError
from bundler.named_files import text_of
from bundler.selection.rules import check

if TYPE_CHECKING:
    from bundler import Part
    from bundler.config.import_file import ImportFile


def import_file(path: Path | None) -> ImportFile | None:
    """Return an import file's content, if there is one. Raises UsageError with all that is wrong in it."""
    if path is None:
        return None
    from bundler.config.import_file import read_import_file

    return read_import_file(str(path), text_of(path), os.environ)


def part_of(select: SelectOptions, tags: TagOptions, file: ImportFile | None) -> Part:
    """Return what to take of a bundle, as command line and import file say it together. Raises UsageError.

    Restrictions are added, choices replace those of the file; so do repositories.
    """
    line = rules_of(tags)
    check(line)
    if file is None:
        return bundler.Part(select.repositories, line)
    return bundler.Part(select.repositories or file.select.repositories, narrowed(file.select.rules, line))


def scratch_folder() -> Path:
    """Return the folder for temporary files, as TMPDIR says. Raises LocalError if there is none."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        raise LocalError("temporary files", "no folder is available", "set TMPDIR to one") from error


def allow_open_files() -> None:
    """Allow as many open files as the system permits: a chain of years needs more than a shell allows."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
