"""Parts of a report about what is in bundles: one of several, a compact one, images of a module."""

from typing import Literal

from bundler.oci.grammar import DocumentValue, document_value

BundleStatus = Literal["imported", "planned", "skipped", "failed"]


@document_value
class BundleOutcome(DocumentValue):
    """One of several bundles that were given to an import, in the order in which they were made."""

    path: str
    id: str
    """sha256 of the inventory."""
    kind: Literal["full", "delta"]
    status: BundleStatus
    reason: str
    """The reason why it was skipped."""
    tags: int
    """Number of tags in it."""
    job: str | None = None
    """The job that its statement names; null for a bundle without a signature."""
    sequence: int | None = None
    """The number that its statement names."""


@document_value
class CompactShare(DocumentValue):
    """Layers of one repository that one encoder made."""

    repository: str
    """`host/path`; of a layer that several repositories need, the first of them."""
    producer: str
    """The encoder that compressed them, as far as it is known."""
    codec: int | None
    """Number of the codec that makes them again; null for layers that are carried as they are."""
    layers: int
    size: int
    """Bytes of these layers."""
    saved: int
    """Bytes that the compact bundle needs less for them, about: what layers share counts for the first."""


@document_value
class CompactReport(DocumentValue):
    """A compact bundle beside the portable bundle of the same content."""

    portable_size: int
    """Bytes of the portable bundle."""
    size: int
    """Bytes of the compact bundle."""
    saved: int
    """Bytes that the compact bundle is smaller."""
    shares: tuple[CompactShare, ...]
    missing: int = 0
    """In a dry run: blobs that the store does not have yet; they are in none of these numbers."""
    missing_bytes: int = 0


@document_value
class ImagesReport(DocumentValue):
    """The container images that one module version runs."""

    module: str
    """`host/path:tag`."""
    source: str
    """The place that names them: `annotation`, `images.cue`, `values.cue`, `none`."""
    images: tuple[str, ...]
    """As the module names them."""
    unknown: tuple[str, ...] = ()
    """Places that can't be read without running the module, with reasons."""
    excluded: tuple[str, ...] = ()
    """Images that the selection leaves out."""
