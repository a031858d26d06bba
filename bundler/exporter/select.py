"""Tags chosen and pinned to digests, with every manifest that they reach: reads the registries.

One request per page of a tag list, one per tag, one per child of an index. Each phase runs over all
repositories at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bundler.bundle.inventory import Root
from bundler.errors import BundlerError, ContentError, IntegrityError, NotFoundError
from bundler.limits import Limits
from bundler.oci.content import BlobStore, Descriptor, Digest, read_all
from bundler.oci.graph import bottom_up
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.oci.reference import Reference, RepositoryName, Tag
from bundler.progress import Progress
from bundler.registry.client import TagList
from bundler.registry.registries import Registries
from bundler.report import Failure, failure
from bundler.selection import Skipped, choose
from bundler.workers import each


class Selection(NamedTuple):
    """What the user asked for."""

    references: tuple[Reference, ...]
    globs: tuple[str, ...] = ()
    """Tags to take of references without tag or digest; all if empty."""


class Pinned:
    """What was found: roots in version order, all manifests that they reach, and what went wrong."""

    def __init__(self) -> None:
        self.roots: list[Root] = []
        self.manifests: dict[Digest, Manifest] = {}
        self.manifest_bytes = 0
        self.skipped: list[tuple[RepositoryName, Skipped]] = []
        self.failed: list[tuple[Root, Failure]] = []
        self.failures: list[Failure] = []
        """Of whole repositories, and of names that are no tags."""
        self.warnings: list[str] = []


class _Wanted(NamedTuple):
    """One manifest to pin: a tag, or a digest."""

    repository: RepositoryName
    tag: Tag | None
    digest: Digest | None

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"


def select(
    selection: Selection, registries: Registries, store: BlobStore, *, jobs: int, progress: Progress
) -> Pinned:
    """Choose, pin, and walk down. Failures are values in the result: one failing tag costs one tag."""
    pinned = Pinned()
    wanted = _chosen(selection, registries, pinned, jobs=jobs, progress=progress)
    found = _pinned(wanted, registries, pinned, jobs=jobs, progress=progress)
    broken = _descend(found, registries, store, pinned, jobs=jobs, progress=progress)
    for root in found:
        if error := _broken_below(root, pinned.manifests, broken):
            pinned.failed.append((root, failure(error, str(root))))
        else:
            pinned.roots.append(root)
    return pinned


def _chosen(
    selection: Selection, registries: Registries, pinned: Pinned, *, jobs: int, progress: Progress
) -> list[_Wanted]:
    """Ask for the tag lists, and apply the rules; in repository and version order."""
    wanted = {
        _Wanted(reference.repository, reference.tag, reference.digest): None
        for reference in selection.references
        if reference.tag or reference.digest
    }
    whole = {
        reference.repository: None
        for reference in selection.references
        if not (reference.tag or reference.digest)
    }
    lists: dict[RepositoryName, TagList] = {}
    with progress.step("tag lists", len(whole)) as step:
        for name, answer in each(whole, lambda name: registries.source(name).tags(), jobs=jobs):
            step.advance(items=1)
            if isinstance(answer, BundlerError):
                pinned.failures.append(failure(answer, str(name)))
            else:
                lists[name] = answer
    for name, tags in sorted(lists.items()):
        choice = choose(tags.tags, selection.globs)
        wanted |= {_Wanted(name, tag, None): None for tag in choice.taken}
        pinned.skipped += [(name, skipped) for skipped in choice.left_out]
        pinned.failures += [
            failure(ContentError(f"{name}: {bad}", "the registry lists it, but it can't be a tag"))
            for bad in tags.invalid
        ]
        if not choice.taken:
            _nothing_taken(name, tags, selection, pinned)
    return list(wanted)


def _nothing_taken(name: RepositoryName, tags: TagList, selection: Selection, pinned: Pinned) -> None:
    if selection.globs:
        cause = f"none of its {len(tags.tags)} tags matches --tag {' '.join(selection.globs)}"
        pinned.failures.append(failure(NotFoundError(str(name), cause, "see `timoni-bundler export --help`")))
    else:
        pinned.warnings.append(f"{name}: the repository has no tags")


def _pinned(
    wanted: list[_Wanted], registries: Registries, pinned: Pinned, *, jobs: int, progress: Progress
) -> list[Root]:
    """Fetch what each tag points to; the digest is computed from what came, so nothing can drift."""
    found: dict[_Wanted, Root] = {}

    def pin(want: _Wanted) -> tuple[Manifest, tuple[str, ...]]:
        answer = registries.source(want.repository).manifest(want.digest or want.tag or Tag("latest"))
        return answer.manifest, answer.warnings

    with progress.step("manifests", len(wanted)) as step:
        for want, answer in each(wanted, pin, jobs=jobs):
            step.advance(items=1)
            if isinstance(answer, BundlerError):
                nowhere = Root(want.repository, want.tag, want.digest or Digest(""))
                pinned.failed.append((nowhere, failure(answer, str(want))))
                continue
            manifest, warnings = answer
            found[want] = Root(want.repository, want.tag, manifest.blob.digest)
            _keep(manifest, pinned, registries.settings.hosts.limits)
            pinned.warnings += warnings
    # As wanted, not as they came: the order of the bundle must not depend on the network.
    return [found[want] for want in wanted if want in found]


def _descend(
    roots: Iterable[Root],
    registries: Registries,
    store: BlobStore,
    pinned: Pinned,
    *,
    jobs: int,
    progress: Progress,
) -> dict[Digest, BundlerError]:
    """Fetch the children of indexes, level by level; what is missing, by digest."""
    limits = registries.settings.hosts.limits
    broken: dict[Digest, BundlerError] = {}
    level = {root.digest: root.repository for root in roots}
    for _ in range(limits.index_depth):
        children = _children(level, pinned)
        missing = {child: name for child, name in children.items() if child.digest not in pinned.manifests}

        def read(item: tuple[Descriptor, RepositoryName]) -> Manifest:
            return _child(*item, registries, store, limits)

        with progress.step("manifests of indexes", len(missing)) as step:
            for (child, _name), answer in each(missing.items(), read, jobs=jobs):
                step.advance(items=1)
                if isinstance(answer, BundlerError):
                    broken[child.digest] = answer
                else:
                    _keep(answer, pinned, limits)
        level = {child.digest: name for child, name in children.items()}
    cause = f"indexes nested more than {limits.index_depth} deep"
    too_deep = {
        child.digest: ContentError(f"manifest {child.digest}", cause) for child in _children(level, pinned)
    }
    for digest in too_deep:
        pinned.manifests.pop(digest, None)
    return broken | too_deep


def _children(level: Mapping[Digest, RepositoryName], pinned: Pinned) -> dict[Descriptor, RepositoryName]:
    """What the manifests of one level name below them."""
    found: dict[Descriptor, RepositoryName] = {}
    for digest, name in level.items():
        if manifest := pinned.manifests.get(digest):
            found |= dict.fromkeys(manifest.children, name)
    return found


def _child(
    child: Descriptor, name: RepositoryName, registries: Registries, store: BlobStore, limits: Limits
) -> Manifest:
    if store.has(child):
        return parse_manifest(read_all(store, child), child.media_type, child.digest, limits=limits)
    manifest = registries.source(name).manifest(child.digest).manifest
    if manifest.blob.media_type != child.media_type or manifest.blob.size != child.size:
        found = manifest.blob
        said = f"{child.media_type}, {child.size:,} bytes"
        cause = f"its index says {said}; it is {found.media_type}, {found.size:,} bytes"
        raise ContentError(f"manifest {child.digest}", cause)
    return manifest


def _keep(manifest: Manifest, pinned: Pinned, limits: Limits) -> None:
    pinned.manifests[manifest.blob.digest] = manifest
    pinned.manifest_bytes += manifest.blob.size
    if pinned.manifest_bytes > limits.manifests or len(pinned.manifests) > limits.graph_nodes:
        cause = f"more than {limits.graph_nodes:,} manifests or {limits.manifests:,} bytes of them"
        raise ContentError("selection", cause, "export fewer repositories or tags at a time")


def _broken_below(
    root: Root, manifests: dict[Digest, Manifest], broken: dict[Digest, BundlerError]
) -> BundlerError | None:
    """What keeps a root from being whole, naming parent and child."""
    try:
        for _ in bottom_up([root.digest], manifests):
            pass
    except IntegrityError as gap:
        child = next((digest for digest in broken if digest in gap.item), None)
        if child is None:
            return gap
        reason = broken[child]
        return type(reason)(gap.item, f"{gap.cause}: {reason.cause}", reason.next_step)
    return None
