"""A set of volumes as an output: written directly, never as one file first."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bundler.bundle.inventory import Inventory
from bundler.bundle.volume_format import TRAILER
from bundler.bundle.writer import largest_size
from bundler.errors import LocalError, UsageError
from bundler.exporter.cutting import Cut, splitting
from bundler.exporter.packing import pack
from bundler.oci.content import BlobSource
from bundler.progress import Progress
from bundler.report import BundleReport


@dataclass
class VolumesOutput:
    """`path` is the name of the bundle that the volumes make; no file has it."""

    path: Path
    cut: Cut
    is_store: bool = False

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.path)

    def check(self) -> None:
        """Raise before any request if this can't be written."""
        if not self.path.parent.is_dir():
            raise UsageError(self.name, "its folder does not exist", f"create {self.path.parent}")
        if self.path.exists():
            raise UsageError(self.name, "a file or directory has this name", "choose another name")
        if not os.access(self.path.parent, os.W_OK | os.X_OK):
            raise LocalError(self.name, "no permission to write into its folder", "choose another place")
        self.cut.check(0)

    def unchanged(self, inventory: Inventory, progress: Progress) -> BundleReport | None:
        """Volumes are always made again, and those that are there whole are left alone."""
        self.cut.check(largest_size(inventory))
        return None

    def need(self, inventory: Inventory) -> tuple[Path, int]:
        """The folder, and the largest size that all volumes can have."""
        size = largest_size(inventory)
        data = -(-size // self.cut.piece)
        parity = (-(-data * self.cut.parity // 100) or 1) * self.cut.piece if self.cut.parity else 0
        return self.path.parent, size + parity + (data + 256) * TRAILER

    def write(self, inventory: Inventory, source: BlobSource, progress: Progress) -> BundleReport:
        """Write them under temporary names; they get their own when all are durable."""
        with splitting(self.path, self.cut) as splitter:
            written = pack(splitter.write, self.name, inventory, source, progress)
            splitter.finish()
        return written
