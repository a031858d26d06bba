"""Indexes read downwards: one request per child, level by level over all repositories."""

from __future__ import annotations

from collections.abc import Iterable

from bundler.bundle.inventory import Root
from bundler.errors import BundlerError, ContentError, IntegrityError
from bundler.exporter.pinned import Pinned, Subject
from bundler.exporter.reading import Reading
from bundler.oci.content import Descriptor, Digest
from bundler.oci.graph import bottom_up
from bundler.oci.reference import RepositoryName


def descend(roots: Iterable[Root], reading: Reading, pinned: Pinned) -> None:
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


def _children(level: Iterable[Subject], pinned: Pinned) -> list[tuple[Descriptor, RepositoryName]]:
    """What the manifests of one level name below them."""
    found: dict[Descriptor, RepositoryName] = {}
    for name, digest in level:
        if manifest := pinned.manifests.get(digest):
            found |= dict.fromkeys(manifest.children, name)
    return list(found.items())


def gap_below(root: Digest, pinned: Pinned) -> BundlerError | None:
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
