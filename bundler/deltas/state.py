"""The state that several bundles make together, and the inventory of what one more adds. No I/O.

A *state* is every root that a full bundle would have, with the manifests that they reach. Full bundles
and deltas are applied one after the other: what a later one says of a tag holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from bundler.attachments.referrers import is_attachment_tag
from bundler.bundle.inventory import (
    Inventory,
    Predecessor,
    RepositoryEntry,
    Required,
    Root,
    bundle_id,
    bundle_order,
    encode,
    renewed_inventory,
    roots_of,
    take_inventory,
)
from bundler.deltas.departed import DeltaScope, Fate, Name, departed, departures_of, name_of
from bundler.errors import UsageError
from bundler.oci import Descriptor, Digest, RepositoryName, Tag, shortened
from bundler.oci.graph import Manifests, bottom_up, left_out, reached, sparse, with_carried_children
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.selection.semver import version_order

if TYPE_CHECKING:
    from bundler.bundle.manifest_pool import ChainEntry


class State(NamedTuple):
    """Every root, in the order of a bundle, and what is known of their manifests."""

    roots: tuple[Root, ...]
    manifests: Manifests


def state_of(chain: Iterable[ChainEntry]) -> State:
    """Return the state after the bundles are applied in this order."""
    roots: dict[Name, Root] = {}
    manifests: dict[Digest, Manifest] = {}
    for link in chain:
        for entry in link.inventory.repositories:
            for name in (*entry.removed, *entry.deselected):
                roots.pop((entry.name, name), None)
        roots |= {name_of(root): root for root in roots_of(link.inventory)}
        manifests |= link.manifests
    return State(tuple(sorted(roots.values(), key=bundle_order)), manifests)


def full_inventory(roots: Iterable[Root], manifests: Manifests) -> Inventory:
    """Return the inventory of a full bundle. Raises IntegrityError if a manifest is missing."""
    ordered = sorted(roots, key=bundle_order)
    # An index stands behind all its carried children, those carried for another reason included.
    manifests = with_carried_children((root.digest for root in ordered), manifests)
    carried = bottom_up((root.digest for root in ordered), manifests)
    omitted = {digest for manifest in carried for digest in left_out(manifest)}
    return take_inventory(ordered, manifests, omitted)


# --- deltas ----------------------------------------------------------------------------------------


class Base(NamedTuple):
    """The content that the other side has already."""

    ids: tuple[Digest, ...]
    """The bundles that brought it."""
    roots: frozenset[Root]
    """The roots that are there, each under its name."""
    manifests: Manifests
    """With the children that are there."""
    brought: frozenset[Root] = frozenset()
    """Roots beyond `roots` that earlier bundles brought: departed, unless they are selected now."""
    omitted: frozenset[Digest] = frozenset()
    """Children of indexes that are not there."""
    by_receipt: bool = False
    """Known by a receipt, in which a tag stays that is no longer selected, until somebody deletes it."""
    from_files: tuple[ChainEntry, ...] = ()
    """Bundles that were read from their files: the next export may build on them too."""
    follows: tuple[Predecessor, ...] = ()
    """The bundle of the job that was named as `last`; all of the chain, newest first, if another begins."""
    renews: bool = False
    """True if the chain begins anew: the bundle is full, and the base only says what departed."""
    earlier: tuple[RepositoryEntry, ...] = ()
    """What the deltas of a chain that begins anew said departed: its full bundle says it again."""

    def has(self, root: Root, manifests: Manifests) -> bool:
        """Return whether the base has a root, with everything that it reaches now."""
        return root in self.roots and set(reached(root.digest, self.manifests)) == set(
            reached(root.digest, manifests)
        )

    def completed(self, manifests: Manifests) -> Base:
        """Return the base with manifests that others know: of a receipt, only names are at hand."""
        completed = dict(self.manifests)
        waiting = [root.digest for root in self.roots]
        while waiting:
            digest = waiting.pop()
            if digest not in completed and (manifest := manifests.get(digest)):
                whole = parse_manifest(manifest.data, manifest.blob.media_type, digest)
                completed[digest] = sparse(whole, self.omitted)
                waiting += [child.digest for child in completed[digest].children]
        return self._replace(manifests=completed)

    def homes(self) -> dict[Digest, RepositoryName]:
        """Return every blob of the base, manifests included, with the first repository that has it."""
        homes: dict[Digest, RepositoryName] = {}
        for root in sorted(self.roots, key=bundle_order):
            for digest in reached(root.digest, self.manifests):
                if manifest := self.manifests.get(digest):
                    homes.setdefault(digest, root.repository)
                    for blob in manifest.blobs:
                        homes.setdefault(blob.digest, root.repository)
        return homes


def delta_inventory(roots: Sequence[Root], manifests: Manifests, base: Base, scope: DeltaScope) -> Inventory:
    """Return what is new against a base: changed roots with all their manifests, and the blobs it lacks.

    Of what `scope` did not ask, nothing is said: it stays as it was.
    """
    fates = departed(roots, manifests, (*base.roots, *base.brought), base.manifests, scope)
    kept = [root for root, fate in fates.items() if fate is Fate.KEPT and root in base.roots]
    result = (*roots, *kept)
    # Compared with the children that each side carries for another reason: they are left out of neither.
    manifests = with_carried_children(
        (root.digest for root in result), {**base.manifests, **manifests} if kept else manifests
    )
    before = with_carried_children((root.digest for root in base.roots), base.manifests)
    present = base._replace(manifests=before)
    changed = [root for root in roots if not present.has(root, manifests)]
    whole = full_inventory(changed, manifests)
    homes = base.homes()
    return Inventory(
        whole.format,
        "delta",
        _with_departed(whole.repositories, fates),
        whole.manifests,
        tuple(blob for blob in whole.blobs if blob.digest not in homes),
        whole.omitted,
        tuple(sorted(set(base.ids))),
        tuple(
            Required(blob.media_type, blob.digest, blob.size, homes[blob.digest])
            for blob in whole.blobs
            if blob.digest in homes
        ),
        _state_id(result, {**base.manifests, **manifests}),
        _state_id(base.roots, base.manifests),
        base.follows,
    )


def renewing_inventory(
    roots: Sequence[Root], manifests: Manifests, delta: Inventory, base: Base, scope: DeltaScope
) -> Inventory:
    """Return the full bundle that begins a chain anew, where `delta` would go on with the old one.

    It says all that departed since the full bundle before it, as a delta that said so may be lost.
    """
    stated = {
        Root(entry.name, None if isinstance(name, Digest) else name, digest): fate
        for entry in base.earlier
        for fate, names in ((Fate.REMOVED, entry.removed), (Fate.DESELECTED, entry.deselected))
        for name, digest in names.items()
    }
    now = departed(roots, manifests, stated, base.manifests, scope)
    # Of repositories that this run did not ask for, what was said holds.
    fates = {root: fate if root.repository in scope.listed else stated[root] for root, fate in now.items()}
    both = departures_of([_with_departed((), fates), delta.repositories])
    return renewed_inventory(full_inventory(roots, manifests), replace(delta, repositories=both))


def base_error(item: str, base: Digest, named: Mapping[Digest, str]) -> UsageError:
    """Return the error of a delta whose base is not named before it; `named` has files by bundle id."""
    if base in named:
        return UsageError(item, f"needs {named[base]} ({shortened(base)})", f"name it before {item}")
    return UsageError(item, f"needs bundle {base}", f"name that bundle before {item}")


def _state_id(roots: Iterable[Root], manifests: Manifests) -> Digest | None:
    """Return the id of the full bundle; None where a manifest of something kept is not at hand."""
    roots = list(roots)
    if any(digest not in manifests for root in roots for digest in reached(root.digest, manifests)):
        return None
    return bundle_id(encode(full_inventory(roots, manifests)))


def _with_departed(
    entries: Iterable[RepositoryEntry], fates: Mapping[Root, Fate]
) -> tuple[RepositoryEntry, ...]:
    named: dict[Fate, dict[RepositoryName, dict[Tag | Digest, Digest]]] = {fate: {} for fate in Fate}
    for root, fate in sorted(fates.items(), key=lambda item: name_of(item[0])):
        named[fate].setdefault(root.repository, {})[root.tag or root.digest] = root.digest
    removed, deselected = named[Fate.REMOVED], named[Fate.DESELECTED]
    by_name: Mapping[RepositoryName, RepositoryEntry] = {entry.name: entry for entry in entries}
    return tuple(
        replace(
            by_name.get(name) or RepositoryEntry(name, {}),
            removed=removed.get(name, {}),
            deselected=deselected.get(name, {}),
        )
        for name in sorted({*by_name, *removed, *deselected})
    )


# --- the version before -----------------------------------------------------------------------------


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
    homes: dict[Digest, dict[Required, None]] = {}
    for root in roots_of(inventory):
        if is_attachment_tag(root.tag) or not (old := _predecessor(root, before.get(root.repository, ()))):
            continue
        for manifest, earlier in _pairs(root, old, manifests, base_manifests):
            fresh = [blob for blob in manifest.blobs if blob.digest in new]
            for place, blob in enumerate(fresh):
                for was in _ordered(place, _left_behind(manifest, earlier)):
                    candidate = Required(was.media_type, was.digest, was.size, old.repository)
                    homes.setdefault(blob.digest, {})[candidate] = None
    return {digest: tuple(candidates) for digest, candidates in homes.items()}


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
    manifests_below = (manifests.get(digest) for digest in reached(root.digest, manifests))
    return [manifest for manifest in manifests_below if manifest and not manifest.children]


def _left_behind(manifest: Manifest, earlier: Iterable[Manifest]) -> list[Descriptor]:
    """Return the layers that the earlier manifests have and this one has not."""
    kept = {blob.digest for blob in manifest.blobs}
    layers = (layer.blob for old in earlier for layer in old.layers if layer.distributed)
    return [blob for blob in dict.fromkeys(layers) if blob.digest not in kept]


def _ordered(place: int, blobs: Sequence[Descriptor]) -> Iterator[Descriptor]:
    """Yield the blob at the same place, then the others."""
    yield from blobs[place : place + 1]
    yield from (blob for number, blob in enumerate(blobs) if number != place)
