"""The place where an export keeps its blobs while it works: a store that stays, or one beside the output."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from tempfile import gettempdir

from bundler.bundle.bundle_output import BundleOutput
from bundler.bundle.inventory import Inventory, encode
from bundler.deltas.state import Base
from bundler.durable import check_ours
from bundler.errors import LocalError, UsageError
from bundler.file_system import beside
from bundler.named_files import check_new_folder
from bundler.store.blob_store import Store
from bundler.store.history import History, HistoryEntry

SUFFIX = ".store"


@dataclass
class StoreLocation:
    """A directory for blobs. A temporary one goes when nothing more is expected of it."""

    path: Path
    temporary: bool
    finished: bool = False
    """Whether a temporary one goes: at once where no later run would find it."""

    @contextmanager
    def opened(self) -> Iterator[Store]:
        """Open the store, locked. After an interruption, a temporary one stays for the next run, too.

        What was made for this run and holds nothing goes in any case.
        """
        check_ours(self.path)
        check_new_folder(self.path)
        was_there = self.path.exists()
        with Store(self.path, temporary=self.temporary) as store:
            try:
                yield store
            finally:
                if not self.finished:
                    with suppress(LocalError):
                        store.keep_held()
                superfluous = self.temporary if self.finished else not was_there and store.empty()
                if superfluous:
                    store.remove()

    def streams_into(self, out: BundleOutput) -> bool:
        """Return whether large blobs go straight into the output: nobody wants them in the store."""
        return self.temporary and out.streams

    def remember(self, entry: HistoryEntry, inventory: Inventory, base: Base | None, store: Store) -> None:
        """Record what was written and what it builds on, for later exports; not in a temporary store."""
        if self.temporary:
            return
        history = History(self.path)
        for link in base.from_files if base else ():
            for manifest in link.manifests.values():
                store.add_bytes(manifest.blob, manifest.data)
            store.sync()
            history.keep(link.id, encode(link.inventory))
        history.record(entry, encode(inventory))

    def looked_at(self) -> Store:
        """Return the store as it is, nothing created and nothing locked: for a dry run. Raises LocalError."""
        check_ours(self.path)
        check_new_folder(self.path)
        store = Store(self.path)
        store.check_free()
        return store


def store_location_of(out: BundleOutput, store: Path | None = None) -> StoreLocation:
    """Return where the blobs of an export go: the user's store, the output directory, or beside the file.

    Beside the file, because that is where the user has room; of a pipe, the small ones are in the folder for
    temporary files. Raises UsageError for a store that the output leaves no place for.
    """
    path = out.path
    if out.is_store and path is not None:
        if store is not None and store.resolve() != path.resolve():
            raise UsageError(out.name, "an output directory is its own store", "remove --store")
        return StoreLocation(path, temporary=False)
    if store is not None:
        return StoreLocation(store, temporary=False)
    if path is None and not out.streams:
        raise UsageError(
            "-", "a compact bundle on standard output needs a directory for its blobs", "add --store DIR"
        )
    if path is None:
        # A name that nobody foresees: the folder is often one that all users share.
        folder = Path(gettempdir()) / f"timoni-bundler-{token_hex(8)}{SUFFIX}"
        return StoreLocation(folder, temporary=True, finished=True)
    return StoreLocation(beside(path, "", SUFFIX), temporary=True)
