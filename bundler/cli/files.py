"""Files that a person wrote."""

from __future__ import annotations

from pathlib import Path

from bundler.errors import UsageError


def text_of(path: Path) -> str:
    """A text file that a person wrote. Raises UsageError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(str(path), getattr(error, "strerror", None) or "not a text file") from None
