"""Attachments inside one repository of a bundle: signatures, SBOMs, attestations, and changes.

Found as registries find it: by a referrer's subject, and by cosign's tags. What is counted is that it
goes along; whether a signature is valid takes a key, and is not asked here.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping

from bundler.attachments import referrers
from bundler.bundle.inventory import RepositoryEntry, roots_of
from bundler.bundle.manifest_pool import ManifestPool, read_chain_entry
from bundler.bundle.reader import Bundle
from bundler.deltas.difference import Difference, TagChange, TagState, difference
from bundler.errors import printable
from bundler.oci import Digest, Manifest, Manifests, Tag, reached, shortened
from bundler.page.values import ChangeRow, ChangesPart, Marks
from bundler.selection.semver import version_order


class RepositoryAttachments:
    """Attachments of the manifests of one repository."""

    def __init__(self, entry: RepositoryEntry, manifests: Manifests) -> None:
        self._tags = entry.tags
        self._manifests = manifests
        self._referrers: Mapping[Digest, dict[Digest, Manifest]] = _by_subject(entry, manifests)

    def marks_of(self, subject: Digest) -> Marks:
        """Return the marks of what is attached directly to a manifest."""
        counts: Counter[str] = Counter()
        for manifest, tag in self._of(subject):
            # cosign keeps a layer for each signature; what has none says nothing.
            count = len(manifest.layers) if tag else min(len(manifest.layers), 1)
            counts.update(dict.fromkeys(referrers.kinds_of(manifest, tag), count))
        return Marks(counts[referrers.SIGNATURE], counts[referrers.SBOM], counts[referrers.ATTESTATION])

    def _of(self, subject: Digest) -> Iterator[tuple[Manifest, Tag | None]]:
        for manifest in self._referrers.get(subject, {}).values():
            yield manifest, None
        for tag in referrers.attachment_tags(subject)[1:]:
            if tag in self._tags:
                yield self._manifests[self._tags[tag]], tag


def _by_subject(entry: RepositoryEntry, manifests: Manifests) -> Mapping[Digest, dict[Digest, Manifest]]:
    by_subject: dict[Digest, dict[Digest, Manifest]] = defaultdict(dict)
    for root in dict.fromkeys(entry.roots()):
        for digest in reached(root, manifests):
            manifest = manifests.get(digest)
            if manifest is not None and manifest.subject is not None:
                by_subject[manifest.subject.digest][digest] = manifest
    return by_subject


def changes_since(old: Bundle, new: Bundle, pool: ManifestPool) -> ChangesPart:
    """Compare two bundles by their inventories and manifests."""
    compared = difference(old, new, pool)
    untagged = _referrers(old, pool) | _referrers(new, pool)
    every = list(_ordered(compared))
    listed = [(name, change) for name, change in every if not _belongs(change.reference, untagged)]
    total = sum(1 for root in roots_of(new.inventory) if not _belongs(root.tag or root.digest, untagged))
    # A delta names only what changed: of the others, only the number is known.
    delta = new.inventory.kind == "delta"
    return ChangesPart(
        printable(old.name),
        compared.old_id,
        tuple(_row(name, change) for name, change in listed),
        compared.unchanged if delta else total - sum(1 for _, change in listed if change.new),
        len(every) - len(listed),
        compared.added_bytes,
        compared.removed_bytes,
    )


def _referrers(bundle: Bundle, pool: ManifestPool) -> set[str]:
    return {
        manifest.blob.digest
        for manifest in read_chain_entry(bundle, pool).manifests.values()
        if manifest.subject
    }


def _ordered(compared: Difference) -> Iterator[tuple[str, TagChange]]:
    for entry in compared.repositories:
        for change in sorted(entry.changes, key=lambda change: version_order(change.reference)):
            yield entry.name, change


def _belongs(reference: str, untagged: Collection[str]) -> bool:
    """Return True for a change of an attachment: a tag named after a digest, or an untagged referrer."""
    return referrers.is_attachment_tag(reference) or reference in untagged


def _row(name: str, change: TagChange) -> ChangeRow:
    state = change.new or change.old
    size = state.size if state else 0
    shown_states = _told(change.old), _told(change.new)
    return ChangeRow(change.change, name, change.reference, *shown_states, size, change.departure or "")


def _told(state: TagState | None) -> str:
    if state is None:
        return ""
    return f"{printable(state.version or '', 60)} {shortened(state.digest)}".strip()
