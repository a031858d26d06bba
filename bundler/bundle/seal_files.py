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
    (_, statement), (_, signatures) = sealed.files()
    if _has(folder, statement):
        write_whole(folder / SIGNATURE_FILE, signatures)
        return
    remove_if_there(folder / STATEMENT_FILE)
    write_whole(folder / SIGNATURE_FILE, signatures)
    write_whole(folder / STATEMENT_FILE, statement)


def remove_seal(folder: Path) -> None:
    """Remove what was signed of a bundle that is about to be replaced."""
    for name in (STATEMENT_FILE, SIGNATURE_FILE):
        remove_if_there(folder / name)


def _has(folder: Path, statement: bytes) -> bool:
    path = folder / STATEMENT_FILE
    with local_errors(path, "read"):
        return path.is_file() and path.read_bytes() == statement
