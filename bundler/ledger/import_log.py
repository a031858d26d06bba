"""The imports of one target, one line each: so that a delta that was left out is missed.

A line is appended for each import, for each that is about to replace something newer, and for each
rollback. A line that cannot be read, because a power cut tore it, is passed over.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from bundler.bundle.inventory import Inventory
from bundler.durable import append, check_ours, make_directories, read_if_there
from bundler.oci import Digest, sha256

Event = Literal["imported", "incomplete", "superseding", "rolled-back"]

_IDS = "((?: sha256:[0-9a-f]{64})+)"

_LINE = re.compile(
    rf"(imported|incomplete|superseding|rolled-back){_IDS}(?: on{_IDS})?(?: part ([0-9a-f]{{12}}))?$",
    re.MULTILINE,
)

WHOLE_BUNDLE = ""
"""The scope of an import that leaves nothing out."""


def short_name(target: str) -> str:
    """Return what tells the files of one target from those of another."""
    return sha256(target.encode()).encoded[:8]


def scope_of(selection: str) -> str:
    """Return the name of a selection in the log; `selection` is empty for the whole bundle."""
    return sha256(selection.encode()).encoded[:12] if selection else WHOLE_BUNDLE


class LoggedImport(NamedTuple):
    """One line."""

    event: str
    """`imported`; `incomplete`: some of its tags failed; `superseding`: it is being imported, and what
    builds on it no longer counts; `rolled-back`."""
    ids: frozenset[str]
    """The bundle, and the full bundle that would have made the same."""
    on: frozenset[str] = frozenset()
    """The bundles that it builds on, identified in the same two ways."""
    scope: str = WHOLE_BUNDLE
    """Which part of it was imported."""


class ImportLog(NamedTuple):
    """The log of what this machine imported to one target."""

    folder: Path
    target: str

    @property
    def path(self) -> Path:
        """Return the file."""
        return self.folder / f"target-{short_name(self.target)}.log"

    def is_empty(self) -> bool:
        """Return True if this machine never imported anything to the target."""
        return next(self._lines(), None) is None

    def scopes(self) -> dict[Digest, str]:
        """Return what counts as imported: ids of bundles and of equal full bundles, each with its scope."""
        scopes: dict[Digest, str] = {}
        for entry in self._counting():
            for id_ in entry.ids:
                whole = scopes.get(Digest(id_)) == WHOLE_BUNDLE
                scopes[Digest(id_)] = WHOLE_BUNDLE if whole else entry.scope
        return scopes

    def begins(self, bundle: Digest, inventory: Inventory, now: str) -> None:
        """Record that an import writes: should it break off, the target is no longer unknown."""
        self._append(_entry("incomplete", bundle, inventory), now)

    def broke_off(self) -> bool:
        """Return True if an import began, or failed in part, and did not end well since."""
        open_: set[str] = set()
        for entry in self._lines():
            if entry.event == "incomplete":
                open_ |= entry.ids
            elif entry.event == "imported":
                open_ -= entry.ids
        return bool(open_)

    def moves(self, bundle: Digest, inventory: Inventory, now: str) -> None:
        """Record that a bundle is about to move tags: what is newer than it no longer counts."""
        counting, entry = self._counting(), _entry("superseding", bundle, inventory)
        if _without(entry, counting) != counting:
            self._append(entry, now)

    def ends(
        self, bundle: Digest, inventory: Inventory, now: str, *, scope: str = WHOLE_BUNDLE, whole: bool = True
    ) -> None:
        """Record that an import has ended; `whole` is False if some of its tags failed."""
        self._append(_entry("imported" if whole else "incomplete", bundle, inventory, scope), now)

    def rolled_back(self, bundle: Digest, now: str) -> None:
        """Record that an import was rolled back."""
        lines = [entry.ids for entry in self._lines() if entry.event == "imported" and bundle in entry.ids]
        self._append(LoggedImport("rolled-back", frozenset({bundle, *(lines[-1] if lines else ())})), now)

    def _counting(self) -> list[LoggedImport]:
        counting: list[LoggedImport] = []
        for entry in self._lines():
            counting = _without(entry, counting)
            if entry.event == "imported":
                counting.append(entry)
            elif entry.event in ("rolled-back", "incomplete"):
                counting = [other for other in counting if not other.ids & entry.ids]
        return counting

    def _lines(self) -> Iterator[LoggedImport]:
        check_ours(self.path)
        text = (read_if_there(self.path) or b"").decode(errors="replace")
        for event, ids, on, scope in _LINE.findall(text):
            yield LoggedImport(event, frozenset(ids.split()), frozenset(on.split()), scope)

    def _append(self, entry: LoggedImport, now: str) -> None:
        on = ["on", *sorted(entry.on)] if entry.on else []
        part = ["part", entry.scope] if entry.scope else []
        make_directories(self.folder)
        append(self.path, f"{' '.join([now, entry.event, *sorted(entry.ids), *on, *part])}\n".encode())


def _entry(event: Event, bundle: Digest, inventory: Inventory, scope: str = WHOLE_BUNDLE) -> LoggedImport:
    state, base = inventory.state, inventory.base_state
    ids = frozenset({bundle, *([state] if state else ())})
    return LoggedImport(event, ids, frozenset({*inventory.base, *([base] if base else ())}), scope)


def _without(entry: LoggedImport, counting: list[LoggedImport]) -> list[LoggedImport]:
    """Return what still counts once a bundle is imported: nothing that builds on it, or beside it."""
    gone = set(entry.ids | entry.on)
    while lost := [other for other in counting if other.on & gone]:
        counting = [other for other in counting if not other.on & gone]
        gone.update(*(other.ids for other in lost))
    return counting
