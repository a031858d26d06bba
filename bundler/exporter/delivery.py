"""What becomes of an export in the end: left unwritten, or written and noted for the nights to come."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bundler.bundle.inventory import Inventory, is_empty
from bundler.bundle.state import Base
from bundler.bundle.writer import check_readable
from bundler.exporter.lock import keep_lock
from bundler.exporter.output import Output
from bundler.exporter.pinned import Pinned
from bundler.exporter.series import Series
from bundler.exporter.workplace import Workplace
from bundler.limits import Limits
from bundler.progress import Progress
from bundler.report import BundleReport
from bundler.store import Store


class Delivered(NamedTuple):
    """How an export ended."""

    inventory: Inventory
    bundle: BundleReport | None
    """None where nothing was new."""
    removed: tuple[str, ...] = ()
    """Older bundles of the job that were removed."""


class Delivery(NamedTuple):
    """Where an export goes, and where it is noted."""

    out: Output
    place: Workplace
    series: Series
    lock: Path | None
    limits: Limits

    def superfluous(
        self, pinned: Pinned, base: Base | None, store: Store, progress: Progress
    ) -> Delivered | None:
        """What need not be written: the base has all of it, or it is there already. None if it must be.

        Raises ContentError for what no reader would take.
        """
        inventory = pinned.inventory(base)
        check_readable(inventory, self.limits)
        if is_empty(inventory) and not self.series.allow_empty:
            return Delivered(inventory, None, self._done(pinned, store))
        there = self.out.unchanged(inventory, progress)
        if there is None:
            return None
        self.place.remember(self.series, inventory, self.out, base, store)
        return Delivered(inventory, there, self._done(pinned, store))

    def write(self, pinned: Pinned, base: Base | None, store: Store, progress: Progress) -> Delivered:
        """Write it, and note it."""
        inventory = pinned.inventory(base)
        written = self.out.write(inventory, store, progress)
        self.place.remember(self.series, inventory, self.out, base, store)
        return Delivered(inventory, written, self._done(pinned, store))

    def _done(self, pinned: Pinned, store: Store) -> tuple[str, ...]:
        keep_lock(self.lock, pinned)
        # With failures, the same command will be run again, and needs only what is missing.
        self.place.finished = pinned.complete
        if not (pinned.complete and self.series.keep.any):
            return ()
        from bundler.exporter.retention import retain

        removed, warnings = retain(store, self.series, self.limits)
        pinned.warnings += warnings
        return tuple(removed)
