"""An open bundle as a link of a chain: its inventory, and all its manifests read."""

from __future__ import annotations

from bundler.bundle.reader import Bundle
from bundler.bundle.state import Link, link_of
from bundler.limits import DEFAULT_LIMITS, Limits


def read_link(bundle: Bundle, limits: Limits = DEFAULT_LIMITS) -> Link:
    """Read the manifests. Raises what a damaged bundle deserves."""
    return link_of(bundle.id, bundle.inventory, bundle.inventory.manifests, bundle, limits)
