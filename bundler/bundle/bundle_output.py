"""The interface of what an export is written to: a bundle file, a pipe, or the store as a directory.

A file that is there already is replaced only if nothing in it would be lost, or by `force`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bundler.bundle.inventory import Inventory
from bundler.oci import BlobSource, Descriptor
from bundler.reporting.json_report import BundleReport
from bundler.reporting.progress import Progress

if TYPE_CHECKING:
    from bundler.bundle.begun.unfinished import UnfinishedBundle
    from bundler.bundle.compacted.base_index import BaseLayers


class SourceOnBase:
    """Content to be written, with the base that a compact delta is written against. A BlobSource."""

    def __init__(self, source: BlobSource, layers: Callable[[], BaseLayers | None]) -> None:
        """Take the content, and what finds the layers of the base; only a compact delta calls it."""
        self.layers = layers
        self._source = source

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, verified."""
        return self._source.chunks(blob)


class BundleOutput(Protocol):
    """A place that a finished export is written to."""

    @property
    def path(self) -> Path | None:
        """Return the file that is written; None for a pipe."""

    @property
    def name(self) -> str:
        """Return the name for messages."""

    @property
    def is_store(self) -> bool:
        """Return True for the store itself, left as a directory."""

    @property
    def compact(self) -> int | None:
        """Return the zstd level of a compact bundle; None for another form."""

    @property
    def streams(self) -> bool:
        """Return True if large blobs can be written as they come from a registry, never read again."""

    def left_over(self) -> UnfinishedBundle | None:
        """Open what an interrupted run left here of a bundle; None if that is of no use."""

    def resumes(self, left: UnfinishedBundle, inventory: Inventory) -> bool:
        """Return True if `write` goes on with what is left: it is the beginning of the same bytes."""

    def forget(self) -> None:
        """Remove what an interrupted run left here."""

    def check(self) -> None:
        """Raise UsageError or LocalError, before any request, if this can't be written."""

    def unchanged(self, inventory: Inventory, progress: Progress) -> BundleReport | None:
        """Return what is there, if it is this very content already; change nothing.

        Raises: UsageError if something that is there would be lost.
        """

    def confirm(self, existing: BundleReport) -> None:
        """Make what `unchanged` returned durable, with everything that goes beside it."""

    def need(self, inventory: Inventory) -> tuple[Path, int] | None:
        """Return a folder and the largest number of bytes that it will need; None if it needs none."""

    def write(
        self, inventory: Inventory, source: BlobSource, progress: Progress, *, resumable: bool = False
    ) -> BundleReport:
        """Write the bundle, whole or not at all; a resumable one goes on with what was left of it."""
