"""What changed from one bundle to another: for the note that goes along with a transfer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bundler.bundle.contents import Contents, TagContents, describe
from bundler.bundle.inventory import Inventory
from bundler.bundle.reader import Bundle
from bundler.limits import DEFAULT_LIMITS, Limits

Change = Literal["added", "removed", "moved"]


@dataclass(frozen=True, slots=True)
class TagState:
    """What a tag points to in one of the bundles."""

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


@dataclass(frozen=True, slots=True)
class RepositoryDifference:
    """One repository in which something changed."""

    name: str
    changes: tuple[TagChange, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one bundle to another."""

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


def difference(old: Bundle, new: Bundle, limits: Limits = DEFAULT_LIMITS) -> Difference:
    """Compare two bundles by their inventories and manifests. Raises what a damaged one deserves."""
    before, after = _states(describe(old, limits)), _states(describe(new, limits))
    names = sorted({*before, *after})
    repositories = [
        RepositoryDifference(name, tuple(_changes(before.get(name, {}), after.get(name, {}))))
        for name in names
    ]
    same = _listed(before) & _listed(after)
    added, removed = _only(new.inventory, old.inventory), _only(old.inventory, new.inventory)
    return Difference(
        old.id,
        new.id,
        tuple(entry for entry in repositories if entry.changes),
        len(same),
        len(added),
        sum(added),
        len(removed),
        sum(removed),
    )


def _listed(states: Mapping[str, Mapping[str, TagState]]) -> set[tuple[str, str, str]]:
    return {(name, tag, state.digest) for name, tags in states.items() for tag, state in tags.items()}


def _states(contents: Contents) -> dict[str, dict[str, TagState]]:
    return {entry.name: {tag.reference: _state(tag) for tag in entry.tags} for entry in contents.repositories}


def _state(tag: TagContents) -> TagState:
    return TagState(tag.digest, tag.version, tag.revision, tag.size)


def _changes(before: Mapping[str, TagState], after: Mapping[str, TagState]) -> Iterator[TagChange]:
    for reference in dict.fromkeys((*before, *after)):
        old, new = before.get(reference), after.get(reference)
        if old is None or new is None:
            yield TagChange(reference, "added" if old is None else "removed", old, new)
        elif old.digest != new.digest:
            yield TagChange(reference, "moved", old, new)


def _only(one: Inventory, other: Inventory) -> list[int]:
    """The sizes of the blobs that only the first has."""
    known = {blob.digest for blob in other.content}
    return [blob.size for blob in one.content if blob.digest not in known]
