"""A receipt: what a target holds, written there by import, carried back, and built upon by export.

It is kept from import to import: what a bundle brought is added, what was deleted is removed, and what
an import left alone stays.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

from bundler.bundle.inventory import Inventory, Root, entries_of, roots_of
from bundler.errors import ContentError
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import Digest, RepositoryName, Tag, strict_json
from bundler.oci.document import Names, checked, read_document
from bundler.oci.grammar import DocumentValue, document_value
from bundler.reporting.json_report import Report


@document_value
class ReceivedRepository(DocumentValue):
    """One repository: what the target holds of it."""

    name: RepositoryName
    """Its name outside."""
    target: RepositoryName
    tags: Annotated[Mapping[Tag, Digest], Names(Tag, Digest)]
    untagged: tuple[Digest, ...] = ()


@document_value
class Receipt(DocumentValue):
    """The record of everything at a target that bundles brought."""

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
    filtered: Annotated[Mapping[Digest, Digest], Names(Digest, Digest)] = field(default_factory=dict)
    """Filtered indexes at the target, each with the digest of the whole index, which `tags` has."""

    @property
    def roots(self) -> frozenset[Root]:
        """Return everything that the target has under a name of its own."""
        return frozenset(
            Root(entry.name, tag, digest)
            for entry in self.repositories
            for tag, digest in (*entry.tags.items(), *((None, digest) for digest in entry.untagged))
        )


class TargetState(NamedTuple):
    """The findings of an import or a rollback about a target, by the names outside."""

    present: Iterable[Root]
    """The roots that the target has now."""
    absent: frozenset[tuple[RepositoryName, str]] = frozenset()
    """Tags and digests that it does not have, or has with a digest that no bundle brought."""
    names: Mapping[RepositoryName, RepositoryName] = MappingProxyType({})
    """The name at the target of every repository."""
    filtered: Mapping[Digest, Digest] = MappingProxyType({})
    """Filtered indexes that the target has, each with the digest of the whole index."""


def received(
    earlier: Receipt | None,
    state: TargetState,
    *,
    target: str,
    time: str,
    bundles: tuple[Digest, ...],
    omitted: Iterable[Digest] = (),
) -> Receipt:
    """Return the receipt that follows `earlier`: what is neither present nor absent stays as it was."""
    roots = {_name(root): root for root in (earlier.roots if earlier else ())}
    for name in state.absent:
        roots.pop(name, None)
    roots |= {_name(root): root for root in state.present}
    at = {entry.name: entry.target for entry in (earlier.repositories if earlier else ())} | dict(state.names)
    entries = tuple(
        ReceivedRepository(entry.name, at[entry.name], entry.tags, entry.untagged)
        for entry in entries_of(roots.values())
    )
    every = {*(earlier.omitted if earlier else ()), *omitted}
    filtered = {**(earlier.filtered if earlier else {}), **state.filtered}
    held = {root.digest for root in roots.values()}
    filtered = {digest: whole for digest, whole in sorted(filtered.items()) if whole in held}
    return Receipt(1, target, time, bundles, entries, tuple(sorted(every)), filtered)


def _name(root: Root) -> tuple[RepositoryName, str]:
    return root.repository, root.tag or root.digest


def counting(bundles: Iterable[Digest], scopes: Mapping[Digest, str]) -> tuple[Digest, ...]:
    """Return the bundles that count as imported, each once: a delta that builds on others is refused."""
    return tuple(bundle for bundle in dict.fromkeys(bundles) if bundle in scopes)


def bundles_after(
    earlier: Receipt | None, inventory: Inventory, id_: Digest, scopes: Mapping[Digest, str]
) -> tuple[Digest, ...]:
    """Return the bundles that a receipt names after an import, on which the next delta builds.

    `scopes` has what counts as imported, each with the part of it. A bundle that failed in part, or of
    which another part came than of those before it, is not named: no delta on it would be let in.
    """
    before = counting(earlier.bundles if earlier else (), scopes)
    same = tuple(bundle for bundle in before if scopes[bundle] == scopes.get(id_))
    if id_ not in scopes or (scopes[id_] and same != before):
        return before
    names = {entry.name for entry in inventory.repositories}
    if inventory.kind == "delta":
        same = tuple(bundle for bundle in same if bundle not in inventory.base)
    elif earlier and {entry.name for entry in earlier.repositories} <= names:
        same = ()
    return (*(bundle for bundle in same if bundle != id_), id_)


THERE = ("pushed", "moved", "present", "merged")
"""The states of a tag that the target has as the bundle says."""


def state_after_import(inventory: Inventory, report: Report, earlier: Receipt | None) -> TargetState:
    """Return what the report of an import says about the target."""
    names = {
        RepositoryName(entry.source): RepositoryName(entry.name)
        for entry in report.repositories
        if entry.source
    }
    held = {_name(root): root.digest for root in (earlier.roots if earlier else ())}
    filtered = dict(earlier.filtered) if earlier else {}
    present: set[tuple[RepositoryName, str]] = set()
    absent: set[tuple[RepositoryName, str]] = set()
    for entry in report.repositories:
        for tag in entry.tags if entry.source else ():
            name = (RepositoryName(str(entry.source)), tag.reference)
            before = filtered.get(Digest(tag.previous), tag.previous) if tag.previous else None
            if tag.status in THERE:
                present.add(name)
                if tag.filtered_from and tag.digest:
                    filtered[Digest(tag.digest)] = Digest(tag.filtered_from)
            elif tag.status in ("removed", "absent") or (tag.digest and held.get(name) != before):
                absent.add(name)
    roots = [root for root in roots_of(inventory) if _name(root) in present]
    return TargetState(roots, frozenset(absent), names, filtered)


def state_after_rollback(report: Report, earlier: Receipt) -> TargetState:
    """Return what the report of a rollback says about the target of a receipt."""
    sources = {entry.target: entry.name for entry in earlier.repositories}
    back = [
        Root(sources[RepositoryName(entry.name)], Tag(tag.reference), _whole(Digest(tag.digest), earlier))
        for entry in report.repositories
        for tag in entry.tags
        if entry.name in sources and tag.digest and tag.status in ("moved", "present")
    ]
    return TargetState(back)


def _whole(digest: Digest, receipt: Receipt) -> Digest:
    """Return the digest that the bundle has: of a filtered index, that of the whole one."""
    return receipt.filtered.get(digest, digest)


def encode_receipt(receipt: Receipt) -> bytes:
    """Return the bytes of the file."""
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
            **({"filtered": dict(receipt.filtered)} if receipt.filtered else {}),
        }
    )


def decode_receipt(data: bytes, name: str, limits: Limits = DEFAULT_LIMITS) -> Receipt:
    """Read a receipt. Raises: ContentError that names the file."""
    document = checked(data, Receipt, ReceivedRepository, item=name, limits=limits)
    receipt = read_document(Receipt, document, parts=(ReceivedRepository,), what="not a receipt: ")
    if len({entry.name for entry in receipt.repositories}) < len(receipt.repositories):
        raise ContentError(name, "not a receipt: it has one repository twice")
    return receipt
