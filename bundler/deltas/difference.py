"""Changes from one bundle to another: for the note that goes along with a transfer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bundler.bundle.contents import added_up
from bundler.bundle.inventory import RepositoryEntry
from bundler.bundle.manifest_pool import ManifestPool, read_chain_entry
from bundler.bundle.reader import Bundle
from bundler.deltas.state import State, base_error, state_of
from bundler.errors import UsageError
from bundler.limits import Limits
from bundler.oci import needed_by
from bundler.oci.manifest import REVISION, VERSION

Change = Literal["added", "removed", "moved"]

Departure = Literal["gone at the source", "no longer selected"]


@dataclass(frozen=True, slots=True)
class TagState:
    """Target of a tag in one of the bundles."""

    digest: str
    version: str | None
    """`org.opencontainers.image.version`."""
    revision: str | None
    """`org.opencontainers.image.revision`."""
    size: int
    """Bytes of all that it needs."""


@dataclass(frozen=True, slots=True)
class TagChange:
    """One tag, or one manifest without a tag, that is not the same in both."""

    reference: str
    """The tag, or the digest."""
    change: Change
    old: TagState | None
    """In the older bundle; null if it was added."""
    new: TagState | None
    """In the newer bundle; null if it was removed."""
    departure: Departure | None = None
    """Why a delta removes it; null for every other change, and where the newer bundle is a full one."""


@dataclass(frozen=True, slots=True)
class RepositoryDifference:
    """One repository in which something changed."""

    name: str
    changes: tuple[TagChange, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Changes from one bundle to another."""

    old_id: str
    """sha256 of the older inventory."""
    new_id: str
    repositories: tuple[RepositoryDifference, ...]
    unchanged: int
    """Tags that are the same in both."""
    added_blobs: int
    """Distinct blobs, manifests included, that only the newer bundle has."""
    added_bytes: int
    removed_blobs: int
    removed_bytes: int


def difference(old: Bundle, new: Bundle, pool: ManifestPool | None = None) -> Difference:
    """Compare two bundles by their inventories and manifests; a delta, with the bundle that it builds on.

    `pool` holds the manifests for a caller who reads them too. Raises UsageError for a delta whose base
    is not the other one, and what a damaged bundle deserves.
    """
    pool = pool or ManifestPool()
    first, second = read_chain_entry(old, pool), read_chain_entry(new, pool)
    _check_base(old, new)
    before = state_of([first])
    after = state_of([first, second] if new.inventory.kind == "delta" else [second])
    states = _states(before, pool.limits), _states(after, pool.limits)
    departures: dict[str, dict[str, Departure]] = {
        entry.name: _departures(entry) for entry in new.inventory.repositories
    }
    repositories = [
        RepositoryDifference(
            name,
            tuple(_changes(states[0].get(name, {}), states[1].get(name, {}), departures.get(name, {}))),
        )
        for name in sorted({*states[0], *states[1]})
    ]
    added, removed = _sizes_of_changes(before, after)
    return Difference(
        old.id,
        new.id,
        tuple(entry for entry in repositories if entry.changes),
        len({*before.roots} & {*after.roots}),
        len(added),
        sum(added),
        len(removed),
        sum(removed),
    )


def _sizes_of_changes(before: State, after: State) -> tuple[list[int], list[int]]:
    """Return the sizes of the blobs that only the later state needs, and that only the earlier one does."""
    old, new = (
        needed_by((root.digest for root in state.roots), state.manifests) for state in (before, after)
    )
    added = [size for digest, size in new.items() if digest not in old]
    return added, [size for digest, size in old.items() if digest not in new]


def _check_base(old: Bundle, new: Bundle) -> None:
    if new.id in old.inventory.base:
        raise base_error(str(old.path), new.id, {new.id: str(new.path)})
    if old.inventory.kind == "delta":
        raise UsageError(
            str(old.path), "is a delta", "name a full bundle, or merge it and its base first (`merge`)"
        )
    if (
        new.inventory.kind == "delta"
        and (old.id,) != new.inventory.base
        and old.id != new.inventory.base_state
    ):
        cause = f"needs bundle {' and '.join(new.inventory.base)}"
        next_step = "name that bundle as OLD, or merge it and its base first (`merge`)"
        raise UsageError(str(new.path), cause, next_step)


def _states(state: State, limits: Limits) -> dict[str, dict[str, TagState]]:
    states: dict[str, dict[str, TagState]] = {}
    each = dict.fromkeys((root.repository, root.digest) for root in state.roots)
    sums = added_up((digest for _, digest in each), state.manifests, limits)
    for root in state.roots:
        annotations = state.manifests[root.digest].annotations
        size = sums[root.digest].size
        shown_state = TagState(root.digest, annotations.get(VERSION), annotations.get(REVISION), size)
        states.setdefault(root.repository, {})[root.tag or root.digest] = shown_state
    return states


def _departures(entry: RepositoryEntry) -> dict[str, Departure]:
    """Return why each name left, as a delta says it; empty for a full bundle."""
    departures: dict[str, Departure] = dict.fromkeys(entry.deselected, "no longer selected")
    return departures | dict.fromkeys(entry.removed, "gone at the source")


def _changes(
    before: Mapping[str, TagState], after: Mapping[str, TagState], departures: Mapping[str, Departure]
) -> Iterator[TagChange]:
    for reference in dict.fromkeys((*before, *after)):
        old, new = before.get(reference), after.get(reference)
        if old is None:
            yield TagChange(reference, "added", old, new)
        elif new is None:
            yield TagChange(reference, "removed", old, new, departures.get(reference))
        elif old.digest != new.digest:
            yield TagChange(reference, "moved", old, new)
