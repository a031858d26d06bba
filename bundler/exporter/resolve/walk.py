"""Tags pinned to digests: one request per tag; the digest is computed from what came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from bundler.bundle.inventory import Root
from bundler.errors import BundlerError, ContentError, IntegrityError, NotFoundError
from bundler.exporter.resolve.resolution import Resolution, Subject
from bundler.exporter.resolve.source_reader import SourceReader
from bundler.exporter.resolve.tags import FetchRequest
from bundler.oci.content import Descriptor, Digest
from bundler.oci.graph import bottom_up
from bundler.oci.reference import RepositoryName, Tag
from bundler.registry.repository import PinnedManifest


def pin_tags(
    wanted: Iterable[FetchRequest],
    known: Mapping[FetchRequest, PinnedManifest],
    reading: SourceReader,
    pinned: Resolution,
    *,
    label: str = "manifests",
) -> dict[FetchRequest, Root | BundlerError]:
    """Read what is wanted, keep the manifests, and give each one its root; in the order of `wanted`.

    As wanted, not as they come: the order of the bundle must not depend on the network.
    """
    items = list(dict.fromkeys(wanted))
    found: dict[FetchRequest, Root | BundlerError] = {}
    for want in items:
        if want in known:
            found[want] = _kept(want, known[want], pinned)
    unknown = [want for want in items if want not in known]
    for want, answer in reading.each(label, unknown, lambda want: _read(want, reading)):
        root = answer if isinstance(answer, BundlerError) else _kept(want, answer, pinned)
        if isinstance(root, BundlerError):
            reading.failing.add(root)
        found[want] = root
    return {want: found[want] for want in items}


def _read(want: FetchRequest, reading: SourceReader) -> PinnedManifest:
    if want.digest is None or not want.strict:
        return reading.manifest(want.repository, want.digest or want.tag or Tag("latest"))
    answer = reading.manifest(want.repository, want.tag or want.digest)
    now = answer.manifest.blob.digest
    if now == want.digest:
        return answer
    cause = f"it must be {want.digest}, and the tag points to {now}"
    if reading.locked:
        with suppress(NotFoundError):
            locked = reading.manifest(want.repository, want.digest)
            warnings = (*locked.warnings, f"{want}: {cause}; taken by its digest")
            return locked._replace(warnings=warnings, moved=True)
    raise IntegrityError(str(want), cause, "the tag was moved: pin it anew, or find out who moved it")


def _kept(want: FetchRequest, answer: PinnedManifest, pinned: Resolution) -> Root | BundlerError:
    if error := pinned.take(want.repository, answer.manifest):
        return error
    pinned.warnings += answer.warnings
    if answer.moved:
        pinned.drifted[str(want)] = None
    return Root(want.repository, want.tag, answer.manifest.blob.digest)


def nowhere(want: FetchRequest) -> Root:
    """The root of something that could not be had."""
    return Root(want.repository, want.tag, want.digest or Digest(""))


def walk_indexes(roots: Iterable[Root], reading: SourceReader, pinned: Resolution) -> None:
    """Fetch what these roots have below them; what can't be had goes to `pinned.broken`."""
    level = dict.fromkeys((root.repository, root.digest) for root in roots)
    for _ in range(reading.limits.index_depth):
        children = _children(level, pinned)
        missing = [item for item in children if item[0].digest not in pinned.manifests]
        for (child, name), answer in reading.each(
            "manifests of indexes", missing, lambda item: reading.child(*item)
        ):
            error = answer if isinstance(answer, BundlerError) else pinned.take(name, answer)
            if error:
                pinned.broken[child.digest] = error
        level = dict.fromkeys((name, child.digest) for child, name in children)
    cause = f"indexes nested more than {reading.limits.index_depth} deep"
    for child, _ in _children(level, pinned):
        pinned.broken[child.digest] = ContentError(f"manifest {child.digest}", cause)
        pinned.manifests.pop(child.digest, None)


def _children(level: Iterable[Subject], pinned: Resolution) -> list[tuple[Descriptor, RepositoryName]]:
    """What the manifests of one level name below them."""
    found: dict[Descriptor, RepositoryName] = {}
    for name, digest in level:
        if manifest := pinned.manifests.get(digest):
            found |= dict.fromkeys(manifest.children, name)
    return list(found.items())


def gap_below(root: Digest, pinned: Resolution) -> BundlerError | None:
    """What keeps a manifest from being whole, naming parent and child."""
    try:
        for _ in bottom_up([root], pinned.manifests):
            pass
    except IntegrityError as gap:
        child = next((digest for digest in pinned.broken if digest in gap.item), None)
        if child is None:
            return gap
        reason = pinned.broken[child]
        return type(reason)(gap.item, f"{gap.cause}: {reason.cause}", reason.next_step)
    return None
