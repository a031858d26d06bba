"""Content of a store that jobs still need: the state of each job's last bundle, the memory of the others."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.inventory import INVENTORY_FILE
from bundler.bundle.inventory_reader import decode
from bundler.deltas.chain import DeltaChain
from bundler.deltas.retention import Keep, expired
from bundler.deltas.state import state_of
from bundler.errors import BundlerError, UsageError
from bundler.layout import INDEX_FILE
from bundler.limits import Limits
from bundler.oci import Digest, reached
from bundler.session import Session
from bundler.store.blob_store import Store, StoredBlob, remove, unneeded
from bundler.store.history import History, HistoryEntry


class Garbage(NamedTuple):
    """Blobs and bundles that nothing needs."""

    blobs: tuple[StoredBlob, ...]
    forgotten: tuple[HistoryEntry, ...]
    """Bundles that are remembered no more: they can't be a base by their id."""

    @property
    def size(self) -> int:
        """Return the bytes that would be freed."""
        return sum(blob.size for blob in self.blobs)


def find_garbage(store: Store, keep: Keep, session: Session) -> Garbage:
    """Return what nothing needs any more, once the bundles that `keep` does not name are forgotten.

    Raises UsageError for a directory that was pushed to: whose blobs its own index needs.
    """
    if (store.path / INDEX_FILE).exists() and not (store.path / INVENTORY_FILE).exists():
        raise UsageError(
            str(store.path),
            "this is the directory of a registry, not of an export",
            "name the directory given to `export --store`",
        )
    history, limits, now = History(store.path), session.limits, session.clock()
    entries = history.entries()
    jobs = dict.fromkeys(entry.job for entry in entries)
    forgotten = [entry for job in jobs for entry in expired(entries, job, keep, now)]
    stays = {entry.id for entry in entries} - {entry.id for entry in forgotten}
    lasts = [last.id for job in jobs if (last := history.last(job))]
    needed = {*_states(lasts, store, limits), *_remembered(stays, history, limits), *_own(store, limits)}
    return Garbage(tuple(unneeded(store, needed.__contains__)), tuple(forgotten))


def collect(store: Store, garbage: Garbage) -> None:
    """Remove it. The store's lock is held by the caller."""
    History(store.path).forget({entry.id for entry in garbage.forgotten})
    remove(store, garbage.blobs)


def _states(ids: list[Digest], store: Store, limits: Limits) -> Iterator[Digest]:
    """Yield everything that a full bundle of each state would hold."""
    for id_ in ids:
        # Of what is not at hand, a receipt's bundle, nothing is known that could go or stay.
        state = state_of(DeltaChain(store, limits).to(id_, gaps=True))
        for root in state.roots:
            for digest in reached(root.digest, state.manifests):
                yield digest
                if manifest := state.manifests.get(digest):
                    yield from (blob.digest for blob in manifest.blobs)


def _remembered(ids: set[Digest], history: History, limits: Limits) -> Iterator[Digest]:
    """Yield the manifests of bundles that can be a base, and of their bases: they tell its content."""
    waiting, seen = list(ids), set(ids)
    while waiting:
        if data := history.inventory(waiting.pop()):
            inventory = decode(data, limits=limits)
            yield from (blob.digest for blob in inventory.manifests)
            waiting += {*inventory.base} - seen
            seen.update(inventory.base)


def _own(store: Store, limits: Limits) -> Iterator[Digest]:
    """Yield what the directory itself holds as a bundle."""
    path: Path = store.path / INVENTORY_FILE
    if path.exists():
        try:
            inventory = decode(store.file(INVENTORY_FILE, limits.inventory), limits=limits)
        except BundlerError as error:
            raise UsageError(str(path), error.cause, "export it again first") from error
        yield from (blob.digest for blob in inventory.content)
