"""The rules of what a border lets through: written by a person, judged by the importer. No I/O."""

import re
from fnmatch import fnmatchcase
from typing import NamedTuple

from bundler.oci.reference import is_meant
from bundler.trust.job import Job

_WILD = "*?["

# Before the first wildcard of a URL: a host, and at least whose it is there. Of an address: the domain.
_NARROW = re.compile(r"[a-z][a-z0-9+.-]*://[^/*?[]+/[^/*?[]+/.*|[^/]*@[^/@*?[]+\.[^/@*?[]+", re.DOTALL)


class Identity(NamedTuple):
    """A signer without a key: what a certificate says, and who vouched for it."""

    identity: str
    """A glob on the certificate's subject: a workflow's URL, an address."""
    issuer: str
    """The URL of the OpenID Connect issuer, exactly."""

    def __str__(self) -> str:
        return f"{self.identity} ({self.issuer})"


def is_narrow(identity: str) -> bool:
    """Return True if a glob says whose identities it means: no `*`, no `https://github.com/*`."""
    if any(letter in identity for letter in _WILD):
        return _NARROW.fullmatch(identity) is not None
    return bool(identity)


class KeylessDemand(NamedTuple):
    """Identities, one of which must have signed, and what proves that one has."""

    trusted_root: str
    """A file: Sigstore's `trusted_root.json`."""
    identities: tuple[Identity, ...]


class Demand(NamedTuple):
    """The things that some repositories must have along."""

    repositories: tuple[str, ...]
    """Globs on HOST/PATH, the name outside."""
    referrers: frozenset[str] = frozenset()
    """Kinds that every version must have: signature, sbom, attestation."""
    cosign_keys: tuple[str, ...] = ()
    """Files of public keys, one of which must have signed every version."""
    keyless: KeylessDemand | None = None
    """Identities instead: one of the keys or one of them."""

    @property
    def signed(self) -> bool:
        """Return True if there must be a signature that counts."""
        return bool(self.cosign_keys or self.keyless)

    def is_for(self, repository: str) -> bool:
        """Return True if a repository is meant."""
        return is_meant(repository, self.repositories)


class Policy(NamedTuple):
    """Empty tuples and None allow all."""

    sources: tuple[str, ...] = ()
    """Globs on HOST/PATH outside."""
    targets: tuple[str, ...] = ()
    """Globs on the path at the target."""
    media_types: tuple[str, ...] = ()
    """Globs on the types of manifests, configs and layers, and on artifact types."""
    bundle_bytes: int | None = None
    """The total size of all distinct blobs."""
    blob_bytes: int | None = None
    repositories: int | None = None
    tags: int | None = None
    demands: tuple[Demand, ...] = ()
    allowed_signers: str | None = None
    """The file whose signers may sign the bundle itself."""
    revoked_keys: str | None = None
    signatures: int | None = None
    """The number of these signers who must have signed the bundle."""
    job: Job | None = None
    """The job that it must be signed for."""


def matches(name: str, globs: tuple[str, ...]) -> bool:
    """Return True if any glob matches all of the name; `*` also matches `/`."""
    return any(fnmatchcase(name, glob) for glob in globs)
