"""The bundles that a store made, as its journal and the files themselves show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundler.bundle.inventory_reader import decode
from bundler.deltas.retention import files_of
from bundler.durable import local_errors
from bundler.errors import BundlerError
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import Digest
from bundler.store.history import History, HistoryEntry
from bundler.trust.bundle_signing import moment_at


@dataclass(frozen=True, slots=True)
class ListedBundle:
    """One bundle that the store made."""

    id: str
    """sha256 of its inventory."""
    job: str
    number: int
    """Number of the bundle among those of its job."""
    time: str
    """When it was written (RFC 3339), by the clock of the machine that wrote it."""
    kind: Literal["full", "delta"] | None
    """Null if the store no longer has its inventory."""
    tags: int | None
    """Tags in it; null if the store no longer has its inventory."""
    bytes: int | None
    """Bytes of the file, or of all volumes together; null for a directory or a pipe."""
    base: tuple[str, ...]
    """Ids of the bundles that it builds on."""
    path: str | None
    """The file that it was written to; null for a pipe."""
    present: bool
    """True if there is still a file of that name, or volumes."""
    needed_by: tuple[str, ...]
    """Ids of the bundles that build on it, and that the store made too."""


@dataclass(frozen=True, slots=True)
class StoreList:
    """All bundles that a store made and remembers."""

    store: str
    bundles: tuple[ListedBundle, ...]
    """Oldest first."""


def list_bundles(store: Path, limits: Limits = DEFAULT_LIMITS) -> StoreList:
    """Return every bundle of a store's journal; the store is not locked, and no bundle is opened.

    Raises ContentError for a damaged journal, LocalError.
    """
    history = History(store)
    entries = list({(entry.id, entry.job, entry.path): entry for entry in history.entries()}.values())
    return StoreList(str(store), tuple(_listed(entry, entries, history, limits) for entry in entries))


def _listed(
    entry: HistoryEntry, entries: Sequence[HistoryEntry], history: History, limits: Limits
) -> ListedBundle:
    kind, tags = _content(entry.id, history, limits)
    files = files_of(entry)
    return ListedBundle(
        entry.id,
        entry.job,
        entry.number,
        moment_at(entry.time),
        kind,
        tags,
        _size_of(files) if files else entry.size,
        entry.base,
        entry.path,
        bool(files) or bool(entry.path and Path(entry.path).exists()),
        tuple(dict.fromkeys(_builders(entry.id, entries))),
    )


def _content(
    id_: Digest, history: History, limits: Limits
) -> tuple[Literal["full", "delta"] | None, int | None]:
    data = history.inventory(id_)
    try:
        inventory = decode(data, limits=limits) if data else None
    except BundlerError:
        inventory = None
    if inventory is None:
        return None, None
    return inventory.kind, sum(len(entry.tags) for entry in inventory.repositories)


def _size_of(files: Sequence[Path]) -> int:
    total = 0
    for file in files:
        with local_errors(file, "read"):
            total += file.stat().st_size
    return total


def _builders(id_: Digest, entries: Sequence[HistoryEntry]) -> Iterator[str]:
    yield from (entry.id for entry in entries if id_ in entry.base)
