"""Room on the disk, counted before the first byte is fetched."""

from __future__ import annotations

import shutil
from pathlib import Path

from bundler.bundle.inventory import Inventory
from bundler.durable import local_errors
from bundler.errors import LocalError
from bundler.exporter.output import Output
from bundler.exporter.pinned import Pinned
from bundler.exporter.plan import ExportPlan
from bundler.store import Store


def disk_needs(
    pinned: Pinned, plan: ExportPlan, out: Output, store: Store, inventory: Inventory
) -> list[tuple[Path, int]]:
    """What the run will write at most, and where; what an interrupted run left counts as there."""
    left_over = sum(store.left_over(task.blob) for task in plan.tasks)
    manifests = sum(
        manifest.blob.size for manifest in pinned.manifests.values() if not store.has(manifest.blob)
    )
    needs = [(store.path, plan.fetch_bytes - left_over + manifests)]
    packed = out.need(inventory)
    return [*needs, packed] if packed else needs


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
            cause = f"it needs up to {size:,} bytes, and {free:,} are free"
            raise LocalError(str(place), cause, "free some space, or choose another place")
