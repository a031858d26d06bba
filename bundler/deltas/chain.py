"""Bundles by id, each behind what it builds on: those that were named, the store's memory, files beside.

A full bundle stands for the chain that it was merged of, and a chain for the full bundle that it makes: a
delta says by its `baseState` and `state` which that is.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from bundler.bundle.inventory import BUNDLE_SUFFIX, COMPACT_SUFFIX
from bundler.bundle.inventory_reader import decode
from bundler.bundle.manifest_pool import ChainEntry, ManifestPool, chain_entry_of
from bundler.deltas.existing_bundle import open_bundle
from bundler.durable import local_errors
from bundler.errors import BundlerError, UsageError
from bundler.ledger.receipt import Receipt, decode_receipt
from bundler.limits import Limits
from bundler.oci import Digest
from bundler.store.blob_store import Store
from bundler.store.history import History
from bundler.volumes.volume_sets import sets_in


class DeltaChain:
    """All bundles that are at hand."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self.from_files: dict[Digest, ChainEntry] = {}
        """Bundles that were read from their files."""
        self._store = store
        self._history = History(store.path)
        self._limits = limits
        self._pool = ManifestPool(limits)
        self._links: dict[Digest, ChainEntry] = {}
        self._folders: list[Path] = []
        self._beside: dict[Digest, Path] = {}
        self._making: dict[Digest, Path] = {}

    def receipt(self, path: Path) -> Receipt:
        """Read a receipt."""
        with local_errors(path, "read"), path.open("rb") as file:
            data = file.read(self._limits.inventory + 1)
        return decode_receipt(data, str(path), self._limits)

    def opened(self, name: str) -> Digest:
        """Return the id of a bundle that was named by id or by path."""
        if Digest.grammar.fullmatch(name):
            return Digest(name)
        path = Path(name)
        self._folders.append(path.absolute().parent)
        return self._read(path)

    def _read(self, path: Path) -> Digest:
        from bundler.bundle.manifest_pool import read_chain_entry
        from bundler.bundle.unpacked import check_own_layout

        check_own_layout(path)
        with open_bundle(path, self._limits) as bundle:
            self._links[bundle.id] = self.from_files[bundle.id] = read_chain_entry(bundle, self._pool)
            return bundle.id

    def to(self, id_: Digest, *, gaps: bool = False) -> list[ChainEntry]:
        """Return a bundle behind all that it builds on.

        Raises UsageError that names what is not at hand; with `gaps`, that is passed over.
        """
        ordered: dict[Digest, ChainEntry] = {}
        waiting = self._at_hand((id_,), None, waiting=(), gaps=gaps)
        while waiting:
            link = self._links[waiting[-1]]
            bases = link.inventory.base, link.inventory.base_state
            below = self._at_hand(*bases, waiting=waiting, gaps=gaps)
            if missing := [base for base in below if base not in ordered]:
                waiting += reversed(missing)
            else:
                ordered[waiting.pop()] = link
        return list(ordered.values())

    def _at_hand(
        self, ids: Sequence[Digest], whole: Digest | None, *, waiting: Sequence[Digest], gaps: bool
    ) -> list[Digest]:
        """Return the bundles themselves, or the one that makes the same as all of them, which is `whole`."""
        stand_ins = {id_: self._same_as(id_, waiting) for id_ in ids}
        at_hand = [stand_in for stand_in in stand_ins.values() if stand_in]
        if len(at_hand) < len(stand_ins):
            if whole and (stand_in := self._same_as(whole, waiting)):
                return [stand_in]
            if not gaps:
                lost = next(id_ for id_, stand_in in stand_ins.items() if not stand_in)
                cause = (
                    f"{waiting[0]} builds on it, and it is not at hand" if waiting else "it is not at hand"
                )
                raise UsageError(
                    f"bundle {lost}", cause, "name its file as --base too, or export a full bundle"
                )
        return at_hand

    def _same_as(self, id_: Digest, waiting: Sequence[Digest]) -> Digest | None:
        """Return the id of a bundle that is at hand: this one, or the last of a chain that makes it."""
        if id_ not in self._links:
            self._remember(id_)
        if id_ not in self._links:
            self._look_beside(id_)
        if id_ in self._links:
            return id_
        # What a bundle says that it makes is a claim: nothing may stand on itself by that.
        return next((maker for maker in self._makers(id_) if maker not in waiting), None)

    def _makers(self, state: Digest) -> Iterator[Digest]:
        yield from [link.id for link in self._links.values() if link.inventory.state == state]
        for entry in self._history.entries():
            data = self._history.inventory(entry.id)
            if data and decode(data, limits=self._limits).state == state:
                self._remember(entry.id)
                yield entry.id
        if state in self._making:
            yield self._read(self._making[state])

    def _remember(self, id_: Digest) -> None:
        if data := self._history.inventory(id_):
            inventory = decode(data, limits=self._limits)
            stored = [blob for blob in inventory.manifests if self._store.has(blob)]
            self._links[id_] = chain_entry_of(id_, inventory, stored, self._store, self._pool)

    def _look_beside(self, id_: Digest) -> None:
        """Look for a bundle in the folders of the named ones; who is there is found out once."""
        while self._folders:
            folder = self._folders.pop()
            suffixes = (BUNDLE_SUFFIX, COMPACT_SUFFIX)
            files = [path for suffix in suffixes for path in sorted(folder.glob(f"*{suffix}"))]
            for path in [*files, *sets_in(folder)]:
                # Others are somebody else's files.
                with suppress(BundlerError), open_bundle(path, self._limits) as bundle:
                    self._beside[bundle.id] = path
                    if bundle.inventory.state:
                        self._making[bundle.inventory.state] = path
        if id_ in self._beside:
            self._read(self._beside[id_])
