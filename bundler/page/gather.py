"""Gathering a page: Bundle → PageContents. Reads manifests, and module layers that name images."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bundler.attachments.referrers import is_attachment_tag
from bundler.bundle.bundle_format import COMPACT_LEVEL
from bundler.bundle.inventory import Inventory, RepositoryEntry, Root, roots_of
from bundler.bundle.manifest_pool import ManifestPool, read_chain_entry
from bundler.bundle.reader import Bundle
from bundler.errors import BUNDLE, printable
from bundler.limits import Limits
from bundler.oci import INDEXES, Digest, Manifest, Manifests, RepositoryName, Tag, Tally, bottom_up, needed_by
from bundler.oci.manifest import CREATED, REVISION, VERSION
from bundler.page.gathered_parts import RepositoryAttachments, changes_since
from bundler.page.listed_images import images_part, is_module
from bundler.page.pull_lines import MODULE
from bundler.page.values import FileFacts, LabelledFact, PageContents, Proof, RepositoryPart, Sizes, TagRow
from bundler.reporting.bundle_outcome import CompactReport
from bundler.selection.creation_time import created_at, rfc3339
from bundler.selection.semver import version_order
from bundler.session import Session
from bundler.timoni.module import SOURCE

Needs = Mapping[Digest, Mapping[Digest, int]]
"""Blobs that each root needs, with their sizes in bytes."""

_LONGEST_NAME = 120

_IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)

_HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"


def page_of(
    bundle: Bundle,
    proof: Proof,
    session: Session,
    *,
    since: Sequence[Bundle] = (),
    title: str = "",
    origin: Sequence[LabelledFact] = (),
    claimed: Sequence[LabelledFact] = (),
    savings: bool = True,
) -> PageContents:
    """Return the contents of a bundle's report page.

    `since` are bundles to compare with; `origin` is what the caller proved of who made this one, and
    `claimed` what a signature says that was not checked. The proofs are the caller's word: nothing is
    proven here. Without `savings`, the layers of a compact bundle are not made again to count what its
    form saves. Raises what a damaged bundle deserves.
    """
    inventory = bundle.inventory
    pool = ManifestPool(session.limits)
    # First, because it holds the manifests of both in memory.
    changes = tuple(changes_since(old, bundle, pool) for old in since)
    manifests = read_chain_entry(bundle, pool).manifests
    roots = sorted(roots_of(inventory), key=lambda root: (root.repository, *version_order(str(root.tag))))
    needs = _needs(roots, manifests, session.limits)
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
        images=images_part(roots, manifests, (bundle, *since), session),
        changes=changes,
        compact=_savings(bundle, manifests, session) if savings else None,
    )


def _savings(bundle: Bundle, manifests: Manifests, session: Session) -> CompactReport | None:
    """Return what a full compact bundle saves; its layers are made again, and taken apart, for that."""
    if not bundle.is_compact or bundle.inventory.base or bundle.file_size is None:
        return None
    from bundler.bundle.compacted.compact_savings import planned_savings

    report = planned_savings(
        bundle.inventory, manifests, bundle, lambda _: True, session.progress, folder=None,
        limits=session.limits, level=COMPACT_LEVEL,
    )  # fmt: skip
    saved = report.portable_size - bundle.file_size
    return replace(report, size=bundle.file_size, saved=saved)


def _needs(roots: Iterable[Root], manifests: Manifests, limits: Limits) -> Needs:
    """Return the blobs that each root needs. Raises ContentError over the limit.

    Tags that share a digest are looked at once: there may be many.
    """
    tally = Tally(BUNDLE, limits.needs // 5, "blobs that its tags need")
    needs: dict[Digest, Mapping[Digest, int]] = {}
    for _, digest in dict.fromkeys((root.repository, root.digest) for root in roots):
        tally.add(sum(manifest.descriptors for manifest in bottom_up([digest], manifests)))
        if digest not in needs:
            needs[digest] = needed_by([digest], manifests)
    return needs


def _file(bundle: Bundle, proof: Proof) -> FileFacts:
    inventory = bundle.inventory
    return FileFacts(
        name=printable(bundle.name, _LONGEST_NAME),
        id=bundle.id,
        sha256=bundle.sha256 if proof.every_byte or proof.unproven else None,
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
    for repository_roots in by_repository.values():
        users.update(_together(repository_roots, manifests).keys())
    return tuple(
        _repository(entry, by_repository.get(entry.name, []), manifests, needs, users)
        for entry in inventory.repositories
    )


def _together(roots: Iterable[Root], manifests: Manifests) -> dict[Digest, int]:
    return needed_by((root.digest for root in roots), manifests)


def _sizes(roots: Iterable[Root], needs: Needs) -> dict[Digest, tuple[int, int]]:
    """Return, by digest, the bytes that it needs, and how many of them none before it needs."""
    seen: set[Digest] = set()
    sizes: dict[Digest, tuple[int, int]] = {}
    for digest in dict.fromkeys(root.digest for root in roots):
        need = needs[digest]
        sizes[digest] = sum(need.values()), sum(size for blob, size in need.items() if blob not in seen)
        seen |= need.keys()
    return sizes


def _repository(
    entry: RepositoryEntry,
    roots: Sequence[Root],
    manifests: Manifests,
    needs: Needs,
    users: Mapping[Digest, int],
) -> RepositoryPart:
    attachments = RepositoryAttachments(entry, manifests)
    shown = [root for root in roots if not _belongs(root, manifests)]
    sizes = _sizes(shown, needs)
    rows = []
    for root in shown:
        rows.append(_row(root, manifests[root.digest], attachments, *sizes[root.digest]))
        # Another tag of the same digest adds nothing.
        sizes[root.digest] = sizes[root.digest][0], 0
    together = _together(roots, manifests)
    return RepositoryPart(
        name=entry.name,
        kind=_kind(manifests[shown[-1].digest]) if shown else "",
        tags=tuple(rows),
        attachments=len(roots) - len(shown),
        size=sum(together.values()),
        shared_size=sum(size for digest, size in together.items() if users[digest] > 1),
        gone=_departed(entry.removed),
        deselected=_departed(entry.deselected),
    )


def _departed(names: Iterable[Tag | Digest]) -> tuple[str, ...]:
    return tuple(sorted((name for name in names if not is_attachment_tag(name)), key=version_order))


def _belongs(root: Root, manifests: Manifests) -> bool:
    """Return True for a root that is attached to another manifest."""
    return is_attachment_tag(root.tag) or (root.tag is None and manifests[root.digest].subject is not None)


def _row(
    root: Root, manifest: Manifest, attachments: RepositoryAttachments, size: int, new_size: int
) -> TagRow:
    annotations = manifest.annotations
    return TagRow(
        reference=root.tag or root.digest,
        digest=root.digest,
        version=printable(annotations.get(VERSION, ""), 80),
        created=_time(annotations.get(CREATED, "")),
        revision=printable(annotations.get(REVISION, ""), 100),
        source=printable(annotations.get(SOURCE, ""), 200),
        size=size,
        new_size=new_size,
        marks=attachments.marks_of(root.digest),
    )


def _time(text: str) -> str:
    """Return a time as `2026-01-01 08:00` in UTC; text that is not a time is returned as it is."""
    seconds = created_at(text)
    return printable(text, 40) if seconds is None else rfc3339(seconds)[:16].replace("T", " ")


def _kind(manifest: Manifest) -> str:
    config = manifest.config.blob.media_type if manifest.config else ""
    if is_module(manifest):
        return MODULE
    if config in _IMAGE_CONFIGS or manifest.blob.media_type in INDEXES:
        return "container image"
    return "Helm chart" if config == _HELM_CONFIG else "artifact"
