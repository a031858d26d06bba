"""Modules that nobody signed whose signature is wanted are left out, before anything is packed."""

from __future__ import annotations

from collections.abc import Iterator

from bundler.attachments.evidence import Attachments, evidence_of
from bundler.bundle.inventory import Root
from bundler.deltas.state import Base
from bundler.errors import BundlerError, TrustError
from bundler.exporter.resolve.resolution import Resolution
from bundler.oci.content import BlobSource, Descriptor
from bundler.oci.reference import RepositoryName
from bundler.registry.registries import Registries
from bundler.reporting.json_report import SignedReport
from bundler.store.blob_store import Store
from bundler.trust.module_signers import NOBODY, Signers


def drop_unsigned(
    pinned: Resolution, signers: Signers, base: Base | None, store: Store, registries: Registries
) -> tuple[SignedReport, ...]:
    """Leave out every chosen root that none of these signed; who signed the others.

    What the base has was judged before.
    """
    if signers == NOBODY:
        return ()
    belongings = Attachments(pinned.inventory(), pinned.manifests)
    told: list[SignedReport] = []
    found: dict[Root, BundlerError] = {}
    for root in pinned.chosen:
        if belongings.is_one(root) or (base and base.has(root, pinned.manifests)):
            continue
        content: BlobSource = _Small(root.repository, store, registries)
        try:
            told.append(evidence_of(root, signers, belongings.signed(root, signers, content)))
        except TrustError as error:
            found[root] = error
    pinned.drop(found)
    return tuple(told)


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
