"""What a bundle holds, told for people and scripts: versions, dates, sizes, shared bytes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from bundler.bundle.inventory import Root, roots_of
from bundler.bundle.reader import Bundle
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci.content import Digest, read_all
from bundler.oci.graph import Manifests, needed_by, sparse
from bundler.oci.manifest import CREATED, REVISION, VERSION, Manifest, parse_manifest


@dataclass(frozen=True, slots=True)
class TagContents:
    """One tag, or one manifest that was taken by digest."""

    reference: str
    """The tag, or the digest."""
    digest: str
    media_type: str
    version: str | None
    """`org.opencontainers.image.version`."""
    created: str | None
    """`org.opencontainers.image.created`."""
    revision: str | None
    """`org.opencontainers.image.revision`."""
    size: int
    """Bytes of all that it needs."""
    own_size: int
    """Bytes that nothing else in the bundle needs."""


@dataclass(frozen=True, slots=True)
class RepositoryContents:
    """One repository."""

    name: str
    tags: tuple[TagContents, ...]
    size: int
    """Distinct bytes of all its tags."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a bundle holds."""

    path: str
    id: str
    """sha256 of the inventory."""
    format: int
    repositories: tuple[RepositoryContents, ...]
    blobs: int
    """Distinct blobs, manifests included."""
    listed_size: int
    """Bytes that all tags would take, each carried alone."""
    distinct_size: int
    """Bytes of the distinct blobs."""
    file_size: int | None
    """Bytes of the bundle file; null for a directory."""


def describe(bundle: Bundle, limits: Limits = DEFAULT_LIMITS) -> Contents:
    """Read the manifests, and add up. Raises what a damaged bundle deserves."""
    inventory = bundle.inventory
    manifests = manifests_of(bundle, limits)
    roots = list(roots_of(inventory))
    needs = {root: needed_by(root.digest, manifests) for root in roots}
    # Tags that share a digest don't share bytes with anybody else by that.
    users = Counter(
        digest for need in {root.digest: needs[root] for root in roots}.values() for digest in need
    )
    repositories = []
    for entry in inventory.repositories:
        own = [root for root in roots if root.repository == entry.name]
        tags = tuple(_tag(root, manifests, needs[root], users) for root in own)
        distinct = {digest: size for root in own for digest, size in needs[root].items()}
        repositories.append(RepositoryContents(entry.name, tags, sum(distinct.values())))
    return Contents(
        path=str(bundle.path),
        id=bundle.id,
        format=inventory.format,
        repositories=tuple(repositories),
        blobs=len(inventory.manifests) + len(inventory.blobs),
        listed_size=sum(sum(need.values()) for need in needs.values()),
        distinct_size=sum(blob.size for blob in inventory.content),
        file_size=bundle.path.stat().st_size if bundle.path.is_file() else None,
    )


def manifests_of(bundle: Bundle, limits: Limits = DEFAULT_LIMITS) -> dict[Digest, Manifest]:
    """Every manifest of a bundle, without the children that were left out on purpose."""
    omitted = frozenset(bundle.inventory.omitted)
    return {
        blob.digest: sparse(
            parse_manifest(read_all(bundle, blob), blob.media_type, blob.digest, limits=limits), omitted
        )
        for blob in bundle.inventory.manifests
    }


def _tag(root: Root, manifests: Manifests, needs: dict[Digest, int], users: Counter[Digest]) -> TagContents:
    manifest = manifests[root.digest]
    return TagContents(
        reference=root.tag or root.digest,
        digest=root.digest,
        media_type=manifest.blob.media_type,
        version=manifest.annotations.get(VERSION),
        created=manifest.annotations.get(CREATED),
        revision=manifest.annotations.get(REVISION),
        size=sum(needs.values()),
        own_size=sum(size for digest, size in needs.items() if users[digest] == 1),
    )
