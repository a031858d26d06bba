"""Numbers for people."""

from __future__ import annotations


def size_text(size: float) -> str:
    """Bytes for people: `1.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 tag`, `2,000 tags`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
