"""Where files are to go, looked at before any work."""

from __future__ import annotations

import os
from pathlib import Path

from bundler.errors import LocalError, UsageError


def check_folder(file: Path, option: str = "") -> None:
    """Raise UsageError unless there is a folder for a file; `option` is the one that named it."""
    if not file.parent.is_dir():
        cause = f"{option}: its folder does not exist" if option else "its folder does not exist"
        raise UsageError(str(file), cause, f"create {file.parent}")


def check_writable(file: Path) -> None:
    """Raise LocalError unless a file may be made in its folder."""
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise LocalError(str(file), "no permission to write into its folder", "choose another place")
