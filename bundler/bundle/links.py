"""An open bundle as a link of a chain: its inventory, and all its manifests read."""

from __future__ import annotations

from bundler.bundle.reader import Bundle
from bundler.bundle.state import Link, ManifestPool, link_of
from bundler.errors import errors_of


def read_link(bundle: Bundle, pool: ManifestPool) -> Link:
    """Read the manifests into the pool. Raises what a damaged bundle deserves."""
    with errors_of(bundle.path):
        return link_of(bundle.id, bundle.inventory, bundle.inventory.manifests, bundle, pool)
