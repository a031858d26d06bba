"""The bundles that were made from a store: what each held, and a journal of when and where.

`.bundles/HEX.json` is a bundle's exact `bundle.json`, so that a later export can build on it without the
file; `.journal.json` lists what was written, oldest first. Both are there whole or as they were before.
"""

import functools
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from bundler.durable import local_errors, make_directories, remove_if_there, write_whole
from bundler.errors import ContentError, printable
from bundler.oci import Digest, strict_json
from bundler.oci.grammar import DocumentValue, document_value
from bundler.trust.job import Job

BUNDLES = ".bundles"

JOURNAL = ".journal.json"

_JOURNAL = frozenset({"journalVersion", "bundles", "id", "job", "time", "base", "path"})

LARGEST = 64 << 20
"""Bytes of a journal: some 200,000 entries."""


@document_value
class HistoryEntry(DocumentValue):
    """One bundle that was written."""

    id: Digest
    job: Job
    time: int
    """Seconds since 1970, by the clock of the machine that wrote it."""
    base: tuple[Digest, ...] = ()
    """The bundles that a delta builds on."""
    path: str | None = None
    """The file; null for a pipe."""
    number: int = 0
    """Number of the bundle among those of its job, counted from 1; given when it is recorded."""
    size: int | None = None
    """Bytes of the file, or of all volumes together; null for a directory or a pipe."""


class History:
    """The memory of one store; whoever writes holds the store's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> tuple[HistoryEntry, ...]:
        """Return everything that was written, oldest first. Raises ContentError for a damaged journal."""
        path = self._path / JOURNAL
        with local_errors(path, "read"):
            if not path.exists():
                return ()
            with path.open("rb") as file:
                data = file.read(LARGEST + 1)
        return _decoded(data, path)

    def last(self, job: str) -> HistoryEntry | None:
        """Return what a job wrote last."""
        return next((entry for entry in reversed(self.entries()) if entry.job == job), None)

    def next_number(self, job: str) -> int:
        """Return a number above all with which a job's bundles were signed, where those are times.

        Also where the clock was set back: then each bundle had the next number after the one before.
        """
        times = [entry.time for entry in self.entries() if entry.job == job]
        # A bundle is signed up to a second after the time that is noted.
        return max((time + 1 + len(times) - number for number, time in enumerate(times)), default=0)

    def inventory(self, id_: Digest) -> bytes | None:
        """Return the `bundle.json` of a bundle; None if it is not known here, or damaged."""
        path = self._remembered(id_)
        with local_errors(path, "read"):
            if not path.exists():
                return None
            data = path.read_bytes()
        return data if id_.computed(data) == id_ else None

    def record(self, entry: HistoryEntry, inventory: bytes) -> None:
        """Remember a bundle that was written; again only if another one came after it."""
        entries = self.entries()
        if entries and _what(entries[-1]) == _what(entry):
            return
        before = max((other.number for other in entries if other.job == entry.job), default=0)
        make_directories(self._path / BUNDLES)
        write_whole(self._remembered(entry.id), inventory, follow=False)
        self._write((*entries, replace(entry, number=before + 1)))

    def keep(self, id_: Digest, inventory: bytes) -> None:
        """Know a bundle that something builds on, and that was made elsewhere."""
        if id_.computed(inventory) == id_ and self.inventory(id_) is None:
            make_directories(self._path / BUNDLES)
            write_whole(self._remembered(id_), inventory, follow=False)

    def forget(self, gone: Collection[Digest]) -> None:
        """Strike bundles from the journal, then their inventories."""
        self._write(tuple(entry for entry in self.entries() if entry.id not in gone))
        for id_ in gone:
            remove_if_there(self._remembered(id_))

    def _write(self, entries: tuple[HistoryEntry, ...]) -> None:
        documents = [
            {
                "id": entry.id,
                "job": entry.job,
                "time": entry.time,
                "base": list(entry.base),
                "path": entry.path,
                "number": entry.number,
                "size": entry.size,
            }
            for entry in entries
        ]
        write_whole(
            self._path / JOURNAL,
            strict_json.pretty({"journalVersion": 1, "bundles": documents}),
            follow=False,
        )

    def _remembered(self, id_: Digest) -> Path:
        return self._path / BUNDLES / f"{id_.encoded}.json"


def _what(entry: HistoryEntry) -> tuple[object, ...]:
    """Return all of an entry but when and as which number it was written."""
    return (entry.id, entry.job, entry.base, entry.path)


@functools.cache
def _adapter() -> Any:
    from pydantic import ConfigDict, TypeAdapter, with_config

    with_config(ConfigDict(strict=True, extra="ignore"))(HistoryEntry)
    return TypeAdapter(tuple[HistoryEntry, ...])


def _decoded(data: bytes, path: Path) -> tuple[HistoryEntry, ...]:
    from pydantic import ValidationError

    try:
        document = strict_json.loads(data, item=str(path), depth=8, names=_JOURNAL)
        entries: tuple[HistoryEntry, ...] = _adapter().validate_json(
            strict_json.canonical(document["bundles"])
        )
    except (ValidationError, LookupError, TypeError) as error:
        cause = printable(f"not the journal of a store: {type(error).__name__}")
        raise ContentError(
            str(path), cause, "remove it: it is only a log of the bundles that were written"
        ) from None
    return entries
