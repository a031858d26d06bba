"""`statement.json` and `statement.sig` in a directory.

The statement decides: it is removed first and written last, so that a run killed in between leaves a
bundle without a signature, never one with half of it.
"""

from __future__ import annotations

from pathlib import Path

from bundler.durable import local_errors, remove_if_there, write_whole
from bundler.trust.armor import SIGNATURE_FILE
from bundler.trust.sealed import Sealed
from bundler.trust.statement import STATEMENT_FILE


def write_seal(folder: Path, sealed: Sealed) -> None:
    """Write both files into a directory."""
    files = sealed.files()
    if not _has(folder, files[0]):
        remove_if_there(folder / STATEMENT_FILE)
    for name, data in reversed(files):
        write_whole(folder / name, data)


def remove_seal(folder: Path) -> None:
    """Remove what was signed of a bundle that is about to be replaced."""
    for name in (STATEMENT_FILE, SIGNATURE_FILE):
        remove_if_there(folder / name)


def _has(folder: Path, file: tuple[str, bytes]) -> bool:
    name, data = file
    path = folder / name
    with local_errors(path, "read"):
        return path.is_file() and path.read_bytes() == data
