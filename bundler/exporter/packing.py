"""An inventory and its blobs written as a bundle, with progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bundler.bundle.inventory import Inventory, bundle_id, encode
from bundler.bundle.writer import write_bundle
from bundler.oci.content import BlobSource
from bundler.progress import Progress
from bundler.report import BundleReport

if TYPE_CHECKING:
    from bundler.trust.signing import Signing


def pack(
    write: Callable[[bytes], object],
    name: str,
    inventory: Inventory,
    source: BlobSource,
    progress: Progress,
    *,
    signing: Signing | None = None,
) -> BundleReport:
    """Write the bundle by calls of `write`, in order; what it is. Raises what the source raises.

    What is signed stands before the content, so it is signed before the first byte is written.
    """
    sealed = signing.seal(bundle_id(encode(inventory))) if signing else None
    blobs = list(inventory.content)
    with progress.step("packing", len(blobs), sum(blob.size for blob in blobs)) as step:
        written = write_bundle(write, inventory, source, step, sealed)
    told = sealed.told() if sealed else None
    return BundleReport(name, written.bundle_id, written.sha256, written.size, told)
