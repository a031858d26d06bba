"""What an export will need of the disk, counted before the first byte is fetched."""

from __future__ import annotations

from pathlib import Path

from bundler.bundle.inventory import Inventory
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
