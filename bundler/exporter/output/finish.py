"""The end of an export: what it wrote is recorded, locked, and followed by the removal of old bundles."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.bundle_output import BundleOutput
from bundler.bundle.inventory import bundle_id, encode
from bundler.bundle.writer import check_readable
from bundler.deltas.retention import Incremental
from bundler.errors import LocalError, UsageError
from bundler.exporter.export_content import ExportContent
from bundler.exporter.fetch.fetch_all import Fetched
from bundler.exporter.fetch.store_location import StoreLocation
from bundler.exporter.resolve.resolution import Findings
from bundler.named_files import check_folder, check_writable
from bundler.oci import BlobSource
from bundler.reporting.json_report import BundleReport
from bundler.reporting.progress import counted
from bundler.selection.sources import Selection
from bundler.session import Session
from bundler.store.blob_store import Store
from bundler.store.history import History, HistoryEntry


class Unchanged(NamedTuple):
    """The reason why nothing is to be written."""

    bundle: BundleReport | None
    """The same bundle, which is there already; None where the base has everything."""


class Finished(NamedTuple):
    """The results that an export left behind."""

    content: ExportContent
    bundle: BundleReport | None
    removed: tuple[str, ...] = ()
    """Older bundles of the job that were removed."""


class Finish(NamedTuple):
    """The destination of an export, and the places where it is recorded."""

    out: BundleOutput
    location: StoreLocation
    incremental: Incremental
    lock: Path | None
    session: Session

    def check(self) -> None:
        """Raise, before any request, for an output or a lock file that can't be written."""
        self.out.check()
        if self.lock:
            check_folder(self.lock, "--lock")
            if self.lock.is_dir():
                raise UsageError(str(self.lock), "--lock: this is a directory", "name a file")
            check_writable(self.lock)

    def skip_if_unchanged(self, content: ExportContent) -> Unchanged | None:
        """Return why nothing need be written: the base has all of it, or it is there; None if it must be.

        Raises: ContentError for what no reader would take, UsageError where a bundle would be lost.
        """
        check_readable(content.inventory, self.session.limits)
        if not content.has_news and not self.incremental.allow_empty:
            return Unchanged(None)
        existing = self.out.unchanged(content.inventory, self.session.progress)
        return Unchanged(existing) if existing else None

    def keep_existing(self, unchanged: Unchanged, content: ExportContent, store: Store) -> None:
        """Record the bundle that is there, if there is one; make it durable, and its sidecar right."""
        if unchanged.bundle:
            self.out.confirm(unchanged.bundle)
            self.record(content, unchanged.bundle, store)

    @contextmanager
    def source(self, content: ExportContent, store: Store) -> Iterator[BlobSource]:
        """Yield what the bundle is written from: the store; for a delta, with its base."""
        if content.base is None:
            yield store
            return
        from bundler.exporter.output.old_content import building_on

        names = self.incremental.base
        with building_on(content, content.base, names, store, self.session) as source:
            yield source

    def write(self, fetched: Fetched, store: Store) -> BundleReport | None:
        """Write the bundle. None if a blob that was to go straight into it can't be had: fetch again."""
        if fetched.plan.streamed:
            from bundler.exporter.output.streamed_output import write_streamed

            return write_streamed(fetched, self.out, store, self.session)
        with self.source(fetched.content, store) as source:
            return self.out.write(fetched.content.inventory, source, self.session.progress)

    def record(self, content: ExportContent, bundle: BundleReport, store: Store) -> None:
        """Record the bundle in the store, so that later exports can build on it."""
        entry = self._entry(content, bundle.size)
        self.location.remember(entry, content.inventory, content.base, store)

    def _entry(self, content: ExportContent, size: int | None = None) -> HistoryEntry:
        path = str(self.out.path.absolute()) if self.out.path else None
        identity, now = bundle_id(encode(content.inventory)), self.session.clock()
        job, base = self.incremental.job, content.inventory.base
        return HistoryEntry(identity, job, now, base, path, size=size)

    def write_lock(self, selection: Selection, content: ExportContent) -> ExportContent:
        """Write the lock file, if one is wanted and nothing failed: a lock is whole, or it is not there.

        The lock that a selection was read from stays as it is.
        """
        if self.lock is None or selection.locked:
            return content
        if content.findings.complete:
            from bundler.exporter.resolve.lock_file import write_lock

            write_lock(self.lock, content.whole_inventory, selection)
        return content.noting(self.unlocked(selection, content))

    def unlocked(self, selection: Selection, content: ExportContent) -> Findings:
        """Return a warning about a lock file that can't be written, because something failed."""
        if self.lock is None or selection.locked or content.findings.complete:
            return Findings()
        number = counted(len(content.findings.all_failures), "item")
        line = f"{self.lock}: not written: {number} failed, and a lock pins everything or nothing"
        return Findings(warnings=(line,))

    def close(self, content: ExportContent, bundle: BundleReport | None, store: Store) -> Finished:
        """Give up a temporary store, and remove the older bundles of the job; only if nothing failed.

        With failures, the same command will be run again, and needs only what is missing.
        """
        self.location.finished = content.findings.complete or self.out.path is None
        if self.location.finished and self.location.streams_into(self.out):
            with suppress(LocalError):  # another run may be writing it
                self.out.forget()
        if not (content.findings.complete and self.incremental.keep.any):
            return Finished(content, bundle)
        from bundler.deltas.retention import retain

        removed, warnings = retain(store, self.incremental, self.session)
        return Finished(content.noting(Findings(warnings=warnings)), bundle, tuple(removed))

    def planned(self, content: ExportContent, store: Store, unchanged: Unchanged | None) -> Finished:
        """Return what `close` would leave behind, and remove nothing."""
        bundle = unchanged.bundle if unchanged else None
        if not (content.findings.complete and self.incremental.keep.any):
            return Finished(content, bundle)
        from bundler.deltas.retention import going

        new = () if unchanged and not unchanged.bundle else (self._entry(content),)
        entries = (*History(store.path).entries(), *new)
        gone = going(entries, self.incremental, self.session, writes=unchanged is None)
        removed = tuple(str(path) for path, _ in gone.files)
        return Finished(content.noting(Findings(warnings=gone.warnings)), bundle, removed)
