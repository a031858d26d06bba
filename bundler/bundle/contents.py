"""Contents of a bundle for people and scripts: versions, dates, sizes, shared bytes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bundler.bundle.inventory import RepositoryEntry
from bundler.bundle.manifest_pool import ManifestPool, read_chain_entry
from bundler.bundle.reader import Bundle
from bundler.errors import BUNDLE, errors_of
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import Digest, Manifest, Manifests, Tally, bottom_up, needed_by
from bundler.oci.grammar import DocumentValue, document_value
from bundler.oci.manifest import CREATED, REVISION, VERSION
from bundler.reporting.json_report import SignedReport, StatementReport


@document_value
class TagContents(DocumentValue):
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
    """Bytes of everything that it needs."""
    own_size: int
    """Bytes of it that nothing else in the bundle needs."""


@document_value
class RepositoryContents(DocumentValue):
    """One repository of a bundle."""

    name: str
    tags: tuple[TagContents, ...]
    size: int
    """Distinct bytes of all its tags."""
    removed: tuple[str, ...] = ()
    """In a delta: tags and digests of the base that are gone at the source."""
    deselected: tuple[str, ...] = ()
    """In a delta: tags and digests of the base that are no longer selected."""


@document_value
class Contents(DocumentValue):
    """Contents of a bundle."""

    path: str
    id: str
    """sha256 of the inventory."""
    format: int
    kind: str
    """`full` or `delta`."""
    base: tuple[str, ...]
    """In a delta: ids of the bundles that it builds on."""
    required_size: int
    """In a delta: bytes that its tags need and that the base brought."""
    repositories: tuple[RepositoryContents, ...]
    blobs: int
    """Distinct blobs, manifests included."""
    listed_size: int
    """Bytes that all tags would take, each carried alone."""
    distinct_size: int
    """Bytes of the distinct blobs."""
    file_size: int | None
    """Bytes of the bundle file; null for a directory."""
    statement: StatementReport | None = None
    """Signed statement; null for a bundle without a signature."""
    signed: tuple[SignedReport, ...] = ()
    """After a verification that asked for signatures on modules: the signers that count."""


def describe(bundle: Bundle, limits: Limits = DEFAULT_LIMITS, manifests: Manifests | None = None) -> Contents:
    """Add up what a bundle holds; read its manifests unless they are given."""
    inventory = bundle.inventory
    manifests = read_chain_entry(bundle, ManifestPool(limits)).manifests if manifests is None else manifests
    needed = (digest for entry in inventory.repositories for digest in dict.fromkeys(entry.roots()))
    with errors_of(bundle.path):
        sums = added_up(needed, manifests, limits)
    repositories = tuple(_repository(entry, manifests, sums) for entry in inventory.repositories)
    return Contents(
        path=str(bundle.path),
        id=bundle.id,
        format=inventory.format,
        kind=inventory.kind,
        base=inventory.base,
        required_size=sum(blob.size for blob in inventory.required),
        repositories=repositories,
        blobs=len(inventory.manifests) + len(inventory.blobs),
        listed_size=sum(tag.size for entry in repositories for tag in entry.tags),
        distinct_size=sum(blob.size for blob in inventory.content),
        file_size=bundle.file_size,
        statement=bundle.signed_statement.report() if bundle.signed_statement else None,
    )


class Sum(NamedTuple):
    """Bytes that one root needs, and how many of them nothing else needs."""

    size: int
    alone: int


def added_up(roots: Iterable[Digest], manifests: Manifests, limits: Limits) -> Mapping[Digest, Sum]:
    """Return the bytes that each root needs.

    Tags that share a digest don't share bytes with anybody else by that. Raises ContentError over the limit.
    """
    tally = Tally(BUNDLE, limits.needs, "blobs that its repositories and tags need")
    users, counts = Counter[Digest](), dict[Digest, int]()
    for digest in roots:
        if digest not in counts:
            counts[digest] = sum(manifest.descriptors for manifest in bottom_up([digest], manifests))
            users.update(needed_by([digest], manifests).keys())
        tally.add(counts[digest])
    return {digest: _sum(needed_by([digest], manifests), users) for digest in counts}


def _sum(needs: Mapping[Digest, int], users: Counter[Digest]) -> Sum:
    unshared = sum(size for digest, size in needs.items() if users[digest] == 1)
    return Sum(sum(needs.values()), unshared)


def _repository(
    entry: RepositoryEntry, manifests: Manifests, sums: Mapping[Digest, Sum]
) -> RepositoryContents:
    blobs = needed_by(entry.roots(), manifests)
    tagged = [(str(tag), digest) for tag, digest in entry.tags.items()]
    untagged = [(str(digest), digest) for digest in entry.untagged]
    tags = (_tag(name, manifests[digest], sums[digest]) for name, digest in (*tagged, *untagged))
    departed = tuple(entry.removed), tuple(entry.deselected)
    return RepositoryContents(entry.name, tuple(tags), sum(blobs.values()), *departed)


def _tag(reference: str, manifest: Manifest, needs: Sum) -> TagContents:
    return TagContents(
        reference=reference,
        digest=manifest.blob.digest,
        media_type=manifest.blob.media_type,
        version=manifest.annotations.get(VERSION),
        created=manifest.annotations.get(CREATED),
        revision=manifest.annotations.get(REVISION),
        size=needs.size,
        own_size=needs.alone,
    )
