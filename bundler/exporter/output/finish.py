"""What becomes of an export in the end: left unwritten, or written and noted for the nights to come."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bundler.bundle.bundle_output import BundleOutput
from bundler.bundle.inventory import Inventory, bundle_id, encode, is_empty
from bundler.bundle.writer import check_readable
from bundler.deltas.retention import Incremental
from bundler.deltas.state import Base
from bundler.exporter.fetch.store_location import StoreLocation
from bundler.exporter.resolve.lock_file import keep_lock
from bundler.exporter.resolve.resolution import Resolution
from bundler.reporting.json_report import BundleReport
from bundler.session import Session
from bundler.store.blob_store import Store
from bundler.store.history import HistoryEntry


class Finished(NamedTuple):
    """How an export ended."""

    inventory: Inventory
    bundle: BundleReport | None
    """None where nothing was new."""
    removed: tuple[str, ...] = ()
    """Older bundles of the job that were removed."""


class Finish(NamedTuple):
    """Where an export goes, and where it is noted."""

    out: BundleOutput
    location: StoreLocation
    incremental: Incremental
    lock: Path | None
    session: Session

    def superfluous(self, pinned: Resolution, base: Base | None, store: Store) -> Finished | None:
        """What need not be written: the base has all of it, or it is there already. None if it must be.

        Raises ContentError for what no reader would take.
        """
        inventory = pinned.inventory(base)
        check_readable(inventory, self.session.limits)
        if is_empty(inventory) and not self.incremental.allow_empty:
            return Finished(inventory, None, self._done(pinned, store))
        there = self.out.unchanged(inventory, self.session.progress)
        if there is None:
            return None
        self._remember(inventory, base, store)
        return Finished(inventory, there, self._done(pinned, store))

    def write(self, pinned: Resolution, base: Base | None, store: Store) -> Finished:
        """Write it, and note it."""
        inventory = pinned.inventory(base)
        written = self.out.write(inventory, store, self.session.progress)
        self._remember(inventory, base, store)
        return Finished(inventory, written, self._done(pinned, store))

    def _remember(self, inventory: Inventory, base: Base | None, store: Store) -> None:
        path = str(self.out.path.absolute()) if self.out.path else None
        identity, now = bundle_id(encode(inventory)), self.session.clock()
        entry = HistoryEntry(identity, self.incremental.job, now, inventory.base, path)
        self.location.remember(entry, inventory, base, store)

    def _done(self, pinned: Resolution, store: Store) -> tuple[str, ...]:
        keep_lock(self.lock, pinned)
        # With failures, the same command will be run again, and needs only what is missing.
        self.location.finished = pinned.complete
        if not (pinned.complete and self.incremental.keep.any):
            return ()
        from bundler.deltas.retention import retain

        removed, warnings = retain(store, self.incremental, self.session)
        pinned.warnings += warnings
        return tuple(removed)
