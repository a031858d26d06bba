"""Paths in a file that a person wrote."""

from __future__ import annotations

import posixpath

STANDARD_STREAM = "-"


def beside_file(name: str, path: str | None) -> str | None:
    """A path as the file `name` means it: relative to its own folder. `-` stays what it is."""
    if path is None or path == STANDARD_STREAM:
        return path
    return posixpath.join(posixpath.dirname(name), path)
