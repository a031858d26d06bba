"""Modules that none of the wanted keys signed are left out, before anything is packed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bundler.bundle.belongings import Belongings, unsigned
from bundler.bundle.inventory import Root
from bundler.bundle.state import Base
from bundler.errors import BundlerError
from bundler.exporter.pinned import Pinned
from bundler.oci.content import BlobSource, Descriptor
from bundler.oci.reference import RepositoryName
from bundler.registry.registries import Registries
from bundler.store import Store
from bundler.trust.cosign import Key


def drop_unsigned(
    pinned: Pinned, keys: Sequence[Key], base: Base | None, store: Store, registries: Registries
) -> None:
    """Leave out every chosen root that none of the keys signed; what the base has was judged before."""
    if not keys:
        return
    belongings = Belongings(pinned.inventory(), pinned.manifests)
    found: dict[Root, BundlerError] = {}
    for root in pinned.chosen:
        if belongings.is_one(root) or (base and base.has(root, pinned.manifests)):
            continue
        content: BlobSource = _Small(root.repository, store, registries)
        if problem := unsigned(root, belongings, keys, content):
            found[root] = problem
    pinned.drop(found)


class _Small:
    """Signatures: from the store, or from the registry where the base spared the fetching."""

    def __init__(self, name: RepositoryName, store: Store, registries: Registries) -> None:
        self._name = name
        self._store = store
        self._registries = registries

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """A blob's bytes, verified."""
        source: BlobSource = self._store if self._store.has(blob) else self._registries.source(self._name)
        return source.chunks(blob)
