"""Layers of the base that new layers are probably made from: those of the version before. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bundler.attachments.referrers import is_attachment_tag
from bundler.bundle.inventory import Inventory, Required, Root, bundle_order, roots_of
from bundler.oci import Descriptor, Digest, RepositoryName
from bundler.oci.graph import Manifests, reached
from bundler.oci.manifest import Manifest
from bundler.selection.semver import version_order


def old_layers(
    inventory: Inventory, manifests: Manifests, base_roots: Iterable[Root], base_manifests: Manifests
) -> dict[Digest, tuple[Required, ...]]:
    """Return for each new blob of a delta the blobs of the base to compare it with, the likeliest first.

    A version is compared with what its tag was; else with the nearest lower version of its repository;
    of that, with the layers that it no longer has.
    """
    new = {blob.digest for blob in inventory.blobs}
    before: dict[RepositoryName, list[Root]] = {}
    for root in sorted(base_roots, key=bundle_order):
        if not is_attachment_tag(root.tag):
            before.setdefault(root.repository, []).append(root)
    found: dict[Digest, dict[Required, None]] = {}
    for root in roots_of(inventory):
        if is_attachment_tag(root.tag) or not (old := _predecessor(root, before.get(root.repository, ()))):
            continue
        for manifest, earlier in _pairs(root, old, manifests, base_manifests):
            fresh = [blob for blob in manifest.blobs if blob.digest in new]
            for place, blob in enumerate(fresh):
                for was in _ordered(place, _left_behind(manifest, earlier)):
                    candidate = Required(was.media_type, was.digest, was.size, old.repository)
                    found.setdefault(blob.digest, {})[candidate] = None
    return {digest: tuple(candidates) for digest, candidates in found.items()}


def _predecessor(root: Root, before: Sequence[Root]) -> Root | None:
    """Return what a root of the base was replaced by this one, or came just before it."""
    others = [old for old in before if old.digest != root.digest]
    if same := [old for old in others if root.tag and old.tag == root.tag]:
        return same[0]
    if root.tag:
        tagged = [old for old in others if old.tag]
        order = version_order(root.tag)
        lower = [old for old in tagged if old.tag and version_order(old.tag) < order]
        others = lower or tagged[:1] or others
    return others[-1] if others else None


def _pairs(
    root: Root, old: Root, manifests: Manifests, base_manifests: Manifests
) -> Iterator[tuple[Manifest, list[Manifest]]]:
    """Yield each new manifest with its likely predecessors: of an index, the one at the same place."""
    new, earlier = _leaves(root, manifests), _leaves(old, base_manifests)
    for place, manifest in enumerate(new):
        yield manifest, [earlier[place]] if len(new) == len(earlier) else earlier


def _leaves(root: Root, manifests: Manifests) -> list[Manifest]:
    there = (manifests.get(digest) for digest in reached(root.digest, manifests))
    return [manifest for manifest in there if manifest and not manifest.children]


def _left_behind(manifest: Manifest, earlier: Iterable[Manifest]) -> list[Descriptor]:
    """Return the layers that the earlier manifests have and this one has not."""
    kept = {blob.digest for blob in manifest.blobs}
    layers = (layer.blob for old in earlier for layer in old.layers if layer.distributed)
    return [blob for blob in dict.fromkeys(layers) if blob.digest not in kept]


def _ordered(place: int, blobs: Sequence[Descriptor]) -> Iterator[Descriptor]:
    """Yield the blob at the same place, then the others."""
    yield from blobs[place : place + 1]
    yield from (blob for number, blob in enumerate(blobs) if number != place)
