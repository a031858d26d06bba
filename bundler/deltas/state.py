"""The state that several bundles make together, and the inventory of what one more adds. No I/O.

A *state* is every root that a full bundle would have, with the manifests that they reach. Full bundles
and deltas are applied one after the other: what a later one says of a tag holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from bundler.bundle.inventory import (
    Inventory,
    Predecessor,
    RepositoryEntry,
    Required,
    Root,
    bundle_id,
    bundle_order,
    encode,
    roots_of,
    take_inventory,
)
from bundler.bundle.manifest_pool import ChainEntry
from bundler.deltas.departed import DeltaScope, Fate, Name, departed, name_of
from bundler.errors import UsageError
from bundler.oci import Digest, RepositoryName, Tag, shortened
from bundler.oci.graph import Manifests, bottom_up, left_out, reached, sparse, with_carried_children
from bundler.oci.manifest import Manifest, parse_manifest


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
    """The bundle of the job that was named as `last`."""
    renews: bool = False
    """True if the chain begins anew: the bundle is full, and the base only says what departed."""

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
