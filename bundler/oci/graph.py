"""Manifests that reach others: the closure of a root, and the order in which to push it."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping

from bundler.errors import BUNDLE, ContentError, IntegrityError
from bundler.limits import Limits
from bundler.oci.digest import Digest
from bundler.oci.manifest import INDEXES, Manifest, parse_manifest

Manifests = Mapping[Digest, Manifest]


def bottom_up(roots: Iterable[Digest], manifests: Manifests) -> Iterator[Manifest]:
    """Yield every manifest that the roots reach, each once, children before parents.

    Raises IntegrityError that names parent and child when one is missing. A cycle can't be: a
    manifest would have to hold its own digest.
    """
    done: set[Digest] = set()
    stack: list[tuple[Digest, Digest | None, bool]] = [(root, None, False) for root in roots]
    stack.reverse()
    while stack:
        digest, parent, expanded = stack.pop()
        if digest in done:
            continue
        manifest = manifests.get(digest)
        if manifest is None:
            raise IntegrityError(f"manifest {digest}", f"missing, but {parent or 'a tag'} needs it")
        if expanded or not manifest.children:
            done.add(digest)
            yield manifest
            continue
        stack.append((digest, parent, True))
        stack.extend((child.digest, digest, False) for child in reversed(manifest.children))


def needed_by(roots: Iterable[Digest], manifests: Manifests) -> dict[Digest, int]:
    """Return every blob that the roots need, manifests included, with its size in bytes."""
    needed: dict[Digest, int] = {}
    for manifest in bottom_up(roots, manifests):
        needed[manifest.blob.digest] = manifest.blob.size
        needed |= {blob.digest: blob.size for blob in manifest.blobs}
    return needed


def sparse(manifest: Manifest, omitted: Collection[Digest]) -> Manifest:
    """Return the manifest without the children that were left out on purpose; its bytes stay."""
    if not omitted or not manifest.children:
        return manifest
    kept = tuple(child for child in manifest.children if child.digest not in omitted)
    return manifest._replace(children=kept)


def left_out(manifest: Manifest) -> set[Digest]:
    """Return the children that an index names in its bytes, and that `sparse` took out."""
    if manifest.blob.media_type not in INDEXES:
        return set()
    named = {Digest(entry["digest"]) for entry in json.loads(manifest.data).get("manifests") or ()}
    return named - {child.digest for child in (*manifest.children, *manifest.blobs)}


def is_sparse(manifest: Manifest) -> bool:
    """Return whether some of an index's children were left out."""
    return bool(left_out(manifest))


def heights(roots: Iterable[Digest], manifests: Manifests) -> dict[Digest, int]:
    """Return the number of levels below each manifest that the roots reach; 0 without children."""
    levels: dict[Digest, int] = {}
    for manifest in bottom_up(roots, manifests):
        below = (levels[child.digest] + 1 for child in manifest.children)
        levels[manifest.blob.digest] = max(below, default=0)
    return levels


def with_carried_children(roots: Iterable[Digest], manifests: Manifests) -> Manifests:
    """Return the manifests; indexes get back those left-out children that the roots reach anyway.

    A child that is carried for another reason, as under a tag of its own, is not left out of any index.
    """
    carried = set(_reached_from(roots, manifests))
    restored: dict[Digest, Manifest] = {}
    for digest in carried & manifests.keys():
        manifest = manifests[digest]
        if regained := left_out(manifest) & carried:
            kept = regained.union(child.digest for child in manifest.children)
            whole = parse_manifest(manifest.data, manifest.blob.media_type, digest)
            children = tuple(child for child in whole.children if child.digest in kept)
            restored[digest] = manifest._replace(children=children)
    return {**manifests, **restored} if restored else manifests


def reached(root: Digest, manifests: Manifests) -> Iterator[Digest]:
    """Yield the root and every known manifest below it; missing ones are passed over."""
    return _reached_from([root], manifests)


def _reached_from(roots: Iterable[Digest], manifests: Manifests) -> Iterator[Digest]:
    waiting = list(dict.fromkeys(roots))
    seen = set(waiting)
    while waiting:
        digest = waiting.pop()
        yield digest
        for child in manifests[digest].children if digest in manifests else ():
            if child.digest not in seen:
                seen.add(child.digest)
                waiting.append(child.digest)


def misstated_subject(manifest: Manifest, manifests: Manifests) -> str:
    """Return how a manifest describes its subject otherwise than that is; empty if it is right, or unknown.

    Readers that look for attachments by the whole descriptor find none, where others find one.
    """
    stated = manifest.subject
    actual = manifests.get(stated.digest) if stated else None
    if stated is None or actual is None or actual.blob == stated:
        return ""
    return (
        f"it states its subject {stated.digest} as {stated.size:,} bytes of {stated.media_type}, "
        f"but that is {actual.blob.size:,} bytes of {actual.blob.media_type}"
    )


class Tally:
    """A count with a limit. `what` says in the message what was counted."""

    def __init__(self, item: str, limit: int, what: str) -> None:
        self._item = item
        self._limit = self._left = limit
        self._what = what

    def add(self, number: int) -> None:
        """Count. Raises ContentError over the limit."""
        self._left -= number
        if self._left < 0:
            raise ContentError(self._item, f"more than the limit of {self._limit:,} {self._what}")


class HeldManifests:
    """A count of what manifests take in memory: much more than their bytes, if they are made for that."""

    def __init__(self, limits: Limits, item: str = BUNDLE) -> None:
        self._descriptors = Tally(item, limits.descriptors, "layers and children of its manifests")
        self._annotations = Tally(item, limits.annotations, "bytes that its manifests' annotations take")

    def add(self, manifest: Manifest) -> None:
        """Count one. Raises ContentError over a limit."""
        self._descriptors.add(manifest.descriptors)
        self._annotations.add(manifest.annotated)
