"""Modules without a demanded signature are left out, before anything is fetched for them."""

from collections.abc import Iterator

from bundler.attachments.evidence import Attachments, evidence_of
from bundler.bundle.inventory import Root
from bundler.errors import BundlerError
from bundler.exporter.resolve.resolution import Findings, Resolved
from bundler.exporter.resolve.source_reader import SourceReader
from bundler.oci import BlobSource, Descriptor, RepositoryName
from bundler.reporting.json_report import SignedReport
from bundler.trust.module_signers import Signers


def without_unsigned(resolved: Resolved, signers: Signers, reader: SourceReader) -> Resolved:
    """Leave out every root that none of these signed, and what brings it along; say who signed which."""
    resolution = resolved.resolution

    def content_of(name: RepositoryName) -> BlobSource:
        return _SmallBlobs(name, reader)

    attachments = Attachments(resolution.roots, resolution.manifests, content_of=content_of)
    modules = [root for root in resolution.roots if not attachments.is_attached(root)]

    def judged(root: Root) -> SignedReport:
        return evidence_of(root, signers, attachments.signed(root, signers, content_of(root.repository)))

    answers = dict(reader.each("signatures", modules, judged))
    signed = [answers[root] for root in modules]
    reports = tuple(answer for answer in signed if isinstance(answer, SignedReport))
    unsigned = {root: error for root, error in answers.items() if isinstance(error, BundlerError)}
    return resolved._replace(findings=resolved.findings + Findings(signed=reports)).without(unsigned)


class _SmallBlobs:
    """Signatures and SBOMs of one repository: read once, and kept for the bundle; large ones are not kept."""

    def __init__(self, name: RepositoryName, reader: SourceReader) -> None:
        self._name = name
        self._reader = reader

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, verified."""
        if blob.size > self._reader.limits.module_layer:
            yield from self._reader.session.registries.source(self._name).chunks(blob)
        else:
            yield self._reader.small_blob(blob, self._name)
