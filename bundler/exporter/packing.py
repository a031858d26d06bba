"""An inventory and its blobs written as a bundle, with progress."""

from __future__ import annotations

from collections.abc import Callable

from bundler.bundle.inventory import Inventory
from bundler.bundle.writer import write_bundle
from bundler.oci.content import BlobSource
from bundler.progress import Progress
from bundler.report import BundleReport


def pack(
    write: Callable[[bytes], object], name: str, inventory: Inventory, source: BlobSource, progress: Progress
) -> BundleReport:
    """Write the bundle by calls of `write`, in order; what it is. Raises what the source raises."""
    blobs = list(inventory.content)
    with progress.step("packing", len(blobs), sum(blob.size for blob in blobs)) as step:
        written = write_bundle(write, inventory, source, step)
    return BundleReport(name, written.bundle_id, written.sha256, written.size)
