"""Referrers of manifests, read from the manifests themselves when they are first asked for.

Source: distribution-spec 1.1, "Listing Referrers".
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from bundler.bundle.inventory import descriptor
from bundler.oci import Descriptor, Digest, Manifest, RepositoryPath, parse_manifest, read_all
from bundler.server.served_catalog import ServedRepository
from bundler.server.served_content import ServedContent


class Referrer(NamedTuple):
    """A manifest with a subject, and its descriptor in a list of referrers."""

    digest: Digest
    subject: Digest
    fields: Mapping[str, Any]

    @property
    def artifact_type(self) -> str | None:
        """Return the artifact type; None for an index that does not state one."""
        artifact_type: str | None = self.fields.get("artifactType")
        return artifact_type


BySubject = Mapping[Digest, list[Referrer]]


class Referrers:
    """Referrers of every repository of some content. Safe for any number of threads."""

    def __init__(self, content: ServedContent) -> None:
        self._content = content
        self._read: dict[Digest, Referrer | None] = {}
        self._indexed: dict[RepositoryPath, tuple[ServedRepository, BySubject]] = {}

    def of(self, name: RepositoryPath, subject: Digest) -> list[Referrer]:
        """Return all manifests of a repository that refer to `subject`, in the order of their digests.

        Raises what a manifest that can't be read deserves: it might be one of them.
        """
        repository = self._content.repository(name) or ServedRepository()
        seen, by_subject = self._indexed.get(name, (None, {}))
        if seen is not repository:
            # It changed, or nobody asked yet. Threads that meet here do the same work twice, no more.
            by_subject = self._by_subject(repository)
            self._indexed[name] = repository, by_subject
        return by_subject.get(subject, [])

    def _by_subject(self, repository: ServedRepository) -> BySubject:
        by_subject: defaultdict[Digest, list[Referrer]] = defaultdict(list)
        for _, manifest in sorted(repository.manifests.items()):
            if referrer := self._referrer(manifest):
                by_subject[referrer.subject].append(referrer)
        return dict(by_subject)

    def _referrer(self, blob: Descriptor) -> Referrer | None:
        # By its digest a manifest says the same for ever, in every repository.
        if blob.digest not in self._read:
            data = read_all(self._content, blob)
            manifest = parse_manifest(data, blob.media_type, blob.digest, limits=self._content.limits)
            self._read[blob.digest] = _listed(manifest)
        return self._read[blob.digest]


def _listed(manifest: Manifest) -> Referrer | None:
    """Return a manifest as a list of referrers names it; None without a subject."""
    if manifest.subject is None:
        return None
    fields: dict[str, Any] = dict(descriptor(manifest.blob))
    if manifest.artifact_type:
        fields["artifactType"] = manifest.artifact_type
    elif manifest.config:
        fields["artifactType"] = manifest.config.blob.media_type
    if manifest.annotations:
        fields["annotations"] = dict(manifest.annotations)
    return Referrer(manifest.blob.digest, manifest.subject.digest, fields)
