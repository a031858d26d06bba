"""Roots that a base has and a selection lacks: gone at the source, deselected, or not asked about.

A delta compares only what its run asked for. What is attached to a manifest shares that manifest's fate.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple

from bundler.attachments.referrers import fallback_tag
from bundler.bundle.inventory import RepositoryEntry, Root
from bundler.oci import Digest, Manifests, RepositoryName, Tag, reached

Name = tuple[RepositoryName, Tag | Digest]
"""A name that only one root can have: a tag of a repository, or a digest without one."""

Subject = tuple[RepositoryName, Digest]
"""A manifest in the repository where others may be attached to it."""


def name_of(root: Root) -> Name:
    """Return the name that tells a root from the others."""
    return (root.repository, root.tag or root.digest)


class Fate(IntEnum):
    """The fate of something in the base; where two claims meet, the greater one holds."""

    REMOVED = 0
    """Gone at the source: asked for, and not listed."""
    DESELECTED = 1
    """No longer selected."""
    KEPT = 2
    """Not asked about, or without an answer: it stays as the base has it."""


def departures_of(bundles: Iterable[Iterable[RepositoryEntry]]) -> tuple[RepositoryEntry, ...]:
    """Return what the entries of bundles, oldest first, say departed, and did not come back."""
    removed: dict[RepositoryName, dict[Tag | Digest, Digest]] = {}
    deselected: dict[RepositoryName, dict[Tag | Digest, Digest]] = {}
    for entries in bundles:
        for entry in entries:
            for departed, new in ((removed, entry.removed), (deselected, entry.deselected)):
                kept = departed.setdefault(entry.name, {})
                for name in (*entry.tags, *entry.untagged, *entry.removed, *entry.deselected):
                    kept.pop(name, None)
                kept.update(new)
    return tuple(RepositoryEntry(name, {}, (), removed[name], deselected[name]) for name in sorted(removed))


class DeltaScope(NamedTuple):
    """The repositories, manifests and names that a run asked its sources about."""

    listed: Mapping[RepositoryName, Collection[str] | None]
    """The tags of each repository that was asked; None where its list was not read."""
    subjects: Collection[Subject] = frozenset()
    """Manifests about which it was asked what is attached to them."""
    failed: Collection[Name] = frozenset()
    """Names that were asked for without an answer."""

    def fate(self, root: Root) -> Fate:
        """Return the fate of a root of the base that is not selected."""
        if root.repository not in self.listed or name_of(root) in self.failed:
            return Fate.KEPT
        tags = self.listed[root.repository]
        gone = root.tag is not None and tags is not None and root.tag not in tags
        return Fate.REMOVED if gone else Fate.DESELECTED


def departed(
    roots: Collection[Root],
    manifests: Manifests,
    base_roots: Iterable[Root],
    base_manifests: Manifests,
    scope: DeltaScope,
) -> dict[Root, Fate]:
    """Return the fate of each root of the base that is not among `roots`."""
    names = {name_of(root) for root in roots}
    missing = [root for root in dict.fromkeys(base_roots) if name_of(root) not in names]
    subjects = _subjects(missing, base_manifests)
    fates = {root: scope.fate(root) for root in missing if root not in subjects}
    present = {(root.repository, digest) for root in roots for digest in reached(root.digest, manifests)}
    waiting = dict(subjects)
    while waiting:
        bearers = _bearers(fates, base_manifests)
        settled = {
            root: _shared_fate(root, subject, present, bearers.get(subject), scope)
            for root, subject in waiting.items()
            if subject in present or subject in bearers
        }
        # Nothing is known of the others' subjects.
        fates |= settled or {root: scope.fate(root) for root in waiting}
        waiting = {root: subject for root, subject in waiting.items() if root not in fates}
    return fates


def _subjects(roots: Iterable[Root], manifests: Manifests) -> dict[Root, Subject]:
    """Return what those roots that are attached to another manifest are attached to."""
    named = {fallback_tag(digest): digest for digest in manifests}
    subjects: dict[Root, Subject] = {}
    for root in roots:
        manifest = manifests.get(root.digest)
        if root.tag and (subject := named.get(Tag(root.tag.partition(".")[0]))):
            subjects[root] = (root.repository, subject)
        elif root.tag is None and manifest and manifest.subject:
            subjects[root] = (root.repository, manifest.subject.digest)
    return subjects


def _bearers(fates: Mapping[Root, Fate], manifests: Manifests) -> dict[Subject, Fate]:
    """Return the fate of every manifest that roots with a fate reach."""
    bearers: dict[Subject, Fate] = {}
    for root, fate in fates.items():
        for digest in reached(root.digest, manifests):
            subject = (root.repository, digest)
            bearers[subject] = max(fate, bearers.get(subject, fate))
    return bearers


def _shared_fate(
    root: Root, subject: Subject, present: Collection[Subject], bearer: Fate | None, scope: DeltaScope
) -> Fate:
    own_fate = scope.fate(root)
    if own_fate is not Fate.DESELECTED:
        return own_fate
    if subject in present or bearer is None:
        asked = root.tag is None and subject in scope.subjects
        return Fate.REMOVED if asked else Fate.DESELECTED
    # A tag that is listed is not gone, whatever became of its subject.
    return bearer if root.tag is None else max(bearer, Fate.DESELECTED)
