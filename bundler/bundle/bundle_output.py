"""Where an export goes: a bundle file, a pipe, or the store itself as a directory.

A file that is there already is replaced only if nothing in it would be lost, or by `force`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from bundler.bundle.inventory import Inventory
from bundler.oci.content import BlobSource
from bundler.reporting.json_report import BundleReport
from bundler.reporting.progress import Progress


class BundleOutput(Protocol):
    """What takes the finished export."""

    @property
    def path(self) -> Path | None:
        """None where it is no file."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def is_store(self) -> bool:
        """Whether it is the directory of blobs itself."""

    def check(self) -> None:
        """Raise UsageError or LocalError, before any request, if this can't be written."""

    def unchanged(self, inventory: Inventory, progress: Progress) -> BundleReport | None:
        """Return what is there, if it is this very content already; change nothing.

        Raises: UsageError if something that is there would be lost.
        """

    def confirm(self, existing: BundleReport) -> None:
        """Make what `unchanged` returned durable, with everything that goes beside it."""

    def need(self, inventory: Inventory) -> tuple[Path, int] | None:
        """Where it will need how many bytes at most."""

    def write(self, inventory: Inventory, source: BlobSource, progress: Progress) -> BundleReport:
        """Write it, whole or not at all."""
