"""A set of volumes as an output: written directly, never as one file first."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.inventory import Inventory, bundle_id, encode
from bundler.bundle.writer import largest_size
from bundler.deltas.existing_bundle import open_bundle
from bundler.errors import ContentError, IntegrityError, NotFoundError, UsageError
from bundler.exporter.output.output_file import StatementSource, pack, writer_of
from bundler.limits import Limits
from bundler.named_files import check_folder, check_writable
from bundler.oci import BlobSource
from bundler.reporting.json_report import BundleReport
from bundler.reporting.progress import Progress
from bundler.volumes.volume_writer import Cut, splitting

if TYPE_CHECKING:
    from bundler.bundle.reader import Bundle


@dataclass
class VolumesOutput:
    """`path` is the name of the bundle that the volumes make; no file has it."""

    path: Path
    cut: Cut
    limits: Limits
    signing: StatementSource | None = None
    is_store: bool = False
    compact: int | None = None
    """The zstd level of a compact bundle; None for a portable one."""

    @property
    def name(self) -> str:
        """Return the name for messages."""
        return str(self.path)

    def check(self) -> None:
        """Raise before any request if this can't be written."""
        check_folder(self.path)
        if self.path.exists():
            raise UsageError(self.name, "a file or directory with this name exists", "choose another name")
        check_writable(self.path)
        self.cut.check(0)

    def unchanged(self, inventory: Inventory, progress: Progress) -> BundleReport | None:
        """Return a signed set that exists, if its signature stands: another one would make another set.

        Other volumes are always made again, and those that are there whole are left alone. Raises
        UsageError, before anything is fetched for it, if those of another bundle have the name.
        """
        self.cut.check(largest_size(inventory))
        with (
            suppress(NotFoundError, IntegrityError, ContentError),
            open_bundle(self.path, self.limits) as existing,
        ):
            if existing.id != bundle_id(encode(inventory)):
                next_step = "choose another name or folder, or remove them"
                raise UsageError(self.name, "volumes of another set with this name exist", next_step)
            if existing.signed_statement and self.signing:
                self.signing.follow(existing.signed_statement.statement)
            if existing.is_compact != (self.compact is not None):
                return None
            return self._signed_already(existing, progress)
        return None

    def _signed_already(self, existing: Bundle, progress: Progress) -> BundleReport | None:
        if not (
            existing.signed_statement and self.signing and self.signing.stands_in(existing.signed_statement)
        ):
            return None
        with progress.step("checking the volumes that are there") as step:
            for blob, _ in existing.everything():
                step.advance(size=blob.size)
        return BundleReport(
            self.name, existing.id, existing.sha256, existing.file_size, existing.signed_statement.report()
        )

    def confirm(self, existing: BundleReport) -> None:
        """Do nothing: a set of volumes was durable before its names were."""

    def need(self, inventory: Inventory) -> tuple[Path, int]:
        """Return the folder, and the largest size that all volumes can have."""
        return self.path.parent, self.cut.need(largest_size(inventory))

    def write(self, inventory: Inventory, source: BlobSource, progress: Progress) -> BundleReport:
        """Write them under temporary names; they get their own when all are durable."""
        with splitting(self.path, self.cut) as splitter:
            writer = writer_of(self.compact, self.path.parent, self.limits)
            written = pack(
                splitter.write, self.name, inventory, source, progress, signing=self.signing, writer=writer
            )
            splitter.finish(progress)
        return written
