"""Free space on the disk, checked before the first byte is written."""

from __future__ import annotations

import shutil
from pathlib import Path

from bundler.durable import local_errors
from bundler.errors import LocalError


def check_disk(needs: list[tuple[Path, int]]) -> None:
    """Raise LocalError unless every file system has room for all that goes there."""
    per_device: dict[int, tuple[Path, int]] = {}
    for path, size in needs:
        place = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
        with local_errors(place, "look at"):
            device = place.stat().st_dev
        first, sum_ = per_device.get(device, (place, 0))
        per_device[device] = (first, sum_ + size)
    for place, size in per_device.values():
        with local_errors(place, "look at"):
            free = shutil.disk_usage(place).free
        if size > free:
            cause = f"up to {size:,} bytes are needed, and {free:,} are free"
            raise LocalError(str(place), cause, "free some space, or choose another place")
