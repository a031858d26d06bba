"""The tag lists of one run, and the doubts about those that their registry may have cut without a word."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from bundler.errors import BundlerError
from bundler.exporter.resolve.read_budget import ReadBudget, bounded, each_bounded
from bundler.oci import RegistryName, RepositoryName
from bundler.registry.repository import TagList
from bundler.session import Session
from bundler.workers import tried


class TagLists:
    """Tag lists by repository; none is read twice. For any number of threads.

    With `doubts_later`, a list is what its registry sent at first, and the reader settles the doubts.
    """

    def __init__(self, session: Session, budget: ReadBudget, *, doubts_later: bool) -> None:
        self._session = session
        self._budget = budget
        self._doubts_later = doubts_later
        self._read: dict[RepositoryName, TagList | BundlerError] = {}
        self._doubted: dict[RepositoryName, Iterator[TagList]] = {}
        """Iterators that ask on whether a list was cut."""
        self._changed: set[RepositoryName] = set()
        """Lists that turned out to be cut, or could not be read on."""

    def __getitem__(self, name: RepositoryName) -> TagList | BundlerError:
        return self._read[name]

    def get(self, name: RepositoryName) -> TagList | BundlerError | None:
        """Return a list, or why it could not be read; None if nobody asked for it."""
        return self._read.get(name)

    @property
    def doubted(self) -> frozenset[RegistryName]:
        """Return the registries with lists that are in doubt."""
        return frozenset(name.registry for name in list(self._doubted))

    def read(self, names: Collection[RepositoryName]) -> None:
        """Read the lists of these repositories that were not asked for yet, failures included.

        Raises: TooMuchError.
        """
        unread = [name for name in dict.fromkeys(names) if name not in self._read]
        self._read |= each_bounded(self._session, "tag lists", unread, self._first_list)

    def _first_list(self, name: RepositoryName) -> TagList:
        lists = self._session.registries.source(name).lists_of_tags(self._budget.count_names)
        first = next(lists)
        if not self._doubts_later:
            return next(lists, first)
        self._doubted[name] = lists
        return first

    def settle(self, registry: RegistryName) -> None:
        """Ask of the doubted lists of one registry whether they were cut, until one was.

        The longest first: if that is whole, so are most others, and nobody asks.

        Raises: TooMuchError.
        """
        names = [name for name in list(self._doubted) if name.registry == registry]
        for name in sorted(names, key=self._length, reverse=True):
            if self._settled(name):
                return

    def settle_all(self) -> bool:
        """Settle all doubts; return True if any list was cut, or could not be read on.

        Raises: TooMuchError.
        """
        for _ in each_bounded(self._session, "tag lists", list(self._doubted), self._settled):
            pass
        has_changed = bool(self._changed)
        self._changed.clear()
        return has_changed

    def _length(self, name: RepositoryName) -> int:
        tags = self._read[name]
        return len(tags.names) if isinstance(tags, TagList) else 0

    def _settled(self, name: RepositoryName) -> bool:
        """Ask on; return whether the list was cut, or could not be read on."""
        first, lists = self._read[name], self._doubted.pop(name, iter(()))
        answer = bounded(tried(lambda: next(lists, first)))
        if answer is not first:
            self._read[name] = answer
            self._changed.add(name)
        return answer is not first
