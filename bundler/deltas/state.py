"""What several bundles make together, and what one adds to what is there already. No I/O.

A *state* is every root that a full bundle would have, with the manifests that they reach. Full bundles
and deltas are applied one after the other: what a later one says of a tag holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bundler.bundle.inventory import (
    Inventory,
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
from bundler.oci.content import Digest
from bundler.oci.graph import Manifests, bottom_up, left_out, reached, sparse, with_carried_children
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.oci.reference import RepositoryName, Tag

Name = tuple[RepositoryName, Tag | Digest]
"""What only one root can have: a tag of a repository, or a digest without one."""


class State(NamedTuple):
    """Every root, in the order of a bundle, and what is known of their manifests."""

    roots: tuple[Root, ...]
    manifests: Manifests


def state_of(chain: Iterable[ChainEntry]) -> State:
    """The bundles applied in this order."""
    roots: dict[Name, Root] = {}
    manifests: dict[Digest, Manifest] = {}
    for link in chain:
        for entry in link.inventory.repositories:
            for gone in entry.removed:
                roots.pop((entry.name, gone), None)
        roots |= {name_of(root): root for root in roots_of(link.inventory)}
        manifests |= link.manifests
    return State(tuple(sorted(roots.values(), key=bundle_order)), manifests)


def name_of(root: Root) -> Name:
    """What tells a root from the others."""
    return (root.repository, root.tag or root.digest)


def full_inventory(roots: Iterable[Root], manifests: Manifests) -> Inventory:
    """The inventory of a full bundle with these roots. Raises IntegrityError if a manifest is missing."""
    ordered = sorted(roots, key=bundle_order)
    # An index stands behind all its carried children, those carried for another reason included.
    manifests = with_carried_children((root.digest for root in ordered), manifests)
    carried = bottom_up((root.digest for root in ordered), manifests)
    omitted = {digest for manifest in carried for digest in left_out(manifest)}
    return take_inventory(ordered, manifests, omitted)


# --- deltas ----------------------------------------------------------------------------------------


class Base(NamedTuple):
    """What the other side has already."""

    ids: tuple[Digest, ...]
    """The bundles that brought it."""
    roots: frozenset[Root]
    """What is there under which name."""
    manifests: Manifests
    """With the children that are there."""
    named: frozenset[Name] = frozenset()
    """Names beyond those of `roots` that earlier bundles brought: gone, if they are selected no more."""
    omitted: frozenset[Digest] = frozenset()
    """Children of indexes that are not there."""
    from_files: tuple[ChainEntry, ...] = ()
    """Bundles that were read from their files: the next export may build on them too."""

    def has(self, root: Root, manifests: Manifests) -> bool:
        """Whether it is there, with everything that it reaches now."""
        return root in self.roots and set(reached(root.digest, self.manifests)) == set(
            reached(root.digest, manifests)
        )

    def completed(self, manifests: Manifests) -> Base:
        """The base with what others know of its manifests: of a receipt, only names are at hand."""
        found = dict(self.manifests)
        waiting = [root.digest for root in self.roots]
        while waiting:
            digest = waiting.pop()
            if digest not in found and (known := manifests.get(digest)):
                whole = parse_manifest(known.data, known.blob.media_type, digest)
                found[digest] = sparse(whole, self.omitted)
                waiting += [child.digest for child in found[digest].children]
        return self._replace(manifests=found)

    def homes(self) -> dict[Digest, RepositoryName]:
        """Every blob that is there, manifests included, and the first repository that has it."""
        found: dict[Digest, RepositoryName] = {}
        for root in sorted(self.roots, key=bundle_order):
            for digest in reached(root.digest, self.manifests):
                if manifest := self.manifests.get(digest):
                    found.setdefault(digest, root.repository)
                    for blob in manifest.blobs:
                        found.setdefault(blob.digest, root.repository)
        return found


def delta_inventory(roots: Sequence[Root], manifests: Manifests, base: Base, *, complete: bool) -> Inventory:
    """What is new against a base: changed roots with all their manifests, and the blobs it lacks.

    `complete`: nothing failed, so that what is not among `roots` is gone. Otherwise it stays as it was.
    """
    named = {name_of(root) for root in roots}
    missing = {name_of(root): root for root in base.roots if name_of(root) not in named}
    gone = sorted({*missing, *(base.named - named)}) if complete else []
    kept = () if complete else tuple(missing.values())
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
        _with_removed(whole.repositories, gone),
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
    )


def _state_id(roots: Iterable[Root], manifests: Manifests) -> Digest | None:
    """The id of the full bundle; None where a manifest of something kept is not at hand."""
    roots = list(roots)
    if any(digest not in manifests for root in roots for digest in reached(root.digest, manifests)):
        return None
    return bundle_id(encode(full_inventory(roots, manifests)))


def _with_removed(entries: Iterable[RepositoryEntry], gone: Iterable[Name]) -> tuple[RepositoryEntry, ...]:
    removed: dict[RepositoryName, list[Tag | Digest]] = {}
    for repository, name in gone:
        removed.setdefault(repository, []).append(name)
    by_name: Mapping[RepositoryName, RepositoryEntry] = {entry.name: entry for entry in entries}
    return tuple(
        RepositoryEntry(
            name,
            by_name[name].tags if name in by_name else {},
            by_name[name].untagged if name in by_name else (),
            tuple(removed.get(name, ())),
        )
        for name in sorted({*by_name, *removed})
    )
