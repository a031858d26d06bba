"""A bundle file with its sidecar, as an output."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bundler.bundle.inventory import Inventory, bundle_id, encode
from bundler.bundle.sealing import check_sidecar, remove_sidecar, write_sidecar
from bundler.bundle.writer import WrittenBundle, largest_size, write_bundle
from bundler.deltas import existing_bundle
from bundler.durable import WholeFile, local_errors, sync_directory, whole_file
from bundler.errors import BundlerError, ContentError, IntegrityError, TrustError, UsageError
from bundler.exporter.output.resume_output import begins, is_begun, statement_left, unfinished
from bundler.limits import Limits
from bundler.named_files import check_folder, check_writable
from bundler.oci import BlobSource, Digest
from bundler.reporting.json_report import BundleReport
from bundler.reporting.progress import Progress

if TYPE_CHECKING:
    from bundler.bundle.begun.unfinished import UnfinishedBundle
    from bundler.reporting.progress import Step
    from bundler.trust.statement import SignedStatement, Statement


class StatementSource(Protocol):
    """A source of the signed statement that a bundle is written with: a new one, or the one that it had."""

    def seal(self, bundle: Digest, replaced: Statement | None = None) -> SignedStatement:
        """Return the statement about a bundle; it follows the one `replaced` under the same name."""

    def follow(self, replaced: Statement) -> None:
        """Raise TrustError for a statement that must not replace this one."""

    def stands_in(self, signed: SignedStatement | None) -> bool:
        """Return True if a bundle that is there has such a statement already."""

    def resumes(self, signed: SignedStatement | None, replaced: Statement | None) -> bool:
        """Return True if a bundle that was left unfinished can be finished with its statement."""


class BundleWriter(Protocol):
    """A function that writes a bundle in one of its forms."""

    def __call__(
        self,
        write: Callable[[bytes], object],
        inventory: Inventory,
        source: BlobSource,
        step: Step,
        signed: SignedStatement | None = None,
        /,
    ) -> WrittenBundle:
        """Write it by calls of `write`, in order."""


def writer_of(compact: int | None, scratch: Path, limits: Limits) -> BundleWriter:
    """Return the writer of a compact bundle at a zstd level, or of a portable one for None.

    `scratch` is a folder for temporary files.
    """
    if compact is None:
        return write_bundle
    from bundler.bundle.compacted.compact_savings import write_compact

    return partial(write_compact, folder=scratch, limits=limits, level=compact)


@dataclass
class FileOutput:
    """A bundle file with its sidecar."""

    path: Path
    force: bool
    limits: Limits
    signing: StatementSource | None = None
    is_store: bool = False
    compact: int | None = None
    """The zstd level of a compact file; None for a portable one."""

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
        if self.path.is_dir():
            raise UsageError(self.name, "this is a directory", "choose another name")
        if self.path.exists() and not self.force:
            with existing_bundle.explained(self.path), existing_bundle.open_bundle(self.path, self.limits):
                pass
        check_writable(self.path)

    def unchanged(self, inventory: Inventory, progress: Progress) -> BundleReport | None:
        """Return what exists if it is the same; proven by its digests, as the sidecar may be missing."""
        if not self.path.exists():
            return None
        if self.signing and (replaced := existing_bundle.statement_there(self.path, self.limits)):
            self.signing.follow(replaced)
        try:
            return self._same(inventory, progress)
        except (IntegrityError, ContentError, TrustError):
            if self.force:
                return None
            raise

    def _same(self, inventory: Inventory, progress: Progress) -> BundleReport | None:
        with existing_bundle.open_bundle(self.path, self.limits) as bundle:
            if bundle.id != bundle_id(encode(inventory)):
                existing_bundle.refuse_own_base(self.name, bundle.id, inventory)
                if not self.force:
                    existing_bundle.refuse_loss(self.name, bundle.inventory, inventory)
                return None
            if self.signing and not self.signing.stands_in(bundle.signed_statement):
                return None
            # A compact one may be of another level, which nothing in it tells.
            if bundle.is_compact != (self.compact is not None) or (bundle.is_compact and self.force):
                return None
            size = sum(blob.size for blob in inventory.content)
            with progress.step("checking the bundle that is there", size=size) as step:
                for blob, _ in bundle.everything():
                    step.advance(size=blob.size)
            sha256 = bundle.sha256 or ""
            statement = bundle.signed_statement.report() if bundle.signed_statement else None
        return BundleReport(self.name, bundle.id, sha256, self.path.stat().st_size, statement)

    def confirm(self, existing: BundleReport) -> None:
        """Write the sidecar if it is not right, and make the names durable."""
        if not _sidecar_right(self.path, existing.sha256 or ""):
            write_sidecar(self.path, existing.sha256 or "")
        # A run that was killed may have given the names, and not made them durable.
        sync_directory(self.path.parent)

    def need(self, inventory: Inventory) -> tuple[Path, int]:
        """Return the folder, and the largest size that the bundle can have."""
        return self.path.parent, largest_size(inventory)

    def left_over(self) -> UnfinishedBundle | None:
        """Open the beginning of the bundle that an interrupted run left."""
        if not is_begun(self.path):
            return None
        from bundler.volumes.continued_file import left_under
        from bundler.volumes.volume_reader import OneFile

        path = left_under(self.path)
        return unfinished(OneFile(path), self.path, self.limits) if path else None

    def resumes(self, left: UnfinishedBundle, inventory: Inventory) -> bool:
        """Return True if what is left begins the same bundle."""
        return begins(left, inventory, self.signing, self._replaced())

    def forget(self) -> None:
        """Remove the unfinished file."""
        if is_begun(self.path):
            from bundler.volumes.continued_file import forget_left

            forget_left(self.path)

    def _replaced(self) -> Statement | None:
        return existing_bundle.statement_there(self.path, self.limits) if self.signing else None

    def write(
        self, inventory: Inventory, source: BlobSource, progress: Progress, *, resumable: bool = False
    ) -> BundleReport:
        """Write it under a temporary name; the old one stays until the new one is durable."""
        replaced = self._replaced()
        statement = statement_left(self, inventory) if resumable else None
        with _continued(self.path) if resumable else whole_file(self.path) as file:
            written = pack(
                file.write,
                self.name,
                inventory,
                source,
                progress,
                signing=self.signing,
                replaced=replaced,
                statement=statement,
                writer=writer_of(self.compact, self.path.parent, self.limits),
            )
            # An old sidecar must not speak of the new file.
            remove_sidecar(self.path)
        write_sidecar(self.path, written.sha256 or "")
        return written


def _continued(path: Path) -> AbstractContextManager[WholeFile]:
    from bundler.volumes.continued_file import continued_file

    return continued_file(path)


def _sidecar_right(path: Path, sha256: str) -> bool:
    try:
        return check_sidecar(path, sha256)
    except BundlerError:
        return False


def pack(
    write: Callable[[bytes], object],
    name: str,
    inventory: Inventory,
    source: BlobSource,
    progress: Progress,
    *,
    signing: StatementSource | None = None,
    replaced: Statement | None = None,
    statement: SignedStatement | None = None,
    writer: BundleWriter = write_bundle,
) -> BundleReport:
    """Write the bundle by calls of `write`, in order; return a report. Raises what the source raises.

    What is signed stands before the content, so it is signed before the first byte is written, unless it
    goes on with the `statement` that an interrupted run wrote.
    """
    if signing and statement is None:
        statement = signing.seal(bundle_id(encode(inventory)), replaced)
    blobs = list(inventory.content)
    with progress.step("packing", len(blobs), sum(blob.size for blob in blobs)) as step:
        written = writer(write, inventory, source, step, statement)
    report = statement.report() if statement else None
    return BundleReport(name, written.bundle_id, written.sha256, written.size, report, written.compact)


STANDARD_OUTPUT = 1


@dataclass
class StreamOutput:
    """Standard output: the bundle as it is made."""

    descriptor: int = STANDARD_OUTPUT
    signing: StatementSource | None = None
    writer: BundleWriter = write_bundle
    compact: int | None = None
    path: None = None
    name: str = "-"
    is_store: bool = False

    @property
    def streams(self) -> bool:
        """Return True for a portable bundle."""
        return self.compact is None

    def left_over(self) -> None:
        """Return None: a pipe keeps nothing."""

    def resumes(self, left: object, inventory: Inventory) -> bool:
        """Return False."""
        return False

    def forget(self) -> None:
        """Do nothing: a pipe keeps nothing."""

    def check(self) -> None:
        """Raise UsageError on a terminal."""
        if os.isatty(self.descriptor):
            raise UsageError("-", "standard output is a terminal", "redirect it to a file or a pipe")

    def unchanged(self, inventory: Inventory, progress: Progress) -> None:
        """Return None: a pipe holds nothing."""

    def confirm(self, existing: BundleReport) -> None:
        """Do nothing: a pipe holds nothing."""

    def need(self, inventory: Inventory) -> None:
        """Need no disk."""

    def write(
        self, inventory: Inventory, source: BlobSource, progress: Progress, *, resumable: bool = False
    ) -> BundleReport:
        """Write it in order."""
        return pack(
            self._write, self.name, inventory, source, progress, signing=self.signing, writer=self.writer
        )

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        with local_errors(Path("standard output"), "write"):
            while view:
                view = view[os.write(self.descriptor, view) :]
