"""Which bundles of a job stay, and which go. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
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

    The newest always stays. Where the clock was set back, an entry from the future counts as new.
    """
    if not keep.any:
        return []
    own = [entry for entry in entries if entry.job == job]
    newest = own[-max(keep.newest or 1, 1) :]
    young = [entry for entry in own if keep.days is not None and entry.time > now - keep.days * DAY]
    kept = [*newest, *young, *(entry for entry in entries if entry.job != job)]
    needed = _needed(kept, entries)
    return [entry for entry in own if entry.id not in needed]


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
