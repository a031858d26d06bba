"""Which bundles of a job stay, and which go. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bundler.oci.content import Digest
from bundler.store.history import Entry

DAY = 86_400


class Keep(NamedTuple):
    """What stays of the bundles that a job made; all of them without anything."""

    newest: int | None = None
    """As many of the newest."""
    days: int | None = None
    """Those that are younger."""

    @property
    def any(self) -> bool:
        """Whether anything may go."""
        return self.newest is not None or self.days is not None


def expired(entries: Sequence[Entry], job: str, keep: Keep, now: int) -> list[Entry]:
    """What a job may remove: neither kept itself, nor what any bundle that stays builds on.

    The newest always stays. Where the clock was set back, an entry from the future counts as new; and one
    from before its time is as old as the one before it.
    """
    if not keep.any:
        return []
    own = [entry for entry in entries if entry.job == job]
    newest = own[-max(keep.newest or 1, 1) :]
    since = now - (keep.days or 0) * DAY
    young = [entry for entry, time in zip(own, _times(own, now), strict=True) if keep.days and time > since]
    kept = [*newest, *young, *(entry for entry in entries if entry.job != job)]
    needed = _needed(kept, entries)
    return [entry for entry in own if entry.id not in needed]


def _times(entries: Sequence[Entry], now: int) -> Iterator[int]:
    """When they were written; a journal only grows, so none is older than what stands before it."""
    latest = 0
    for entry in entries:
        if entry.time <= now:
            latest = max(latest, entry.time)
        yield max(entry.time, latest)


def _needed(kept: Sequence[Entry], entries: Sequence[Entry]) -> set[Digest]:
    """The ids that are kept, and all that they build on."""
    bases = {entry.id: entry.base for entry in entries}
    found: set[Digest] = set()
    waiting = [entry.id for entry in kept]
    while waiting:
        id_ = waiting.pop()
        if id_ not in found:
            found.add(id_)
            waiting += bases.get(id_, ())
    return found
