"""OCI: the words that every other room uses. Manifests and their graph are in modules of their own.

They are not among these names, because the start of the command line does not need them.
"""

from bundler.oci.content import (
    CHUNK,
    BlobSink,
    BlobSource,
    BlobStore,
    Verifier,
    held_back,
    read_all,
    verified,
)
from bundler.oci.digest import Descriptor, Digest, sha256, shortened
from bundler.oci.reference import (
    DEFAULT_REGISTRY,
    Prefix,
    Reference,
    RegistryName,
    RepositoryName,
    RepositoryPath,
    Tag,
    parse_prefix,
    parse_reference,
)

__all__ = [
    "CHUNK", "DEFAULT_REGISTRY", "BlobSink", "BlobSource", "BlobStore", "Descriptor", "Digest", "Prefix",
    "Reference", "RegistryName", "RepositoryName", "RepositoryPath", "Tag", "Verifier", "held_back",
    "parse_prefix", "parse_reference", "read_all", "sha256", "shortened", "verified",
]  # fmt: skip
