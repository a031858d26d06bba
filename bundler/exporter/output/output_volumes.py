"""A set of volumes as an output: written directly, never as one file first."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.inventory import Inventory, bundle_id, encode
from bundler.bundle.writer import largest_size
from bundler.deltas.existing_bundle import open_bundle
from bundler.durable import local_errors
from bundler.errors import ContentError, IntegrityError, NotFoundError, UsageError
from bundler.exporter.output.output_file import StatementSource, pack, writer_of
from bundler.exporter.output.resume_output import begins, statement_left, unfinished
from bundler.limits import Limits
from bundler.named_files import check_folder, check_writable
from bundler.oci import BlobSource
from bundler.reporting.json_report import BundleReport
from bundler.reporting.progress import Progress
from bundler.volumes.continued_file import forget_left
from bundler.volumes.left_volumes import LeftVolumes, begun_volumes
from bundler.volumes.volume_writer import Cut, splitting

if TYPE_CHECKING:
    from bundler.bundle.begun.unfinished import UnfinishedBundle
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
    def streams(self) -> bool:
        """Return True for a portable bundle: a compact one is made of blobs that are all there."""
        return self.compact is None

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

    def left_over(self) -> UnfinishedBundle | None:
        """Open the beginning of the bundle that an interrupted run left in volumes."""
        with local_errors(self.path.parent, "look at"):
            volumes = begun_volumes(self.path)
            left = LeftVolumes(self.path, volumes, self.cut.piece) if volumes else None
        return unfinished(left, self.path, self.limits) if left else None

    def resumes(self, left: UnfinishedBundle, inventory: Inventory) -> bool:
        """Return True if what is left begins the same bundle."""
        return begins(left, inventory, self.signing, None)

    def forget(self) -> None:
        """Remove the volumes that have no name yet."""
        for volume in begun_volumes(self.path):
            forget_left(volume)

    def write(
        self, inventory: Inventory, source: BlobSource, progress: Progress, *, resumable: bool = False
    ) -> BundleReport:
        """Write them under temporary names; they get their own when all are durable."""
        statement = statement_left(self, inventory) if resumable else None
        with splitting(self.path, self.cut, resumable=resumable) as splitter:
            written = pack(
                splitter.write,
                self.name,
                inventory,
                source,
                progress,
                signing=self.signing,
                statement=statement,
                writer=writer_of(self.compact, self.path.parent, self.limits),
            )
            splitter.finish(progress)
        return written
