"""What a delta builds on: bundles, ids and receipts → what the other side has."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.inventory import BUNDLE_SUFFIX, Root, decode
from bundler.bundle.receipt import Receipt, decode_receipt
from bundler.bundle.state import Base, Link, ManifestPool, link_of, name_of, state_of
from bundler.bundle.volume_sets import sets_in
from bundler.durable import local_errors
from bundler.errors import BundlerError, UsageError
from bundler.exporter.replacing import open_bundle
from bundler.exporter.series import LAST, Series
from bundler.exporter.trusted import Trusted, trusted_of
from bundler.limits import Limits
from bundler.oci.content import Digest
from bundler.store import History, Store


def find_base(series: Series, store: Store, limits: Limits) -> Base | None:
    """The base that a series names; None for a full bundle.

    Raises UsageError for what is not at hand, and what a damaged bundle or receipt deserves.
    """
    names = [name for text in series.base if (name := _said(text, series.job, store))]
    if not names:
        return None
    chains = _Chains(store, limits)
    # All are opened before any is followed: one may be what another builds on.
    heads = {name: None if _is_receipt(name) else chains.opened(name) for name in names}
    told = [_told(name, head, chains) for name, head in heads.items()]
    roots = {name_of(root): root for one in told for root in one.roots}
    links = {link.id: link for one in told for link in one.links}
    state = state_of(links.values())
    return Base(
        tuple(dict.fromkeys(head for one in told for head in one.heads)),
        frozenset(roots.values()),
        state.manifests,
        frozenset(name_of(root) for root in state.roots) - roots.keys(),
        frozenset(digest for one in told for digest in one.omitted),
    )


class _Told(NamedTuple):
    """What one name says."""

    heads: tuple[Digest, ...]
    links: list[Link]
    roots: Iterable[Root]
    omitted: Iterable[Digest]


def _told(name: str, head: Digest | None, chains: _Chains) -> _Told:
    if head is None:
        receipt = chains.receipt(Path(name))
        return _Told(receipt.bundles, _at_hand(receipt.bundles, chains), receipt.roots, receipt.omitted)
    links = chains.to(head)
    omitted = (digest for link in links for digest in link.inventory.omitted)
    return _Told((head,), links, state_of(links).roots, omitted)


class Before(NamedTuple):
    """What earlier nights left to build on."""

    base: Base | None
    trusted: Trusted


def look_back(series: Series, store: Store, limits: Limits) -> Before:
    """The base, and what need not be asked for: by the base, or by what the job made last."""
    base = known = find_base(series, store, limits)
    if series.immutable and known is None:
        # What it builds on may be forgotten: then everything is asked for, as on the first night.
        with suppress(UsageError):
            known = find_base(series._replace(base=(LAST,)), store, limits)
    return Before(base, trusted_of(known, series.immutable))


def _said(text: str, job: str, store: Store) -> str | None:
    """The name of a base, `LAST` looked up."""
    if text != LAST:
        return text
    last = History(store.path).last(job)
    return last.id if last else None


def _is_receipt(name: str) -> bool:
    """By its first byte: a receipt is JSON, a bundle is not."""
    path = Path(name)
    if Digest.grammar.fullmatch(name) or not path.is_file():
        return False
    with local_errors(path, "read"), path.open("rb") as file:
        return file.read(1) == b"{"


def _at_hand(ids: Iterable[Digest], chains: _Chains) -> list[Link]:
    """What is known of a receipt's bundles: it says itself what is there, so they need not be at hand."""
    found: list[Link] = []
    for id_ in ids:
        with suppress(UsageError):
            found += chains.to(id_)
    return found


class _Chains:
    """Bundles by id: those that were named, those of the store's memory, and the files beside the named."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._history = History(store.path)
        self._limits = limits
        self._pool = ManifestPool(limits)
        self._links: dict[Digest, Link] = {}
        self._folders: list[Path] = []
        self._beside: dict[Digest, Path] = {}

    def receipt(self, path: Path) -> Receipt:
        """Read a receipt."""
        with local_errors(path, "read"), path.open("rb") as file:
            data = file.read(self._limits.inventory + 1)
        return decode_receipt(data, str(path), self._limits)

    def opened(self, name: str) -> Digest:
        """The id of a bundle that was named by id or by path."""
        if Digest.grammar.fullmatch(name):
            return Digest(name)
        path = Path(name)
        self._folders.append(path.absolute().parent)
        return self._read(path)

    def _read(self, path: Path) -> Digest:
        from bundler.bundle.links import read_link

        with open_bundle(path, self._limits) as bundle:
            self._links[bundle.id] = read_link(bundle, self._pool)
            return bundle.id

    def to(self, id_: Digest) -> list[Link]:
        """A bundle behind all that it builds on. Raises UsageError that names what is not at hand."""
        found: dict[Digest, Link] = {}
        waiting = [id_]
        while waiting:
            one = waiting[-1]
            link = self._find(one, id_)
            missing = [base for base in link.inventory.base if base not in found]
            if missing:
                waiting += reversed(missing)
            else:
                found[waiting.pop()] = link
        return list(found.values())

    def _find(self, id_: Digest, wanted: Digest) -> Link:
        if id_ not in self._links:
            self._remember(id_)
        if id_ not in self._links:
            self._look_beside(id_)
        if id_ not in self._links:
            cause = "it is not at hand" if id_ == wanted else f"{wanted} builds on it, and it is not at hand"
            raise UsageError(f"bundle {id_}", cause, "name its file as --base too, or export a full bundle")
        return self._links[id_]

    def _remember(self, id_: Digest) -> None:
        if data := self._history.inventory(id_):
            inventory = decode(data, limits=self._limits)
            there = [blob for blob in inventory.manifests if self._store.has(blob)]
            self._links[id_] = link_of(id_, inventory, there, self._store, self._pool)

    def _look_beside(self, id_: Digest) -> None:
        """Look for a bundle in the folders of the named ones; who is there is found out once."""
        while self._folders:
            folder = self._folders.pop()
            for path in [*sorted(folder.glob(f"*{BUNDLE_SUFFIX}")), *sets_in(folder)]:
                # Others are somebody else's files.
                with suppress(BundlerError), open_bundle(path, self._limits) as bundle:
                    self._beside[bundle.id] = path
        if id_ in self._beside:
            self._read(self._beside[id_])


def chain_in(store: Store, id_: Digest, limits: Limits) -> list[Link]:
    """A bundle behind all that it builds on, by the store's memory. Raises UsageError if that has gaps."""
    return _Chains(store, limits).to(id_)
