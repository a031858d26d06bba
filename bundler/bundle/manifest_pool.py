"""Manifests of the bundles that one run compares or joins, each read and held once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from bundler.bundle.closure import check_closure
from bundler.bundle.inventory import Inventory
from bundler.errors import errors_of
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import BlobSource, Descriptor, Digest, read_all
from bundler.oci.graph import HeldManifests, Manifests, Tally, sparse
from bundler.oci.manifest import Manifest, parse_manifest

if TYPE_CHECKING:
    from bundler.bundle.reader import Bundle


def read_chain_entry(bundle: Bundle, pool: ManifestPool) -> ChainEntry:
    """Read the manifests of a bundle into the pool, and check that its inventory agrees with them.

    Raises ContentError, IntegrityError.
    """
    with errors_of(bundle.path):
        entry = chain_entry_of(bundle.id, bundle.inventory, bundle.inventory.manifests, bundle, pool)
        check_closure(bundle.inventory, entry.manifests, pool.limits)
        return entry


class ManifestPool:
    """Manifests of all bundles that one run compares or joins, each held once, under one limit."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.limits = limits
        self._held: dict[Descriptor, Manifest] = {}
        self._memory = HeldManifests(limits)
        self._bytes = Tally("bundles", limits.manifests, "bytes of manifests, of all together")

    def read(self, blob: Descriptor, source: BlobSource) -> Manifest:
        """Return a manifest with all its children. Raises ContentError, IntegrityError."""
        if blob not in self._held:
            self._bytes.add(blob.size)
            data = read_all(source, blob)
            manifest = parse_manifest(data, blob.media_type, blob.digest, limits=self.limits)
            self._memory.add(manifest)
            self._held[blob] = manifest
        return self._held[blob]


class ChainEntry(NamedTuple):
    """One bundle of a chain: its inventory, and those of its manifests that are available."""

    id: Digest
    inventory: Inventory
    manifests: Manifests


def chain_entry_of(
    id_: Digest, inventory: Inventory, available: Iterable[Descriptor], source: BlobSource, pool: ManifestPool
) -> ChainEntry:
    """Return a bundle as a chain entry with its available manifests. Raises ContentError, IntegrityError."""
    omitted = frozenset(inventory.omitted)
    manifests = {blob.digest: sparse(pool.read(blob, source), omitted) for blob in available}
    return ChainEntry(id_, inventory, manifests)
