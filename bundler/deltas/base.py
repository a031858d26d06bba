"""Bases of a delta: bundles, ids and receipts → what the other side has."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from bundler.bundle.inventory import Predecessor, Root
from bundler.deltas.departed import Subject, departures_of, name_of
from bundler.deltas.retention import LAST, Incremental
from bundler.deltas.state import Base, state_of
from bundler.durable import local_errors
from bundler.errors import UsageError
from bundler.oci import Descriptor, Digest, Manifest, RepositoryName, Tag, parse_manifest, reached
from bundler.selection.semver import version_of
from bundler.session import Session
from bundler.store.blob_store import Store
from bundler.store.history import History, HistoryEntry

if TYPE_CHECKING:
    from bundler.bundle.manifest_pool import ChainEntry
    from bundler.deltas.chain import DeltaChain


def find_base(incremental: Incremental, store: Store, out: Path | None, session: Session) -> Base | None:
    """Return the base that `incremental` names; None for a full bundle. `out` is the file to write.

    None also for a receipt whose only import was rolled back: there is no bundle to build on.

    A chain that begins anew has a base too, which only says what departed.

    Raises UsageError for what is not at hand, and what a damaged bundle or receipt deserves.
    """
    last = _last(incremental.job, store, out) if LAST in incremental.base else None
    names = [last.id if text == LAST and last else text for text in incremental.base if last or text != LAST]
    if not names:
        return None
    from bundler.deltas.chain import DeltaChain

    chains = DeltaChain(store, session.limits)
    # All are opened before any is followed: one may be what another builds on.
    heads = {name: None if _is_receipt(name) else chains.opened(name) for name in names}
    contributions = [_told(name, head, chains) for name, head in heads.items()]
    roots = {name_of(root): root for contribution in contributions for root in contribution.roots}
    links = {link.id: link for contribution in contributions for link in contribution.links}
    state = state_of(links.values())
    bundles = tuple(dict.fromkeys(head for contribution in contributions for head in contribution.heads))
    if not bundles:
        session.progress.note(f"{names[0]} names no bundle to build on, so this is a full bundle")
        return None
    renews = bool(last and _begins_anew(incremental, last, store, session))
    deltas = [link for link in links.values() if link.inventory.kind == "delta"]
    return Base(
        bundles,
        frozenset(roots.values()),
        state.manifests,
        frozenset(root for root in state.roots if name_of(root) not in roots),
        frozenset(digest for contribution in contributions for digest in contribution.omitted),
        any(head is None for head in heads.values()),
        tuple(chains.from_files.values()),
        _predecessors(links if renews else bundles, incremental.job, store)[: None if renews else 1],
        renews,
        departures_of(link.inventory.repositories for link in deltas) if renews else (),
    )


def _begins_anew(incremental: Incremental, last: HistoryEntry, store: Store, session: Session) -> bool:
    every = incremental.full_every
    return bool(every and every.is_due(History(store.path).entries(), last, session.clock()))


def _predecessors(ids: Collection[Digest], job: str, store: Store) -> tuple[Predecessor, ...]:
    """Return those of the bundles that this job wrote, newest first, as the journal has them."""
    entries = [entry for entry in History(store.path).entries() if entry.job == job and entry.id in ids]
    # The first entry of a bundle: recorded again, it has the same number inside.
    first = {entry.id: entry for entry in reversed(entries)}
    newest_first = dict.fromkeys(entry.id for entry in reversed(entries))
    return tuple(_predecessor(first[id_]) for id_ in newest_first)


def _predecessor(entry: HistoryEntry) -> Predecessor:
    file = Path(entry.path).name if entry.path else None
    return Predecessor(entry.id, entry.job, entry.number, max(entry.time, 0), file)


class _Told(NamedTuple):
    """The content of one base."""

    heads: tuple[Digest, ...]
    links: list[ChainEntry]
    roots: Iterable[Root]
    omitted: Iterable[Digest]


def _told(name: str, head: Digest | None, chains: DeltaChain) -> _Told:
    if head is None:
        receipt = chains.receipt(Path(name))
        # It says itself what is there, so its bundles need not be at hand.
        links = [link for id_ in receipt.bundles for link in chains.to(id_, gaps=True)]
        return _Told(receipt.bundles, links, receipt.roots, receipt.omitted)
    links = chains.to(head)
    omitted = (digest for link in links for digest in link.inventory.omitted)
    return _Told((head,), links, state_of(links).roots, omitted)


class Before(NamedTuple):
    """Results of earlier exports to build on."""

    base: Base | None
    immutable: ImmutableTags


def look_back(incremental: Incremental, store: Store, out: Path | None, session: Session) -> Before:
    """Return the base, and tags that need not be asked for: the base or the job's last bundle has them."""
    base = remembered = find_base(incremental, store, out, session)
    if incremental.immutable and remembered is None:
        # What it builds on may be forgotten: then everything is asked for, as on the first night.
        with suppress(UsageError):
            remembered = find_base(incremental._replace(base=(LAST,)), store, None, session)
    return Before(base, immutable_tags_of(remembered, incremental.immutable))


def _last(job: str, store: Store, out: Path | None) -> HistoryEntry | None:
    """Return what a job wrote last.

    What stands where the bundle is to be written is not its base: the same command again makes the same.
    """
    from bundler.deltas.retention import files_of

    path = str(out.absolute()) if out else None
    for entry in reversed(History(store.path).entries()):
        if entry.job == job and not (entry.path == path and files_of(entry)):
            return entry
    return None


def _is_receipt(name: str) -> bool:
    """Return whether a base is a receipt, by its first byte: a receipt is JSON, a bundle is not."""
    path = Path(name)
    if Digest.grammar.fullmatch(name) or not path.is_file():
        return False
    with local_errors(path, "read"), path.open("rb") as file:
        return file.read(1) == b"{"


SEMVER = "semver"
"""Instead of a glob: every tag that is a version."""

Named = tuple[RepositoryName, Tag | Digest]


class ImmutableTags(NamedTuple):
    """Manifests by name, and the referrers of those that are not asked for again."""

    manifests: Mapping[Named, Manifest] = MappingProxyType({})
    referrers: Mapping[Subject, tuple[Descriptor, ...]] = MappingProxyType({})


ASK_ALL = ImmutableTags()
"""Nothing is known to be immutable: everything is asked for."""


def immutable_tags_of(base: Base | None, immutable: Iterable[str]) -> ImmutableTags:
    """Return the manifests that the base has under immutable tags (`SEMVER`, or globs), and all by digest."""
    patterns = list(immutable)
    if base is None or not patterns:
        return ASK_ALL
    manifests: dict[Named, Manifest] = {}
    referrers: dict[Subject, list[Descriptor]] = {}
    for root in base.roots:
        for digest in reached(root.digest, base.manifests):
            if manifest_below := base.manifests.get(digest):
                manifests[root.repository, digest] = _whole(manifest_below)
                referrers.setdefault((root.repository, digest), [])
    for root in base.roots:
        manifest = manifests.get((root.repository, root.digest))
        if manifest and root.tag and any(_matches(root.tag, pattern) for pattern in patterns):
            manifests[root.repository, root.tag] = manifest
        subject = manifest.subject.digest if manifest and manifest.subject else None
        if manifest and subject and root.tag is None:
            referrers.setdefault((root.repository, subject), []).append(manifest.blob)
    return ImmutableTags(
        manifests, {subject: tuple(descriptors) for subject, descriptors in referrers.items()}
    )


def _matches(tag: Tag, pattern: str) -> bool:
    return version_of(tag) is not None if pattern == SEMVER else fnmatchcase(tag, pattern)


def _whole(manifest: Manifest) -> Manifest:
    """Return the manifest with all children: which are wanted now, only the selection says."""
    if not manifest.children:
        return manifest
    return parse_manifest(manifest.data, manifest.blob.media_type, manifest.blob.digest)
