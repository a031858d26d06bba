"""The file of a page: a newer page replaces an older one; anything else is kept."""

import os
from collections.abc import Iterable
from pathlib import Path

from bundler.durable import local_errors, write_whole
from bundler.errors import UsageError
from bundler.named_files import check_folder
from bundler.page.render import FIRST_LINES


def check_place(out: Path, read: Iterable[Path], *, force: bool) -> None:
    """Raise UsageError before any work if the page can't go there. `read` is what it is made from."""
    exists = os.path.lexists(out)
    if exists and not out.is_file():
        cause = "it exists and is not a file"
        raise UsageError(str(out), cause, "choose another name; `-` is standard output")
    check_folder(out)
    for path in read:
        if out.resolve().is_relative_to(path.resolve()):
            raise UsageError(str(out), f"it is, or lies in, {path}, which is read", "choose another name")
    if exists and not force and not is_page(out):
        cause = "it exists and is not a report page"
        raise UsageError(str(out), cause, "choose another name, or --force to replace it")


def is_page(path: Path) -> bool:
    """Return True if a file begins like a page."""
    first = FIRST_LINES.encode()
    with local_errors(path, "read"), path.open("rb") as file:
        return file.read(len(first)) == first


def write_page(out: Path, page: str) -> None:
    """Write the page whole, or leave what was there."""
    write_whole(out, page.encode())
