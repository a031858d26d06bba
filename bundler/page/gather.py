"""Bundle → PageContents. Only the manifests are read, and module layers where they name the images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from bundler.attachments.referrers import is_attachment_tag
from bundler.bundle.inventory import Inventory, RepositoryEntry, Root, roots_of
from bundler.bundle.manifest_pool import ManifestPool, read_chain_entry
from bundler.bundle.reader import Bundle
from bundler.errors import BUNDLE, printable
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci.content import Digest
from bundler.oci.graph import Manifests, Tally, bottom_up, needed_by
from bundler.oci.manifest import CREATED, INDEXES, REVISION, VERSION, Manifest
from bundler.oci.reference import RepositoryName
from bundler.page.gathered_parts import Vouchers, changes_since
from bundler.page.listed_images import images_part, is_module
from bundler.page.values import FileFacts, LabelledFact, PageContents, Proof, RepositoryPart, Sizes, TagRow
from bundler.reporting.progress import SILENCE, Progress
from bundler.selection.creation_time import created_at, rfc3339
from bundler.selection.semver import version_order
from bundler.timoni.module import SOURCE

Needs = Mapping[Digest, Mapping[Digest, int]]
"""What each root needs, with the sizes."""

_LONGEST_NAME = 120

_IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)

_HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"


def page_of(
    bundle: Bundle,
    proof: Proof,
    *,
    since: Sequence[Bundle] = (),
    title: str = "",
    origin: Sequence[LabelledFact] = (),
    claimed: Sequence[LabelledFact] = (),
    progress: Progress = SILENCE,
    limits: Limits = DEFAULT_LIMITS,
) -> PageContents:
    """What the report page of a bundle says.

    `since` are bundles to compare with; `origin` is what the caller proved of who made this one, and
    `claimed` what a signature says that was not checked. The proofs are the caller's word: nothing is
    proven here. Raises what a damaged bundle deserves.
    """
    inventory = bundle.inventory
    pool = ManifestPool(limits)
    # First, because it holds the manifests of both in memory.
    changes = tuple(changes_since(old, bundle, pool) for old in since)
    manifests = read_chain_entry(bundle, pool).manifests
    roots = sorted(roots_of(inventory), key=lambda root: (root.repository, *version_order(str(root.tag))))
    needs = _needs(roots, manifests, limits)
    return PageContents(
        title=printable(title or bundle.name, _LONGEST_NAME),
        file=_file(bundle, proof),
        proof=proof,
        origin=tuple(origin),
        claimed=tuple(claimed),
        sizes=Sizes(
            sum(sum(needs[root.digest].values()) for root in roots),
            sum(blob.size for blob in inventory.content),
        ),
        blobs=len(inventory.manifests) + len(inventory.blobs),
        left_out=len(inventory.omitted),
        repositories=_repositories(inventory, roots, manifests, needs),
        images=images_part(roots, manifests, (bundle, *since), progress, limits),
        changes=changes,
    )


def _needs(roots: Iterable[Root], manifests: Manifests, limits: Limits) -> Needs:
    """What each root needs. Raises ContentError where a hostile bundle would be work without end.

    Tags that share a digest are looked at once: there may be many.
    """
    tally = Tally(BUNDLE, limits.needs // 5, "blobs that its tags need")
    found: dict[Digest, Mapping[Digest, int]] = {}
    for _, digest in dict.fromkeys((root.repository, root.digest) for root in roots):
        tally.add(sum(one.descriptors for one in bottom_up([digest], manifests)))
        if digest not in found:
            found[digest] = needed_by([digest], manifests)
    return found


def _file(bundle: Bundle, proof: Proof) -> FileFacts:
    inventory = bundle.inventory
    return FileFacts(
        name=printable(bundle.name, _LONGEST_NAME),
        id=bundle.id,
        sha256=bundle.sha256 if proof.every_byte else None,
        size=bundle.file_size,
        volumes=bundle.volumes,
        format=inventory.format,
        kind=inventory.kind,
        base=inventory.base,
        required=sum(blob.size for blob in inventory.required),
    )


# --- repositories ------------------------------------------------------------------------------------


def _repositories(
    inventory: Inventory, roots: Iterable[Root], manifests: Manifests, needs: Needs
) -> tuple[RepositoryPart, ...]:
    by_repository: dict[RepositoryName, list[Root]] = {}
    for root in roots:
        by_repository.setdefault(root.repository, []).append(root)
    users = Counter[Digest]()
    for own in by_repository.values():
        users.update(_together(own, manifests).keys())
    return tuple(
        _repository(entry, by_repository.get(entry.name, []), manifests, needs, users)
        for entry in inventory.repositories
    )


def _together(roots: Iterable[Root], manifests: Manifests) -> dict[Digest, int]:
    return needed_by((root.digest for root in roots), manifests)


def _sizes(roots: Iterable[Root], needs: Needs) -> dict[Digest, tuple[int, int]]:
    """Bytes that each digest needs, and those of them that none before it needs."""
    seen: set[Digest] = set()
    found: dict[Digest, tuple[int, int]] = {}
    for digest in dict.fromkeys(root.digest for root in roots):
        need = needs[digest]
        found[digest] = sum(need.values()), sum(size for blob, size in need.items() if blob not in seen)
        seen |= need.keys()
    return found


def _repository(
    entry: RepositoryEntry,
    roots: Sequence[Root],
    manifests: Manifests,
    needs: Needs,
    users: Mapping[Digest, int],
) -> RepositoryPart:
    belongings = Vouchers(entry, manifests)
    own = [root for root in roots if not _belongs(root, manifests)]
    sizes = _sizes(own, needs)
    rows = []
    for root in own:
        rows.append(_row(root, manifests[root.digest], belongings, *sizes[root.digest]))
        # Another tag of the same digest adds nothing.
        sizes[root.digest] = sizes[root.digest][0], 0
    together = _together(roots, manifests)
    return RepositoryPart(
        name=entry.name,
        kind=_kind(manifests[own[-1].digest]) if own else "",
        tags=tuple(rows),
        belongings=len(roots) - len(own),
        size=sum(together.values()),
        shared_size=sum(size for digest, size in together.items() if users[digest] > 1),
        gone=tuple(
            sorted((name for name in entry.removed if not is_attachment_tag(name)), key=version_order)
        ),
    )


def _belongs(root: Root, manifests: Manifests) -> bool:
    """Whether it is there for another manifest's sake."""
    return is_attachment_tag(root.tag) or (root.tag is None and manifests[root.digest].subject is not None)


def _row(root: Root, manifest: Manifest, belongings: Vouchers, size: int, new_size: int) -> TagRow:
    said = manifest.annotations
    return TagRow(
        reference=root.tag or root.digest,
        digest=root.digest,
        version=printable(said.get(VERSION, ""), 80),
        created=_time(said.get(CREATED, "")),
        revision=printable(said.get(REVISION, ""), 100),
        source=printable(said.get(SOURCE, ""), 200),
        size=size,
        new_size=new_size,
        marks=belongings.marks_of(root.digest),
    )


def _time(text: str) -> str:
    """`2026-01-01 08:00`, UTC; what is no time stays as it is."""
    seconds = created_at(text)
    return printable(text, 40) if seconds is None else rfc3339(seconds)[:16].replace("T", " ")


def _kind(manifest: Manifest) -> str:
    config = manifest.config.blob.media_type if manifest.config else ""
    if is_module(manifest):
        return "Timoni module"
    if config in _IMAGE_CONFIGS or manifest.blob.media_type in INDEXES:
        return "container image"
    return "Helm chart" if config == _HELM_CONFIG else "artifact"
