"""The content of a base, for a compact delta: from the store, from bundles, or from a registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.bundle_output import SourceOnBase
from bundler.bundle.compacted.base_index import BaseLayers
from bundler.bundle.inventory import Inventory, Required, Root
from bundler.bundle.manifest_pool import ManifestPool, read_chain_entry
from bundler.bundle.reader import Bundle, open_bundle
from bundler.deltas.base_blobs import BaseRegistry, provide_base
from bundler.deltas.state import Base, State, old_layers, state_of
from bundler.errors import BundlerError, NotFoundError
from bundler.exporter.export_content import ExportContent
from bundler.oci import BlobSource, Descriptor, Digest, Manifest, RepositoryName
from bundler.selection.semver import version_order
from bundler.session import Session
from bundler.store.blob_store import Store

Place = Callable[[Descriptor], BlobSource | None]
"""Returns what may have a blob of the base; None if this place has not."""


class OldContent(NamedTuple):
    """Blobs of the base, from the first place that has them. A BlobSource."""

    places: Sequence[Place]

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, verified. Raises NotFoundError for one that is gone everywhere."""
        for place in self.places:
            # A place that fails before its first byte is passed over; later, the blob counts as gone.
            with suppress(BundlerError):
                chunks = source.chunks(blob) if (source := place(blob)) else iter(())
                if (first := next(chunks, None)) is not None:
                    return _after(first, chunks)
        raise NotFoundError(f"blob {blob.digest}", "gone from store, base and source")


def _after(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from chunks


# --- an export -------------------------------------------------------------------------------------


@contextmanager
def building_on(
    content: ExportContent, base: Base, names: Sequence[str], store: Store, session: Session
) -> Iterator[SourceOnBase]:
    """Yield the store as a source on a base; `names` are bundles, ids and receipts of the base."""

    def from_store(blob: Descriptor) -> BlobSource | None:
        return store if store.has(blob) else None

    def from_source(blob: Descriptor) -> BlobSource | None:
        return session.registries.source(blob.repository) if isinstance(blob, Required) else None

    with ExitStack() as stack:

        def layers() -> BaseLayers | None:
            manifests = content.resolution.manifests
            candidates = old_layers(content.inventory, manifests, base.roots, base.manifests)
            bundles = list(_opened(names, session, stack)) if candidates else []
            places = (from_store, _among(bundles, session), from_source)
            return BaseLayers(candidates, OldContent(places))

        yield SourceOnBase(store, layers)


def _opened(names: Sequence[str], session: Session, stack: ExitStack) -> Iterator[Bundle]:
    """Yield the bundles of the base that are files; a receipt, or a damaged one, has nothing to give."""
    for name in names:
        if Path(name).exists():
            with suppress(BundlerError):
                yield stack.enter_context(open_bundle(Path(name), session.limits))


def _among(bundles: Sequence[Bundle], session: Session) -> Place:
    homes = {blob.digest: bundle for bundle in bundles for blob in bundle.inventory.content}

    def place(blob: Descriptor) -> BlobSource | None:
        if bundle := homes.get(blob.digest):
            provide_base(bundle, session, beside=[other for other in bundles if other is not bundle])
        return bundle

    return place


# --- a conversion ----------------------------------------------------------------------------------


def layers_below(
    bundle: Bundle, session: Session, beside: Sequence[Bundle], registry: BaseRegistry | None
) -> BaseLayers | None:
    """Return what a delta can be written against; None for a full bundle, or without any base."""
    inventory = bundle.inventory
    if inventory.kind == "full" or not (beside or registry):
        return None
    pool = ManifestPool(session.limits)
    manifests = read_chain_entry(bundle, pool).manifests
    base = state_of(read_chain_entry(other, pool) for other in beside)
    if registry and not beside:
        base = _state_at(registry, inventory, session)

    def from_registry(blob: Descriptor) -> BlobSource | None:
        name = registry.name_of(blob.repository) if registry and isinstance(blob, Required) else None
        return session.registries.source(name) if name else None

    candidates = old_layers(inventory, manifests, base.roots, base.manifests)
    return BaseLayers(candidates, OldContent((_among(beside, session), from_registry)))


def _state_at(registry: BaseRegistry, inventory: Inventory, session: Session) -> State:
    """Return what a registry has under the delta's tags, and under the versions just below them."""
    roots: list[Root] = []
    manifests: dict[Digest, Manifest] = {}
    for entry in inventory.repositories:
        if (name := registry.name_of(entry.name)) is None:
            continue
        source = session.registries.source(name)
        with suppress(BundlerError):
            tags = sorted(source.tags().tags, key=version_order)
            for tag in entry.tags:
                lower = [other for other in tags if version_order(other) < version_order(tag)]
                for other in {*lower[-1:], *({tag} & {*tags})}:
                    manifest = source.manifest(other).manifest
                    roots.append(Root(entry.name, other, manifest.blob.digest))
                    _read_all(name, manifest, manifests, session)
    return State(tuple(roots), manifests)


def _read_all(
    name: RepositoryName, manifest: Manifest, manifests: dict[Digest, Manifest], session: Session
) -> None:
    """Read a manifest and its children; children that are not there are passed over."""
    manifests[manifest.blob.digest] = manifest
    for child in manifest.children:
        if child.digest not in manifests:
            with suppress(BundlerError):
                manifest = session.registries.source(name).manifest(child.digest).manifest
                _read_all(name, manifest, manifests, session)
