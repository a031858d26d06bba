"""Attachments in a bundle: what is exempt from being judged, and who made the signatures."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress

from bundler.attachments.referrers import (
    HEADER,
    attachment_tags,
    begins_an_archive,
    has_content,
    is_attachment_tag,
    kinds_of,
    may_be_an_image,
    reaches_pullable,
)
from bundler.bundle.inventory import Root
from bundler.errors import BundlerError, TrustError
from bundler.oci import BlobSource, Descriptor, Digest, Manifest, Manifests, RepositoryName, reached, read_all
from bundler.reporting.json_report import SignedReport
from bundler.trust import cosign
from bundler.trust.module_signers import Signed, Signers

JUDGED = ""
"""Instead of the name of a subject: the root is attached to nothing."""

ContentOf = Callable[[RepositoryName], BlobSource]
"""A function that returns a source of the blobs of a repository."""


class Attachments:
    """The attachments in a bundle: signatures, SBOMs, attestations, and what they are attached to.

    Only what is attached is exempt from being judged: it has no tag, or an attachment tag, and its subject
    is in the same repository and judged itself, or attached to something that is. The base of a delta is
    not at hand: what is attached to it is exempt unless it could be pulled as a module or image. A circle
    of attachments exempts none of them. What only may be an image is one if its content says so.
    """

    def __init__(
        self,
        roots: Collection[Root],
        manifests: Manifests,
        *,
        has_base: bool = False,
        content_of: ContentOf | None = None,
    ) -> None:
        """Take everything that is carried under a name of its own; of a delta, `has_base`.

        Without `content_of`, as for a pipe, layers are not looked into.
        """
        self._manifests = manifests
        self._content_of = content_of
        self._tags = {(root.repository, root.tag): root.digest for root in roots if root.tag}
        self._has_base = has_base
        self._referrers: dict[tuple[RepositoryName, Digest], dict[Digest, None]] = {}
        by_repository: dict[RepositoryName, list[Root]] = {}
        for root in roots:
            by_repository.setdefault(root.repository, []).append(root)
            for digest in reached(root.digest, manifests):
                if (subject := manifests[digest].subject) is not None:
                    referrers = self._referrers.setdefault((root.repository, subject.digest), {})
                    referrers[digest] = None
        self._attached: set[Root] = set()
        for together in by_repository.values():
            self._attached |= self._attached_among(together)

    def is_attached(self, root: Root) -> bool:
        """Return True for a root that is attached to another, so that it is not judged itself."""
        return root in self._attached

    def kinds(self, root: Root) -> frozenset[str]:
        """Return the kinds of all that is attached to a root directly."""
        return frozenset().union(
            *(kinds_of(manifest, tag) for manifest, tag in self._of(root) if self._has_content(manifest))
        )

    def signed(self, root: Root, signers: Signers, content: BlobSource) -> Signed:
        """Return who of `signers` signed a root. Raises: IntegrityError, ContentError for damaged content."""
        subject = self._manifests[root.digest]
        evidence = (
            proof for manifest, _ in self._of(root) for proof in _evidence(subject, manifest, content)
        )
        return signers.check(evidence)

    def _of(self, root: Root) -> Iterator[tuple[Manifest, str | None]]:
        for digest in self._referrers.get((root.repository, root.digest), ()):
            yield self._manifests[digest], None
        for tag in attachment_tags(root.digest):
            named = self._tags.get((root.repository, tag))
            # What is judged itself, as a module of that name, is no attachment of another.
            if named and self.is_attached(Root(root.repository, tag, named)):
                yield self._manifests[named], tag

    def _attached_among(self, roots: list[Root]) -> set[Root]:
        """Return the roots of one repository that hang, link by link, on a judged one or on the base."""
        candidates: dict[str, list[Root]] = {}
        for root in roots:
            candidates.setdefault(self._name_of_subject(root), []).append(root)
        attached = self._hanging_on(candidates.pop(JUDGED, []), candidates)
        if self._has_base:
            digests = {digest for root in roots for digest in reached(root.digest, self._manifests)}
            carried = {name for digest in digests for name in (digest, *attachment_tags(digest))}
            of_base = [root for name in candidates.keys() - carried for root in candidates.pop(name)]
            exempt = [root for root in of_base if not self._is_pullable(root)]
            attached |= {*exempt, *self._hanging_on(exempt, candidates)}
        return attached

    def _hanging_on(self, roots: Iterable[Root], candidates: dict[str, list[Root]]) -> set[Root]:
        """Return the candidates, by the names of their subjects, that hang on these roots; take them out."""
        waiting = [digest for root in roots for digest in reached(root.digest, self._manifests)]
        attached: set[Root] = set()
        covered: set[Digest] = set()
        while waiting:
            if (digest := waiting.pop()) in covered:
                continue
            covered.add(digest)
            for name in (digest, *attachment_tags(digest)):
                for root in candidates.pop(name, ()):
                    if self._lists_only(root, digest):
                        attached.add(root)
                        waiting += reached(root.digest, self._manifests)
        return attached

    def _name_of_subject(self, root: Root) -> str:
        """Return the digest or the attachment tag of what a root is attached to; JUDGED for all others."""
        if root.tag is None:
            subject = self._manifests[root.digest].subject
            return subject.digest if subject else JUDGED
        return root.tag if is_attachment_tag(root.tag) and not self._is_pullable(root) else JUDGED

    def _is_pullable(self, root: Root) -> bool:
        """Return True if a client can pull a root as a module or image, or get one out of its list."""
        return reaches_pullable(root.digest, self._manifests) or any(
            self._unpacks(self._manifests[digest], root.repository)
            for digest in reached(root.digest, self._manifests)
        )

    def _unpacks(self, manifest: Manifest, repository: RepositoryName) -> bool:
        """Return True if a client would unpack a layer, whatever type it has."""
        if self._content_of is None or not may_be_an_image(manifest):
            return False
        content = self._content_of(repository)
        return any(begins_an_archive(_start(layer.blob, content)) for layer in manifest.layers)

    def _has_content(self, manifest: Manifest) -> bool:
        """Return True if a manifest has content, or anything that an index lists."""
        below = reached(manifest.blob.digest, self._manifests)
        return any(has_content(self._manifests[digest]) for digest in below)

    def _lists_only(self, root: Root, subject: Digest) -> bool:
        """Return True unless a root is a list that has something with another subject."""
        children = self._manifests[root.digest].children if root.tag else ()
        listed = (self._manifests[child.digest] for child in children if child.digest in self._manifests)
        return all(referrer.subject and referrer.subject.digest == subject for referrer in listed)


def _evidence(subject: Manifest, signature: Manifest, content: BlobSource) -> Iterator[cosign.Evidence]:
    for layer in signature.layers:
        evidence = None
        if layer.blob.size <= cosign.LARGEST:
            if layer.blob.media_type == cosign.SIMPLE_SIGNING:
                data = read_all(content, layer.blob)
                evidence = cosign.simple_signing(subject.blob.digest, data, layer.annotations)
            elif layer.blob.media_type.startswith(cosign.SIGSTORE_BUNDLE):
                evidence = cosign.sigstore_bundle(subject, read_all(content, layer.blob))
        if evidence:
            yield evidence


def _start(blob: Descriptor, content: BlobSource) -> bytes:
    """Return the first bytes of a blob; fewer or none if it is not carried, or can't be read."""
    start = b""
    with suppress(BundlerError):
        for chunk in content.chunks(blob):
            start += chunk
            if len(start) >= HEADER:
                break
    return start


def evidence_of(root: Root, signers: Signers, signatures: Signed) -> SignedReport:
    """Return the report on a root that one of them signed. Raises: TrustError for any other."""
    if not signatures.by:
        cause = f"no signature by {signers.summary}: {signatures.summary}"
        raise TrustError(str(root), cause, "find out who made it")
    return SignedReport(str(root), signatures.by, signatures.unchecked)
