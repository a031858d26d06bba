"""The store itself, left as a directory, as an output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
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
from bundler.oci import BlobSource, Digest
from bundler.reporting.json_report import BundleReport
from bundler.reporting.progress import Progress

if TYPE_CHECKING:
    from bundler.bundle.reader import Bundle
    from bundler.exporter.output.output_file import StatementSource
    from bundler.trust.statement import SignedStatement


@dataclass
class DirectoryOutput:
    """The store itself, with `index.json` and, as the mark of completeness, `bundle.json`."""

    path: Path
    force: bool
    limits: Limits
    signing: StatementSource | None = None
    is_store: bool = True
    compact: None = None
    streams: bool = False

    @property
    def name(self) -> str:
        """Return the name for messages."""
        return str(self.path)

    def check(self) -> None:
        """Raise UsageError if something else is there."""
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(self.name, "this is a file", f"a bundle's name ends in {BUNDLE_SUFFIX}")
        check_folder(self.path)
        # What a run leaves that was killed before the layout's file had its name.
        left = {".partial", ".lock", "blobs", temporary_of(self.path / LAYOUT_FILE).name}
        names = {entry.name for entry in self.path.iterdir()} if self.path.is_dir() else set()
        if LAYOUT_FILE not in names and not names <= left:
            raise UsageError(
                self.name, "this directory holds other files", "choose an empty or new directory"
            )

    def unchanged(self, inventory: Inventory, progress: Progress) -> BundleReport | None:
        """Return None: blobs are checked by presence when they are planned.

        Raises: UsageError if something that is there would be lost.
        """
        with self._existing() as bundle:
            if bundle and bundle.signed_statement and self.signing:
                self.signing.follow(bundle.signed_statement.statement)
            if bundle and not self.force:
                refuse_loss(self.name, bundle.inventory, inventory)
        return None

    def confirm(self, existing: BundleReport) -> None:
        """Do nothing: a directory is always written."""

    @contextmanager
    def _existing(self) -> Iterator[Bundle | None]:
        """Open the bundle that is there; None if there is none, or only a damaged or half replaced one."""
        with ExitStack() as stack:
            bundle = None
            if (self.path / INVENTORY_FILE).exists():
                with suppress(IntegrityError, ContentError, NotFoundError, TrustError):
                    bundle = stack.enter_context(open_bundle(self.path, self.limits))
            yield bundle

    def need(self, inventory: Inventory) -> None:
        """Need nothing besides the blobs."""

    def left_over(self) -> None:
        """Return None: blobs have names of their own."""

    def resumes(self, left: object, inventory: Inventory) -> bool:
        """Return False."""
        return False

    def forget(self) -> None:
        """Do nothing."""

    def write(
        self, inventory: Inventory, source: BlobSource, progress: Progress, *, resumable: bool = False
    ) -> BundleReport:
        """Write the two indexes of the blobs. An old signature is removed before, a new one written after."""
        from bundler.bundle.unpacked import remove_seal, write_seal

        data = encode(inventory)
        identity = bundle_id(data)
        with self._existing() as bundle:
            existing = bundle.signed_statement if bundle else None
        statement = self._sealed(identity, existing)
        if statement is None or statement is not existing:
            remove_seal(self.path)
        write_whole(self.path / INDEX_FILE, encode_index(inventory), follow=False)
        write_whole(self.path / INVENTORY_FILE, data, follow=False)
        if statement:
            write_seal(self.path, statement)
        return BundleReport(self.name, identity, statement=statement.report() if statement else None)

    def _sealed(self, identity: Digest, existing: SignedStatement | None) -> SignedStatement | None:
        """Return the existing statement if it is about the same bundle, or sign a new one."""
        same = existing is not None and existing.statement.bundle == identity
        if same and (self.signing is None or self.signing.stands_in(existing)):
            return existing
        replaced = existing.statement if existing else None
        return self.signing.seal(identity, replaced) if self.signing else None
