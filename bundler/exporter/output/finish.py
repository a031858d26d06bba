"""What becomes of an export in the end: left unwritten, or written and noted for the nights to come."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bundler.bundle.bundle_output import BundleOutput
from bundler.bundle.inventory import Inventory, is_empty
from bundler.bundle.writer import check_readable
from bundler.deltas.retention import Incremental
from bundler.deltas.state import Base
from bundler.exporter.fetch.store_location import StoreLocation
from bundler.exporter.resolve.lock_file import keep_lock
from bundler.exporter.resolve.resolution import Resolution
from bundler.limits import Limits
from bundler.reporting.json_report import BundleReport
from bundler.reporting.progress import Progress
from bundler.store.blob_store import Store


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
    place: StoreLocation
    series: Incremental
    lock: Path | None
    limits: Limits

    def superfluous(
        self, pinned: Resolution, base: Base | None, store: Store, progress: Progress
    ) -> Finished | None:
        """What need not be written: the base has all of it, or it is there already. None if it must be.

        Raises ContentError for what no reader would take.
        """
        inventory = pinned.inventory(base)
        check_readable(inventory, self.limits)
        if is_empty(inventory) and not self.series.allow_empty:
            return Finished(inventory, None, self._done(pinned, store))
        there = self.out.unchanged(inventory, progress)
        if there is None:
            return None
        self.place.remember(self.series, inventory, self.out, base, store)
        return Finished(inventory, there, self._done(pinned, store))

    def write(self, pinned: Resolution, base: Base | None, store: Store, progress: Progress) -> Finished:
        """Write it, and note it."""
        inventory = pinned.inventory(base)
        written = self.out.write(inventory, store, progress)
        self.place.remember(self.series, inventory, self.out, base, store)
        return Finished(inventory, written, self._done(pinned, store))

    def _done(self, pinned: Resolution, store: Store) -> tuple[str, ...]:
        keep_lock(self.lock, pinned)
        # With failures, the same command will be run again, and needs only what is missing.
        self.place.finished = pinned.complete
        if not (pinned.complete and self.series.keep.any):
            return ()
        from bundler.deltas.retention import retain

        removed, warnings = retain(store, self.series, self.limits)
        pinned.warnings += warnings
        return tuple(removed)
