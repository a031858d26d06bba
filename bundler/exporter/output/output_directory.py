"""The store itself, left as a directory, as an output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.inventory import BUNDLE_SUFFIX, INVENTORY_FILE, Inventory, bundle_id, encode, encode_index
from bundler.deltas.existing_bundle import open_bundle, refuse_loss
from bundler.durable import temporary_of, write_whole
from bundler.errors import ContentError, IntegrityError, NotFoundError, TrustError, UsageError
from bundler.layout import INDEX_FILE, LAYOUT_FILE
from bundler.limits import Limits
from bundler.named_files import check_folder
from bundler.oci.content import BlobSource, Digest
from bundler.reporting.json_report import BundleReport
from bundler.reporting.progress import Progress

if TYPE_CHECKING:
    from bundler.trust.bundle_signing import Signing
    from bundler.trust.statement import SignedStatement


@dataclass
class DirectoryOutput:
    """The store itself, with `index.json` and, as the mark of completeness, `bundle.json`."""

    path: Path
    force: bool
    limits: Limits
    signing: Signing | None = None
    is_store: bool = True
    _there: SignedStatement | None = None
    """What was signed of the bundle that is there."""

    @property
    def name(self) -> str:
        """For messages."""
        return str(self.path)

    def check(self) -> None:
        """Raise UsageError if something else is there."""
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(self.name, "a file has this name", f"a bundle's name ends in {BUNDLE_SUFFIX}")
        check_folder(self.path)
        # What a run leaves that was killed before the layout's file had its name.
        left = {".partial", ".lock", "blobs", temporary_of(self.path / LAYOUT_FILE).name}
        names = {entry.name for entry in self.path.iterdir()} if self.path.is_dir() else set()
        if LAYOUT_FILE not in names and not names <= left:
            raise UsageError(self.name, "a directory of something else", "choose an empty or a new one")

    def unchanged(self, inventory: Inventory, progress: Progress) -> BundleReport | None:
        """What is there, if it is the same; its blobs are checked by presence when they are planned."""
        if not (self.path / INVENTORY_FILE).exists():
            return None
        try:
            with open_bundle(self.path, self.limits) as bundle:
                if not self.force:
                    refuse_loss(self.name, bundle.inventory, inventory)
                self._there = bundle.sealed
        except (IntegrityError, ContentError, NotFoundError, TrustError):
            pass  # damaged or half replaced: this run makes it whole again
        return None

    def need(self, inventory: Inventory) -> None:
        """Nothing besides the blobs."""

    def write(self, inventory: Inventory, source: BlobSource, progress: Progress) -> BundleReport:
        """Name what the blobs make. What was signed goes before it, and comes after it."""
        from bundler.bundle.sealing import remove_seal, write_seal

        data = encode(inventory)
        identity = bundle_id(data)
        sealed = self._sealed(identity)
        if sealed is None or sealed is not self._there:
            remove_seal(self.path)
        write_whole(self.path / INDEX_FILE, encode_index(inventory))
        write_whole(self.path / INVENTORY_FILE, data)
        if sealed:
            write_seal(self.path, sealed)
        return BundleReport(self.name, identity, statement=sealed.told() if sealed else None)

    def _sealed(self, identity: Digest) -> SignedStatement | None:
        """What stands of the same bundle, or is made now."""
        there = self._there
        if (
            there
            and there.statement.bundle == identity
            and not (self.signing and not self.signing.stands_in(there))
        ):
            return there
        return self.signing.seal(identity) if self.signing else None
