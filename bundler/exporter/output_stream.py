"""Standard output as an output."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.inventory import Inventory
from bundler.durable import local_errors
from bundler.errors import UsageError
from bundler.exporter.packing import pack
from bundler.oci.content import BlobSource
from bundler.progress import Progress
from bundler.report import BundleReport

if TYPE_CHECKING:
    from bundler.trust.signing import Signing

STANDARD_OUTPUT = 1


@dataclass
class StreamOutput:
    """Standard output: the bundle as it is made."""

    descriptor: int
    signing: Signing | None = None
    path: None = None
    name: str = "-"
    is_store: bool = False

    def check(self) -> None:
        """Raise UsageError on a terminal."""
        if os.isatty(self.descriptor):
            raise UsageError("-", "standard output is a terminal", "send it into a file or a pipe")

    def unchanged(self, inventory: Inventory, progress: Progress) -> None:
        """A pipe holds nothing."""

    def need(self, inventory: Inventory) -> None:
        """No disk."""

    def write(self, inventory: Inventory, source: BlobSource, progress: Progress) -> BundleReport:
        """Write it in order."""
        return pack(self._write, self.name, inventory, source, progress, signing=self.signing)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        with local_errors(Path("standard output"), "write"):
            while view:
                view = view[os.write(self.descriptor, view) :]
