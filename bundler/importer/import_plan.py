"""Names at the target, and what is left to do there: a value, made without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from graphlib import TopologicalSorter
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from bundler.attachments.referrers import has_all_of, is_attachment_tag, is_fallback_tag, lists_all_of, merged
from bundler.bundle.inventory import Root
from bundler.errors import BundlerError
from bundler.importer.filtered_indexes import NO_WHOLES, RootsToImport, filtered_from
from bundler.oci import Descriptor, Digest, Manifest, Manifests, RepositoryName, bottom_up
from bundler.selection.choose import Decision
from bundler.selection.rules import LATEST
from bundler.selection.semver import version_of

if TYPE_CHECKING:
    from bundler.registry.blob_uploads import BegunUpload

NOTHING: Mapping[Root, BundlerError] = MappingProxyType({})

NO_MANIFESTS: Mapping[Root, Manifest] = MappingProxyType({})

NO_NAMES: Mapping[RepositoryName, RepositoryName] = MappingProxyType({})


NO_UPLOADS: Mapping[RepositoryName, BegunUpload] = MappingProxyType({})


class OnConflict(Enum):
    """The treatment of a tag that exists at the target with another digest."""

    DEFAULT = "default"
    """Move `latest`; any other tag fails."""
    FAIL = "fail"
    SKIP = "skip"
    OVERWRITE = "overwrite"


class Action(Enum):
    """The fate of one root."""

    PUSH = "push"
    MOVE = "move"
    PRESENT = "present"
    SKIP = "skip"
    CONFLICT = "conflict"
    MERGE = "merge"
    REFUSED = "refused"


SENT = frozenset({Action.PUSH, Action.MOVE, Action.MERGE})


class PlannedTag(NamedTuple):
    """One root at the target: `root.repository` is the target's name."""

    root: Root
    action: Action
    previous: Digest | None
    manifest: Manifest
    """The manifest to send: the root's own, or an index merged with the target's."""

    @property
    def wave(self) -> int:
        """Return the place in the order: signatures before what they sign, versions before tags that move."""
        tag = self.root.tag
        if tag is None or is_attachment_tag(tag):
            return 0
        return 1 if version_of(tag) is not None else 2


class ExistingTags(NamedTuple):
    """The tags of the target now."""

    points_to: Mapping[Root, Digest | None]
    """The digest that each root's tag points to."""
    others: Mapping[Root, Manifest] = NO_MANIFESTS
    """The target's own manifests under attachment tags and tags of filtered indexes, where they differ."""
    new: frozenset[RepositoryName] = frozenset()
    """Repositories that do not exist."""


class Listing(NamedTuple):
    """Referrers of one subject, which a target without Referrers API must list under the fallback tag."""

    repository: RepositoryName
    subject: Digest
    referrers: tuple[Manifest, ...]


class PlannedUpload(NamedTuple):
    """One blob, and the repositories that must have it."""

    blob: Descriptor
    repositories: tuple[RepositoryName, ...]
    mount_from: RepositoryName | None = None
    """Another repository at the target that has it."""


class ImportPlan(NamedTuple):
    """All that an import does."""

    steps: tuple[PlannedTag, ...]
    uploads: tuple[PlannedUpload, ...]
    children: tuple[tuple[tuple[RepositoryName, Manifest], ...], ...]
    """Manifests below the roots, level by level: every level needs only what is before it."""
    manifests: Manifests
    """Every manifest that the roots reach."""
    listings: tuple[Listing, ...] = ()
    """Referrers that no index in the bundle lists."""
    refused: Mapping[Root, BundlerError] = NOTHING
    """The roots that the target will not take, and why."""
    names: Mapping[RepositoryName, RepositoryName] = NO_NAMES
    """The name at the target of every source."""
    left_out: tuple[tuple[RepositoryName, Decision], ...] = ()
    """Tags of the bundle that are not imported."""
    on_conflict: OnConflict = OnConflict.DEFAULT
    new: frozenset[RepositoryName] = frozenset()
    """Repositories that did not exist at the target: nothing is there to ask for."""
    begun: Mapping[RepositoryName, BegunUpload] = NO_UPLOADS
    """Uploads that the target has agreed to, by repository: the first blob goes there."""
    wholes: Mapping[Digest, Digest] = NO_WHOLES
    """Digest of each filtered index, with that of the whole index in the bundle."""

    @property
    def to_push(self) -> Iterator[PlannedTag]:
        """Return the roots that are sent."""
        return (step for step in self.steps if step.action in SENT)

    @property
    def upload_bytes(self) -> int:
        """Return the bytes of all distinct blobs that may have to be sent."""
        return sum(upload.blob.size for upload in self.uploads)


def plan_import(
    to_import: RootsToImport,
    existing_tags: ExistingTags,
    on_conflict: OnConflict,
    refused: Mapping[Root, BundlerError] = NOTHING,
) -> ImportPlan:
    """Return a plan of what is left to do, given the state of the target and what it refuses."""
    roots, manifests, wholes = to_import
    planned = (plan_tag(root, manifests[root.digest], existing_tags, on_conflict) for root in roots)
    steps = tuple(step._replace(action=Action.REFUSED) if step.root in refused else step for step in planned)
    to_push = [step.root for step in steps if step.action in SENT]
    by_repository: dict[RepositoryName, list[Digest]] = {}
    for root in to_push:
        by_repository.setdefault(root.repository, []).append(root.digest)
    uploads = _uploads(by_repository, manifests)
    listings = _listings(roots, manifests)
    levels = _levels(to_push, manifests)
    return ImportPlan(
        steps,
        uploads,
        levels,
        manifests,
        listings,
        refused,
        on_conflict=on_conflict,
        new=existing_tags.new,
        wholes=wholes,
    )


def _uploads(
    by_repository: Mapping[RepositoryName, list[Digest]], manifests: Manifests
) -> tuple[PlannedUpload, ...]:
    """Return every blob once, and who needs it. Most are for one repository: these share what says so."""
    homes: dict[Descriptor, tuple[RepositoryName, ...] | list[RepositoryName]] = {}
    for name, digests in by_repository.items():
        alone = (name,)
        for manifest in bottom_up(digests, manifests):
            for blob in manifest.blobs:
                repositories = homes.setdefault(Descriptor("", blob.digest, blob.size), alone)
                if repositories[-1] == name:
                    continue
                if isinstance(repositories, list):
                    repositories.append(name)
                else:
                    homes[Descriptor("", blob.digest, blob.size)] = [*repositories, name]
    return tuple(PlannedUpload(blob, tuple(names)) for blob, names in homes.items())


def plan_tag(
    root: Root, manifest: Manifest, existing_tags: ExistingTags, on_conflict: OnConflict
) -> PlannedTag:
    """Return what becomes of one root."""
    existing, theirs = existing_tags.points_to[root], existing_tags.others.get(root)
    if theirs and not is_attachment_tag(root.tag) and filtered_from(theirs) == filtered_from(manifest):
        # Another part of the same index: the bundle before carried other platforms.
        return PlannedTag(root, Action.MOVE, existing, manifest)
    if theirs is None or not is_attachment_tag(root.tag):
        return PlannedTag(root, _action(root, existing, on_conflict), existing, manifest)
    if is_fallback_tag(root.tag):
        if lists_all_of(manifest, theirs):
            return PlannedTag(root, Action.MOVE, existing, manifest)
        both = merged(manifest, theirs)
        return PlannedTag(root, Action.PRESENT if both is theirs else Action.MERGE, existing, both)
    if has_all_of(manifest, theirs):
        return PlannedTag(root, Action.MOVE, existing, manifest)
    action = Action.PRESENT if has_all_of(theirs, manifest) else _action(root, existing, on_conflict)
    return PlannedTag(root, action, existing, manifest)


def _action(root: Root, existing: Digest | None, on_conflict: OnConflict) -> Action:
    if existing is None:
        return Action.PUSH
    if existing == root.digest:
        return Action.PRESENT
    if on_conflict is OnConflict.OVERWRITE or (on_conflict is OnConflict.DEFAULT and root.tag == LATEST):
        return Action.MOVE
    return Action.SKIP if on_conflict is OnConflict.SKIP else Action.CONFLICT


def _levels(
    roots: Iterable[Root], manifests: Manifests
) -> tuple[tuple[tuple[RepositoryName, Manifest], ...], ...]:
    """Return the manifests to send before the roots: children before indexes, subjects before referrers."""
    levels: list[list[tuple[RepositoryName, Manifest]]] = []
    by_repository: dict[RepositoryName, dict[Digest, None]] = {}
    for root in roots:
        by_repository.setdefault(root.repository, {})[root.digest] = None
    for name, digests in by_repository.items():
        needs = {m.blob.digest: _needs(m) for m in bottom_up(digests, manifests)}
        below = set().union(*needs.values())
        sorter = TopologicalSorter({digest: deps & needs.keys() for digest, deps in needs.items()})
        for number, level in enumerate(_ready(sorter)):
            ready = [(name, manifests[digest]) for digest in level if digest in below]
            levels += [[] for _ in range(number + 1 - len(levels))]
            levels[number] += ready
    return tuple(tuple(level) for level in levels if level)


def _needs(manifest: Manifest) -> set[Digest]:
    subject = {manifest.subject.digest} if manifest.subject else set()
    return {child.digest for child in manifest.children} | subject


def _ready(sorter: TopologicalSorter[Digest]) -> Iterator[list[Digest]]:
    sorter.prepare()
    while sorter.is_active():
        level = sorted(sorter.get_ready())
        yield level
        sorter.done(*level)


def _listings(roots: Iterable[Root], manifests: Manifests) -> tuple[Listing, ...]:
    """Return the referrers of each subject that are not in an index of the bundle itself."""
    referrers: dict[tuple[RepositoryName, Digest], dict[Digest, Manifest]] = {}
    listed: set[tuple[RepositoryName, Digest]] = set()
    for root in roots:
        if is_fallback_tag(root.tag):
            listed |= {(root.repository, child.digest) for child in manifests[root.digest].children}
    for root in roots:
        for manifest in bottom_up([root.digest], manifests):
            if manifest.subject and (root.repository, manifest.blob.digest) not in listed:
                attached = referrers.setdefault((root.repository, manifest.subject.digest), {})
                attached[manifest.blob.digest] = manifest
    return tuple(
        Listing(name, subject, tuple(attached.values())) for (name, subject), attached in referrers.items()
    )
