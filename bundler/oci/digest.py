"""The names of content: digest and descriptor.

Source: image-spec 1.1, descriptor.md.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from bundler.oci.grammar import Parsed, Size


class Digest(Parsed):
    """`sha256:` and 64, or `sha512:` and 128, lower-case hexadecimal digits."""

    __slots__ = ()
    grammar = re.compile("sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
    meaning = "a digest (sha256:<64 hex digits>)"

    @property
    def algorithm(self) -> str:
        """Return `sha256` or `sha512`."""
        return self[:6]

    @property
    def encoded(self) -> str:
        """Return the hexadecimal part."""
        return self[7:]

    @property
    def path(self) -> str:
        """Return the path of the blob in an OCI image layout."""
        return f"blobs/{self.algorithm}/{self.encoded}"

    def computed(self, data: bytes) -> Digest:
        """Return the digest of `data` by the same algorithm."""
        return Digest(f"{self.algorithm}:{hashlib.new(self.algorithm, data).hexdigest()}")


def shortened(digest: str) -> str:
    """Return the digest as people see it: the algorithm and twelve digits."""
    return digest[:19]


def sha256(data: bytes) -> Digest:
    """Return the sha256 digest of `data`."""
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A blob as it is known before its bytes: media type, digest, size in bytes."""

    media_type: str
    digest: Digest
    size: Size
