"""A receipt: what a target holds, written there by import, carried back, and built upon by export. No I/O.

It is kept up from import to import: what a bundle brought is added, what it says is gone is struck.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from bundler.bundle.inventory import Inventory, Root, entries_of, roots_of
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import strict_json
from bundler.oci.content import Digest
from bundler.oci.document import Names, checked, read_document
from bundler.oci.reference import RepositoryName, Tag


@dataclass(frozen=True, slots=True)
class ReceivedRepository:
    """One repository: what the target holds of it."""

    name: RepositoryName
    """Its name outside."""
    target: RepositoryName
    tags: Annotated[Mapping[Tag, Digest], Names(Tag, Digest)]
    untagged: tuple[Digest, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a target holds of all that bundles brought."""

    receipt_version: Literal[1]
    target: str
    """The registry, and the path below which everything stands."""
    time: str
    """RFC 3339, UTC, by the clock inside."""
    bundles: tuple[Digest, ...]
    """The bundles that brought it; of a chain of deltas, the last one."""
    repositories: tuple[ReceivedRepository, ...]
    omitted: tuple[Digest, ...] = ()
    """Children of indexes that no bundle brought."""

    @property
    def roots(self) -> frozenset[Root]:
        """Everything that is there under a name of its own."""
        return frozenset(
            Root(entry.name, tag, digest)
            for entry in self.repositories
            for tag, digest in (*entry.tags.items(), *((None, digest) for digest in entry.untagged))
        )


def received(
    earlier: Receipt | None,
    inventory: Inventory,
    id_: Digest,
    there: Iterable[Root],
    names: dict[RepositoryName, RepositoryName],
    *,
    target: str,
    time: str,
) -> Receipt:
    """The receipt after an import; `there` are the roots, by their names outside, that the target has."""
    known = {(root.repository, root.tag or root.digest): root for root in (earlier.roots if earlier else ())}
    for entry in inventory.repositories:
        for gone in entry.removed:
            known.pop((entry.name, gone), None)
    # A tag that was not taken may point to what nobody knows.
    for root in roots_of(inventory):
        known.pop((root.repository, root.tag or root.digest), None)
    known |= {(root.repository, root.tag or root.digest): root for root in there}
    at = {entry.name: entry.target for entry in (earlier.repositories if earlier else ())} | names
    entries = tuple(
        ReceivedRepository(entry.name, at[entry.name], entry.tags, entry.untagged)
        for entry in entries_of(known.values())
    )
    bundles = (*(one for one in _still_needed(earlier, inventory) if one != id_), id_)
    omitted = {*(earlier.omitted if earlier else ()), *inventory.omitted}
    return Receipt(1, target, time, bundles, entries, tuple(sorted(omitted)))


def _still_needed(earlier: Receipt | None, inventory: Inventory) -> tuple[Digest, ...]:
    """The earlier bundles that still tell of something that this one doesn't."""
    if earlier is None:
        return ()
    if inventory.kind == "delta":
        return tuple(one for one in earlier.bundles if one not in inventory.base)
    told = {entry.name for entry in inventory.repositories}
    return () if {entry.name for entry in earlier.repositories} <= told else earlier.bundles


def encode_receipt(receipt: Receipt) -> bytes:
    """The bytes of the file."""
    repositories = [
        {
            "name": entry.name,
            "target": entry.target,
            "tags": {str(tag): digest for tag, digest in entry.tags.items()},
            "untagged": list(entry.untagged),
        }
        for entry in receipt.repositories
    ]
    return strict_json.pretty(
        {
            "receiptVersion": receipt.receipt_version,
            "target": receipt.target,
            "time": receipt.time,
            "bundles": list(receipt.bundles),
            "repositories": repositories,
            "omitted": list(receipt.omitted),
        }
    )


def decode_receipt(data: bytes, name: str, limits: Limits = DEFAULT_LIMITS) -> Receipt:
    """Read one. Raises ContentError that names the file."""
    document = checked(data, Receipt, ReceivedRepository, item=name, limits=limits)
    return read_document(Receipt, document, parts=(ReceivedRepository,), what="no receipt: ")
