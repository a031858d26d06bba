"""A bundle file with its sidecar, as an output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.inventory import Inventory, bundle_id, encode
from bundler.bundle.sidecar import check_sidecar, remove_sidecar, write_sidecar
from bundler.bundle.writer import largest_size
from bundler.durable import sync_directory, whole_file
from bundler.errors import BundlerError, ContentError, IntegrityError, TrustError, UsageError
from bundler.exporter.packing import pack
from bundler.exporter.replacing import explained, open_bundle, refuse_loss, refuse_own_base
from bundler.limits import Limits
from bundler.oci.content import BlobSource
from bundler.places import check_folder, check_writable
from bundler.progress import Progress
from bundler.report import BundleReport

if TYPE_CHECKING:
    from bundler.trust.signing import Signing


@dataclass
class FileOutput:
    """A bundle file with its sidecar."""

    path: Path
    force: bool
    limits: Limits
    signing: Signing | None = None
    is_store: bool = False

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.path)

    def check(self) -> None:
        """Raise before any request if this can't be written."""
        check_folder(self.path)
        if self.path.is_dir():
            raise UsageError(self.name, "a directory has this name", "choose another name")
        if self.path.exists() and not self.force:
            with explained(self.path), open_bundle(self.path, self.limits):
                pass
        check_writable(self.path)

    def unchanged(self, inventory: Inventory, progress: Progress) -> BundleReport | None:
        """What is there, if it is the same; proven by its digests, as the sidecar may be missing."""
        if not self.path.exists():
            return None
        try:
            return self._same(inventory, progress)
        except (IntegrityError, ContentError, TrustError):
            if self.force:
                return None
            raise

    def _same(self, inventory: Inventory, progress: Progress) -> BundleReport | None:
        with open_bundle(self.path, self.limits) as bundle:
            if bundle.id != bundle_id(encode(inventory)):
                refuse_own_base(self.name, bundle.id, inventory)
                if not self.force:
                    refuse_loss(self.name, bundle.inventory, inventory)
                return None
            if self.signing and not self.signing.stands_in(bundle.sealed):
                return None
            size = sum(blob.size for blob in inventory.content)
            with progress.step("checking the bundle that is there", size=size) as step:
                for blob, _ in bundle.everything():
                    step.advance(size=blob.size)
            sha256 = bundle.sha256 or ""
            told = bundle.sealed.told() if bundle.sealed else None
        if not _sidecar_right(self.path, sha256):
            write_sidecar(self.path, sha256)
        # A run that was killed may have given the names, and not made them durable.
        sync_directory(self.path.parent)
        return BundleReport(self.name, bundle.id, sha256, self.path.stat().st_size, told)

    def need(self, inventory: Inventory) -> tuple[Path, int]:
        """The folder, and the largest size that the bundle can have."""
        return self.path.parent, largest_size(inventory)

    def write(self, inventory: Inventory, source: BlobSource, progress: Progress) -> BundleReport:
        """Write it under a temporary name; the old one stays until the new one is durable."""
        with whole_file(self.path) as file:
            written = pack(file.write, self.name, inventory, source, progress, signing=self.signing)
            # An old sidecar must not speak of the new file.
            remove_sidecar(self.path)
        write_sidecar(self.path, written.sha256 or "")
        return written


def _sidecar_right(path: Path, sha256: str) -> bool:
    try:
        return check_sidecar(path, sha256)
    except BundlerError:
        return False
