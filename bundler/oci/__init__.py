"""OCI: the words that every other room uses. What is rarely needed is imported from its module."""

from bundler.oci.content import CHUNK, BlobSource, BlobStore, Verifier, held_back, pieces, read_all, verified
from bundler.oci.digest import Descriptor, Digest, sha256, shortened
from bundler.oci.graph import HeldManifests, Manifests, Tally, bottom_up, needed_by, reached
from bundler.oci.manifest import INDEXES, OCI_INDEX, Layer, Manifest, parse_manifest
from bundler.oci.reference import (
    DEFAULT_REGISTRY,
    Prefix,
    Reference,
    RegistryName,
    RepositoryName,
    RepositoryPath,
    Tag,
    glob_in_full,
    is_meant,
    parse_prefix,
    parse_reference,
)

__all__ = [
    "CHUNK", "DEFAULT_REGISTRY", "INDEXES", "OCI_INDEX", "BlobSource", "BlobStore", "Descriptor",
    "Digest", "HeldManifests", "Layer", "Manifest", "Manifests", "Prefix", "Reference", "RegistryName",
    "RepositoryName", "RepositoryPath", "Tag", "Tally", "Verifier", "bottom_up", "glob_in_full",
    "held_back", "is_meant", "needed_by", "parse_manifest", "parse_prefix",
    "parse_reference", "pieces", "reached", "read_all", "sha256", "shortened", "verified",
]  # fmt: skip
