"""What an extraction gave, as a value and as a JSON document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Extracted:
    """One version that was taken out of a bundle."""

    reference: str
    """`host/repository:tag`, or the digest."""
    digest: str
    """Of its manifest or index."""
    path: str
    """Where it is now."""
    form: Literal["oci-archive", "directory"]
    items: int
    """Blobs of the archive, manifests included; or files of the directory."""
    size: int
    """Bytes of these."""
    left_out: tuple[str, ...] = ()
    """Layers that are no archives of files, and so not in the directory: digest and media type."""
