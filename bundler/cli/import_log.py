"""Which bundles came to a target, remembered with the state: so that a delta that was left out is missed.

A line for each import, for each that is about to replace something newer, and for each way back, appended;
what can't be read as one, a line that a power cut tore, is passed over.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bundler.about import PROGRAM
from bundler.bundle.inventory import Inventory
from bundler.durable import append, local_errors, make_directories
from bundler.errors import LocalError, UsageError
from bundler.oci.content import Digest, sha256

_IDS = "((?: sha256:[0-9a-f]{64})+)"

_LINE = re.compile(f"(came|again|back){_IDS}(?: on{_IDS})?$", re.MULTILINE)


def short_name(target: str) -> str:
    """What tells the files of one target from those of another."""
    return sha256(target.encode()).encoded[:8]


class LoggedImport(NamedTuple):
    """One line."""

    deed: str
    """`came`; `again`: it comes, and what builds on it counts no more; `back`: it was taken back."""
    ids: frozenset[str]
    """The bundle, and the full bundle that would have made the same."""
    on: frozenset[str] = frozenset()
    """What it builds on, the same two ways."""


class ImportLog(NamedTuple):
    """What came to one target, from this machine."""

    state: Path | None
    target: str

    def known(self) -> frozenset[Digest]:
        """The ids of bundles, and of the full bundles that would have made the same; empty for the first."""
        return frozenset(Digest(id_) for one in self._there() for id_ in one.ids)

    def begins(self, bundle: Digest, inventory: Inventory) -> None:
        """A bundle is about to move tags: where it is older than what came, that counts no more."""
        there, one = self._there(), _arrival("again", bundle, inventory)
        if _below(one, there) != there:
            self._note(one)

    def came(self, bundle: Digest, inventory: Inventory) -> None:
        """A bundle was imported."""
        self._note(_arrival("came", bundle, inventory))

    def back(self, bundle: Digest) -> None:
        """An import was taken back."""
        lines = [one.ids for one in self._lines() if one.deed == "came" and bundle in one.ids]
        self._note(LoggedImport("back", frozenset({bundle, *(lines[-1] if lines else ())})))

    def _there(self) -> list[LoggedImport]:
        found: list[LoggedImport] = []
        for one in self._lines():
            found = _below(one, found)
            if one.deed == "came":
                found.append(one)
            elif one.deed == "back":
                found = [other for other in found if not other.ids & one.ids]
        return found

    def _lines(self) -> Iterator[LoggedImport]:
        try:
            path = self._path()
            with local_errors(path, "read"):
                text = path.read_text(errors="replace") if path.is_file() else ""
        except UsageError:
            return  # nowhere to remember anything
        for deed, ids, on in _LINE.findall(text):
            yield LoggedImport(deed, frozenset(ids.split()), frozenset(on.split()))

    def _note(self, one: LoggedImport) -> None:
        text = " ".join([one.deed, *sorted(one.ids), *(["on", *sorted(one.on)] if one.on else [])])
        with suppress(UsageError):
            path, began = self._path(), True
            try:
                began = path.exists()
                make_directories(path.parent)
                append(path, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {text}\n".encode())
            except LocalError:
                # A machine without a place for it misses nothing; one that has it must not lose a line.
                if began:
                    raise

    def _path(self) -> Path:
        return state_folder(self.state) / f"target-{short_name(self.target)}.log"


def _arrival(deed: str, bundle: Digest, inventory: Inventory) -> LoggedImport:
    state, base = inventory.state, inventory.base_state
    ids = frozenset({bundle, *([state] if state else ())})
    return LoggedImport(deed, ids, frozenset({*inventory.base, *([base] if base else ())}))


def _below(one: LoggedImport, there: list[LoggedImport]) -> list[LoggedImport]:
    """What still counts once a bundle comes, again perhaps: nothing that builds on it, or beside it."""
    gone = set(one.ids | one.on)
    while lost := [other for other in there if other.on & gone]:
        there = [other for other in there if not other.on & gone]
        gone.update(*(other.ids for other in lost))
    return there


def state_folder(folder: Path | None) -> Path:
    """Where imports keep what outlives them. Raises UsageError if that is nowhere."""
    if folder is not None:
        return folder
    state, home = os.environ.get("XDG_STATE_HOME"), os.environ.get("HOME")
    if not state and not home:
        cause = "there is no home directory to remember the import in"
        raise UsageError("--state", cause, "name a directory that outlives this run")
    return (Path(state) if state else Path(str(home), ".local", "state")) / PROGRAM
