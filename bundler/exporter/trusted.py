"""What is taken as it was, without asking: version tags that are known, and what belonged. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import NamedTuple

from bundler.bundle.state import Base
from bundler.oci.content import Descriptor, Digest
from bundler.oci.graph import reached
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.oci.reference import RepositoryName, Tag
from bundler.selection import version_of

SEMVER = "semver"
"""Instead of a glob: every tag that is a version."""
Named = tuple[RepositoryName, Tag | Digest]
Subject = tuple[RepositoryName, Digest]


class Trusted(NamedTuple):
    """Manifests by name, and the referrers of those that are not asked for again."""

    manifests: Mapping[Named, Manifest] = MappingProxyType({})
    referrers: Mapping[Subject, tuple[Descriptor, ...]] = MappingProxyType({})


NOBODY = Trusted()


def trusted_of(base: Base | None, immutable: Iterable[str]) -> Trusted:
    """What the base has under tags that don't move (`SEMVER`, or globs of tags), and all it has by digest."""
    patterns = list(immutable)
    if base is None or not patterns:
        return NOBODY
    manifests: dict[Named, Manifest] = {}
    referrers: dict[Subject, list[Descriptor]] = {}
    for root in base.roots:
        for digest in reached(root.digest, base.manifests):
            if known := base.manifests.get(digest):
                manifests[root.repository, digest] = _whole(known)
                referrers.setdefault((root.repository, digest), [])
    for root in base.roots:
        manifest = manifests.get((root.repository, root.digest))
        if manifest and root.tag and any(_matches(root.tag, pattern) for pattern in patterns):
            manifests[root.repository, root.tag] = manifest
        subject = manifest.subject.digest if manifest and manifest.subject else None
        if manifest and subject and root.tag is None:
            referrers.setdefault((root.repository, subject), []).append(manifest.blob)
    return Trusted(manifests, {subject: tuple(found) for subject, found in referrers.items()})


def _matches(tag: Tag, pattern: str) -> bool:
    return version_of(tag) is not None if pattern == SEMVER else fnmatchcase(tag, pattern)


def _whole(manifest: Manifest) -> Manifest:
    """With all children: which are wanted now is not the base's to say."""
    if not manifest.children:
        return manifest
    return parse_manifest(manifest.data, manifest.blob.media_type, manifest.blob.digest)
