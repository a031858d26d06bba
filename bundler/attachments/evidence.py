"""What of a bundle belongs to its roots, and who made the signatures among it."""

from __future__ import annotations

from collections.abc import Iterator

from bundler.attachments.referrers import attachment_tags, is_attachment_tag, kinds_of
from bundler.bundle.inventory import Inventory, Root, roots_of
from bundler.errors import TrustError
from bundler.oci.content import BlobSource, Digest, read_all
from bundler.oci.graph import Manifests, reached
from bundler.oci.manifest import Manifest
from bundler.oci.reference import RepositoryName
from bundler.reporting.json_report import SignedReport
from bundler.trust.cosign import (
    LARGEST,
    SIGSTORE_BUNDLE,
    SIMPLE_SIGNING,
    Evidence,
    sigstore_bundle,
    simple_signing,
)
from bundler.trust.module_signers import Signed, Signers


class Attachments:
    """What of a bundle belongs to its roots: signatures, SBOMs, attestations."""

    def __init__(self, inventory: Inventory, manifests: Manifests) -> None:
        self._manifests = manifests
        self._tags = {(root.repository, root.tag): root.digest for root in roots_of(inventory) if root.tag}
        self._referrers: dict[tuple[RepositoryName, Digest], dict[Digest, None]] = {}
        for root in roots_of(inventory):
            for digest in reached(root.digest, manifests):
                if (subject := manifests[digest].subject) is not None:
                    own = self._referrers.setdefault((root.repository, subject.digest), {})
                    own[digest] = None

    def is_one(self, root: Root) -> bool:
        """Whether a root belongs to another itself."""
        return is_attachment_tag(root.tag) or self._manifests[root.digest].subject is not None

    def kinds(self, root: Root) -> frozenset[str]:
        """The kinds of all that belongs to it directly."""
        return frozenset().union(*(kinds_of(one, tag) for one, tag in self._of(root)))

    def signed(self, root: Root, signers: Signers, content: BlobSource) -> Signed:
        """Which of these signed it. Raises what a damaged bundle deserves."""
        subject = self._manifests[root.digest]
        found = (one for manifest, _ in self._of(root) for one in _evidence(subject, manifest, content))
        return signers.judge(found)

    def _of(self, root: Root) -> Iterator[tuple[Manifest, str | None]]:
        for digest in self._referrers.get((root.repository, root.digest), ()):
            yield self._manifests[digest], None
        for tag in attachment_tags(root.digest):
            if named := self._tags.get((root.repository, tag)):
                yield self._manifests[named], tag


def _evidence(subject: Manifest, signature: Manifest, content: BlobSource) -> Iterator[Evidence]:
    for layer in signature.layers:
        found = None
        if layer.blob.size <= LARGEST:
            if layer.blob.media_type == SIMPLE_SIGNING:
                data = read_all(content, layer.blob)
                found = simple_signing(subject.blob.digest, data, layer.annotations)
            elif layer.blob.media_type.startswith(SIGSTORE_BUNDLE):
                found = sigstore_bundle(subject, read_all(content, layer.blob))
        if found:
            yield found


def evidence_of(root: Root, signers: Signers, found: Signed) -> SignedReport:
    """What is to be told of a root that one of them signed. Raises TrustError for any other."""
    if not found.by:
        cause = f"no signature by {signers.told}: {found.told}"
        raise TrustError(str(root), cause, "find out who made it")
    return SignedReport(str(root), found.by, found.unchecked)
