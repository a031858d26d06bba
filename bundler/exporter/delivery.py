"""What becomes of an export in the end: left unwritten, or written and noted for the nights to come."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from bundler.bundle.inventory import Inventory, is_empty
from bundler.bundle.state import Base
from bundler.exporter.lock import keep_lock
from bundler.exporter.output import Output
from bundler.exporter.pinned import Pinned
from bundler.exporter.series import Series
from bundler.exporter.workplace import Workplace
from bundler.progress import Progress
from bundler.report import BundleReport
from bundler.store import Store

Delivered = tuple[Inventory, BundleReport]


class Delivery(NamedTuple):
    """Where an export goes, and where it is noted."""

    out: Output
    place: Workplace
    series: Series
    lock: Path | None

    def superfluous(
        self, pinned: Pinned, base: Base | None, progress: Progress
    ) -> tuple[Inventory, BundleReport | None] | None:
        """What need not be written: the base has all of it, or it is there already. None if it must be."""
        inventory = pinned.inventory(base)
        if is_empty(inventory) and not self.series.allow_empty:
            self._done(pinned)
            return inventory, None
        there = self.out.unchanged(inventory, progress)
        if there is None:
            return None
        self.place.remember(self.series, inventory, self.out)
        self._done(pinned)
        return inventory, there

    def write(self, pinned: Pinned, base: Base | None, store: Store, progress: Progress) -> Delivered:
        """Write it, and note it."""
        inventory = pinned.inventory(base)
        written = self.out.write(inventory, store, progress)
        self.place.remember(self.series, inventory, self.out)
        self._done(pinned)
        return inventory, written

    def _done(self, pinned: Pinned) -> None:
        keep_lock(self.lock, pinned)
        # With failures, the same command will be run again, and needs only what is missing.
        self.place.finished = pinned.complete
