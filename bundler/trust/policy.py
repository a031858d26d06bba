"""What a border lets through, as a value: written down by a person, judged by the importer. No I/O."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple


class Demand(NamedTuple):
    """What some repositories must have along."""

    repositories: tuple[str, ...]
    """Globs on HOST/PATH, the name outside."""
    referrers: frozenset[str] = frozenset()
    """Kinds that every version must have: signature, sbom, attestation."""
    cosign_keys: tuple[str, ...] = ()
    """Files of public keys, one of which must have signed every version."""

    def is_for(self, repository: str) -> bool:
        """Whether a repository is meant."""
        return matches(repository, self.repositories)


class Policy(NamedTuple):
    """Empty tuples and None allow all."""

    sources: tuple[str, ...] = ()
    """Globs on HOST/PATH outside."""
    targets: tuple[str, ...] = ()
    """Globs on the path at the target."""
    media_types: tuple[str, ...] = ()
    """Globs on the types of manifests, configs and layers, and on artifact types."""
    bundle_bytes: int | None = None
    """Of all distinct blobs."""
    blob_bytes: int | None = None
    repositories: int | None = None
    tags: int | None = None
    demands: tuple[Demand, ...] = ()
    allowed_signers: str | None = None
    """The file whose signers may sign the bundle itself."""
    revoked_keys: str | None = None
    signatures: int | None = None
    """How many of them must have."""


def matches(name: str, globs: tuple[str, ...]) -> bool:
    """Whether any glob matches all of it; `*` is also for `/`."""
    return any(fnmatchcase(name, glob) for glob in globs)
