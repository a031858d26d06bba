"""The order in which bundles are to be imported, by what they build on and what they follow.

A *state* is the id of the full bundle that a bundle and its bases make together. Bundles that make the same
state stand for each other: a merged bundle and the chain that it was made of, a new full bundle and the
delta that it replaces.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

from bundler.bundle.inventory import Inventory, Predecessor, roots_of
from bundler.deltas.departed import name_of
from bundler.errors import UsageError
from bundler.oci import Digest
from bundler.trust.bundle_signing import moment_at
from bundler.trust.statement import Statement


class FoundBundle(NamedTuple):
    """A bundle that may be imported, as its inventory and statement describe it."""

    path: Path
    id: Digest
    inventory: Inventory
    statement: Statement | None = None
    """What it says of itself; not proven here."""

    @property
    def state(self) -> Digest:
        """Return the state that it makes; its own id where that is not known."""
        return self.inventory.state or self.id

    @property
    def name(self) -> str:
        """Return the name of its file or folder."""
        return self.path.name or str(self.path)


Action = Literal["import", "skip"]


class OrderedBundle(NamedTuple):
    """A bundle in its place, and what is to be done with it."""

    bundle: FoundBundle
    action: Action
    reason: str = ""
    """Why it is skipped."""


class Gap(NamedTuple):
    """A bundle that can't be imported, because one that it builds on is missing."""

    bundle: FoundBundle
    missing: tuple[Digest, ...]
    before: Predecessor | None
    """What the bundle says of the missing one."""

    @property
    def cause(self) -> str:
        """Return which file is missing: by job, number, date, name and id."""
        ids = " and ".join(self.missing)
        if self.before is None or self.before.id not in self.missing:
            return f"it builds on bundle {ids}, which was not imported and is not here"
        day = moment_at(self.before.time)[:16].replace("T", " ")
        file = self.before.file or "a bundle without a file name"
        return f"{file} is missing: bundle {self.before.number} of job {self.before.job}, {day} UTC, {ids}"


class ImportOrder(NamedTuple):
    """Several bundles in their order, with the action for each."""

    bundles: tuple[OrderedBundle, ...]
    gaps: tuple[Gap, ...] = ()
    warnings: tuple[str, ...] = ()
    lineage: tuple[FoundBundle, ...] = ()
    """The bundles that led to what the target has after this, those imported earlier too; oldest first."""

    @property
    def to_import(self) -> list[FoundBundle]:
        """Return the bundles to import, in order."""
        return [item.bundle for item in self.bundles if item.action == "import"]


def order_bundles(bundles: Sequence[FoundBundle], imported: Collection[str]) -> ImportOrder:
    """Return the order; `imported` has the ids of bundles and states that the target has.

    Raises: UsageError for two bundles of which nothing says which is newer.
    """
    return _Ordering(bundles, frozenset(imported)).result()


class _Ordering:
    """The bundles by state, and the edges between states."""

    def __init__(self, bundles: Sequence[FoundBundle], imported: frozenset[str]) -> None:
        self._imported = imported
        self._first = {bundle.id: bundle for bundle in reversed(bundles)}
        self._copies = [bundle for bundle in bundles if self._first[bundle.id] is not bundle]
        self._by_state: dict[Digest, list[FoundBundle]] = {}
        for bundle in self._first.values():
            self._by_state.setdefault(bundle.state, []).append(bundle)
        self._complete: set[Digest] = set()
        self._sequence = _by_sequence(self._first.values())
        self._ordered = self._sorted()
        self._done = self._find_done()
        self._connected: set[Digest] = set()
        self._find_complete()

    def _stand_ins(self, bundle: FoundBundle) -> list[FoundBundle]:
        """Return the bundles here that make the same as all bases of a delta."""
        state = bundle.inventory.base_state
        same = self._by_state.get(state, []) if state else []
        return [other for other in same if other is not bundle and other.id not in bundle.inventory.base]

    def _bases(self, bundle: FoundBundle) -> list[FoundBundle]:
        """Return the bundles here that a delta is to be imported after: its bases, or a stand-in."""
        inventory = bundle.inventory
        bases = [self._first[id_] for id_ in inventory.base if id_ in self._first]
        whole = len(bases) == len(inventory.base) and self._complete.issuperset(inventory.base)
        stand_ins = [other for other in self._stand_ins(bundle) if other.id in self._complete]
        return bases if whole or not stand_ins else stand_ins[:1]

    def _before(self, bundle: FoundBundle) -> list[FoundBundle]:
        """Return the bundles here that are older than this one."""
        followed = [self._first[item.id] for item in bundle.inventory.follows if item.id in self._first]
        previous = self._sequence.get(bundle.id)
        bases = [self._first[id_] for id_ in bundle.inventory.base if id_ in self._first]
        return [*bases, *self._stand_ins(bundle), *followed, *([previous] if previous else [])]

    def _sorted(self) -> list[FoundBundle]:
        """Return the bundles, each behind all that are older; by id where nothing orders them."""
        ordered: dict[Digest, FoundBundle] = {}
        started: set[Digest] = set()
        for first in sorted(self._first.values(), key=lambda bundle: bundle.id):
            waiting = [first]
            while waiting:
                bundle = waiting[-1]
                if bundle.id in ordered:
                    waiting.pop()
                elif bundle.id in started:
                    ordered[waiting.pop().id] = bundle
                else:
                    # What it says of its state is a claim: nothing may stand before itself by that.
                    started.add(bundle.id)
                    waiting += [other for other in self._before(bundle) if other.id not in started]
        return list(ordered.values())

    def _find_done(self) -> dict[Digest, str]:
        """Return why bundles need no import: they were imported, or something newer was."""
        done: dict[Digest, str] = {}
        for bundle in reversed(self._ordered):
            if bundle.id in self._imported or bundle.state in self._imported:
                done[bundle.id] = "imported before"
            if bundle.id in done:
                for other in self._before(bundle):
                    done.setdefault(other.id, f"older than {bundle.name}, which was imported before")
        return done

    def _find_complete(self) -> None:
        """Find the bundles whose bases are imported or here, and those that continue what was imported."""
        for bundle in self._ordered:
            bases, inventory = self._bases(bundle), bundle.inventory
            if bundle.id in self._done:
                self._complete.add(bundle.id)
                self._connected.add(bundle.id)
                continue
            if inventory.kind == "full":
                self._complete.add(bundle.id)
                followed = {item.id for item in inventory.follows}
                if followed & (self._connected | self._imported):
                    self._connected.add(bundle.id)
                continue
            here = {base.id for base in bases}
            missing = [id_ for id_ in inventory.base if id_ not in here and id_ not in self._imported]
            replaced = bool(here) and not here & {*inventory.base}
            stands_in = replaced or inventory.base_state in self._imported
            if (stands_in or not missing) and here <= self._complete:
                self._complete.add(bundle.id)
            if (stands_in or not missing) and here <= self._connected:
                self._connected.add(bundle.id)

    def result(self) -> ImportOrder:
        """Return the order. Raises UsageError."""
        newest = self._newest()
        needed = self._needed(newest)
        self._refuse_unordered([bundle for bundle in newest if bundle.id in needed], needed)
        beyond = [bundle for bundle in self._ordered if self._has_gap(bundle)]
        gaps = tuple(gap for bundle in beyond if (gap := self._gap(bundle)).missing)
        bundles = [
            OrderedBundle(bundle, "skip", "it builds on what is missing")
            if bundle in beyond
            else self._placed(bundle, needed)
            for bundle in self._ordered
        ]
        copies = (
            OrderedBundle(copy, "skip", f"the same bundle as {self._first[copy.id].name}")
            for copy in self._copies
        )
        lineage = [bundle for bundle in self._ordered if bundle.id in needed or bundle.id in self._done]
        return ImportOrder((*bundles, *copies), gaps, tuple(self._unknown_nights(needed)), tuple(lineage))

    def _newest(self) -> list[FoundBundle]:
        """Return complete bundles that no other complete one follows; one of those that make the same."""
        older = {
            before.id
            for bundle in self._ordered
            if bundle.id in self._complete
            for before in self._before(bundle)
        }
        tips: dict[Digest, FoundBundle] = {}
        made_by_older = {bundle.state for bundle in self._ordered if bundle.id in older}
        for bundle in self._ordered:
            passed = bundle.id in older or bundle.state in made_by_older
            if bundle.id in self._complete and (bundle.id in self._connected or bundle.state not in tips):
                tips |= {} if passed else {bundle.state: bundle}
        return list(tips.values())

    def _needed(self, newest: Iterable[FoundBundle]) -> set[Digest]:
        """Return the bundles that lead to the newest ones, from what was imported or from a full bundle."""
        needed: set[Digest] = set()
        waiting = list(newest)
        while waiting:
            bundle = waiting.pop()
            if bundle.id in needed or bundle.id in self._done:
                continue
            needed.add(bundle.id)
            waiting += self._bases(bundle)
            if bundle.id in self._connected or bundle.inventory.kind == "delta":
                waiting += [other for other in self._before(bundle) if other.id in self._connected]
        return needed

    def _has_gap(self, bundle: FoundBundle) -> bool:
        """Return True for a bundle with a missing base that no later full bundle makes unnecessary."""
        if any(other.id in self._complete for other in self._by_state[bundle.state]):
            return False
        later = {bundle.id}
        for other in self._ordered:
            if later & {before.id for before in self._before(other)}:
                if other.id in self._complete:
                    return False
                later.add(other.id)
        return True

    def _gap(self, bundle: FoundBundle) -> Gap:
        missing = tuple(
            id_ for id_ in bundle.inventory.base if id_ not in self._imported and id_ not in self._first
        )
        return Gap(bundle, missing, next(iter(bundle.inventory.follows), None))

    def _placed(self, bundle: FoundBundle, needed: Collection[Digest]) -> OrderedBundle:
        if bundle.id in needed:
            return OrderedBundle(bundle, "import")
        if bundle.id in self._done:
            return OrderedBundle(bundle, "skip", self._done[bundle.id])
        for other in self._ordered:
            if other.id in needed and other.state == bundle.state:
                return OrderedBundle(bundle, "skip", f"{other.name} makes the same")
        return OrderedBundle(bundle, "skip", "a newer full bundle makes it unnecessary")

    def _unknown_nights(self, needed: Collection[Digest]) -> Iterator[str]:
        """Yield a line for each new full bundle whose predecessor never came, if anything did before."""
        if not self._imported:
            return
        for bundle in self._ordered:
            full = bundle.inventory.kind == "full" and bundle.id in needed
            if full and bundle.inventory.follows and bundle.id not in self._connected:
                before = bundle.inventory.follows[0]
                after = f"{before.file or before.id} (bundle {before.number} of job {before.job})"
                yield (
                    f"{bundle.name}: begins a new chain after {after}, which was not imported: "
                    "tags that were deleted until then stay; compare `ls` of the target with `inspect` of it"
                )

    def _refuse_unordered(self, newest: Sequence[FoundBundle], needed: Collection[Digest]) -> None:
        """Raise UsageError for two chains that say different things of one tag."""
        positions: dict[object, tuple[Digest, FoundBundle]] = {}
        for bundle in newest:
            for name, digest in self._roots(bundle, needed).items():
                other, by = positions.setdefault(name, (digest, bundle))
                if other != digest:
                    cause = f"nothing says which is newer, {by.name} or this: both have {name[0]}:{name[1]}"
                    raise UsageError(bundle.name, cause, "import the older one first, by itself")

    def _roots(self, bundle: FoundBundle, needed: Collection[Digest]) -> Mapping[tuple[str, str], Digest]:
        """Return the tags that a bundle and the wanted ones before it make."""
        chain: dict[Digest, FoundBundle] = {}
        waiting = [bundle]
        while waiting:
            item = waiting.pop()
            if item.id not in chain:
                chain[item.id] = item
                waiting += [other for other in self._before(item) if other.id in needed]
        roots: dict[tuple[str, str], Digest] = {}
        for item in self._ordered:
            if item.id in chain:
                for entry in item.inventory.repositories:
                    for name in (*entry.removed, *entry.deselected):
                        roots.pop((entry.name, name), None)
                roots |= {name_of(root): root.digest for root in roots_of(item.inventory)}
        return roots


def _by_sequence(bundles: Iterable[FoundBundle]) -> dict[Digest, FoundBundle]:
    """Return the bundle before each signed one, by the sequence numbers of its job."""
    jobs: dict[str, list[FoundBundle]] = {}
    for bundle in bundles:
        if bundle.statement:
            jobs.setdefault(bundle.statement.job, []).append(bundle)
    before: dict[Digest, FoundBundle] = {}
    for signed in jobs.values():
        signed.sort(key=lambda bundle: bundle.statement.sequence if bundle.statement else 0)
        for older, newer in pairwise(signed):
            if older.statement and newer.statement and older.statement.sequence < newer.statement.sequence:
                before[newer.id] = older
    return before
