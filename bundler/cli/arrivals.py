"""Which bundles came to a target, remembered with the state: so that a delta that was left out is missed.

One line for each import or way back, appended; what can't be read as one, a line that a power cut tore, is
passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bundler.cli.trusting import state_folder
from bundler.durable import append, local_errors, make_directories
from bundler.errors import LocalError, UsageError
from bundler.oci.content import Digest, sha256

_LINE = re.compile(r"(came|back)((?: sha256:[0-9a-f]{64})+)$", re.MULTILINE)


def short_name(target: str) -> str:
    """What tells the files of one target from those of another."""
    return sha256(target.encode()).encoded[:8]


class Arrivals(NamedTuple):
    """What came to one target, from this machine."""

    state: Path | None
    target: str

    def known(self) -> frozenset[Digest]:
        """The ids of bundles, and of the full bundles that would have made the same; empty for the first."""
        found: set[str] = set()
        for deed, ids in self._lines():
            if deed == "came":
                found |= ids
            else:
                found -= ids
        return frozenset(map(Digest, found))

    def came(self, bundle: Digest, state: Digest | None) -> None:
        """A bundle was imported; a delta makes a state of what was there."""
        self._note("came", bundle, *([state] if state else []))

    def back(self, bundle: Digest) -> None:
        """An import was taken back."""
        lines = [ids for deed, ids in self._lines() if deed == "came" and bundle in ids]
        self._note("back", *sorted({bundle, *(lines[-1] if lines else ())}))

    def _lines(self) -> Iterator[tuple[str, set[str]]]:
        try:
            path = self._path()
            with local_errors(path, "read"):
                text = path.read_text(errors="replace") if path.is_file() else ""
        except UsageError:
            return  # nowhere to remember anything
        for deed, ids in _LINE.findall(text):
            yield deed, set(ids.split())

    def _note(self, deed: str, *ids: str) -> None:
        with suppress(UsageError):
            path, began = self._path(), True
            try:
                began = path.exists()
                make_directories(path.parent)
                append(path, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {deed} {' '.join(ids)}\n".encode())
            except LocalError:
                # A machine without a place for it misses nothing; one that has it must not lose a line.
                if began:
                    raise

    def _path(self) -> Path:
        return state_folder(self.state) / f"target-{short_name(self.target)}.log"
