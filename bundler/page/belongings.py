"""What vouches for a manifest inside one repository of a bundle: signatures, SBOMs, attestations. No I/O.

Found as registries find it: by a referrer's subject, and by cosign's tags. What is counted is that it
goes along; whether a signature is valid takes a key, and is not asked here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from bundler.bundle.inventory import RepositoryEntry
from bundler.oci.content import Digest
from bundler.oci.graph import Manifests, reached
from bundler.oci.manifest import Manifest
from bundler.oci.reference import Tag
from bundler.oci.referrer import ATTESTATION, SBOM, SIGNATURE, belonging_tags, kinds_of
from bundler.page.contents import Marks


class Belongings:
    """Who belongs to whom in one repository."""

    def __init__(self, entry: RepositoryEntry, manifests: Manifests) -> None:
        self._tags = entry.tags
        self._manifests = manifests
        self._referrers: Mapping[Digest, dict[Digest, Manifest]] = _by_subject(entry, manifests)

    def marks_of(self, subject: Digest) -> Marks:
        """What belongs to a manifest directly."""
        counts: Counter[str] = Counter()
        for manifest, tag in self._of(subject):
            # cosign keeps a layer for each signature; what has none says nothing.
            count = len(manifest.layers) if tag else min(len(manifest.layers), 1)
            counts.update(dict.fromkeys(kinds_of(manifest, tag), count))
        return Marks(counts[SIGNATURE], counts[SBOM], counts[ATTESTATION])

    def _of(self, subject: Digest) -> Iterator[tuple[Manifest, Tag | None]]:
        for manifest in self._referrers.get(subject, {}).values():
            yield manifest, None
        for tag in belonging_tags(subject)[1:]:
            if tag in self._tags:
                yield self._manifests[self._tags[tag]], tag


def _by_subject(entry: RepositoryEntry, manifests: Manifests) -> Mapping[Digest, dict[Digest, Manifest]]:
    found: dict[Digest, dict[Digest, Manifest]] = defaultdict(dict)
    for root in dict.fromkeys(entry.roots()):
        for digest in reached(root, manifests):
            manifest = manifests.get(digest)
            if manifest is not None and manifest.subject is not None:
                found[manifest.subject.digest][digest] = manifest
    return found
