"""The habits of a registry with lists: whether it cuts them without a word."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENOUGH = 2
"""Whole lists of one length: hardly would so many end right where a registry cuts."""


class ListHabits:
    """The knowledge of one run about one kind of lists of one host, for all threads that read them."""

    def __init__(self) -> None:
        self.are_cut = False
        """Found out: this registry cuts lists, and says nothing."""
        self.have_links = False
        """Found out: this registry sends a `Link` where it cuts a list."""
        self._is_useless = False
        """Found out: this registry doesn't understand the question: it repeats the list, or refuses."""
        self._longest_whole = 0
        self._as_long = 0
        """The number of whole lists that are as long as the longest."""
        self._asking = threading.Lock()

    @contextmanager
    def doubted(self, length: int, *, believed: bool) -> Iterator[bool]:
        """Yield whether a list of so many names, without `Link`, may be cut; `note` the answer inside.

        Lists of a registry that may be `believed` wait for each other: the answer for one may do for all.
        """
        if self.are_cut or not believed or self._stays_in_doubt(length):
            yield True
            return
        with self._asking:
            yield self._may_be_cut(length)

    def _may_be_cut(self, length: int) -> bool:
        if self.are_cut or self.have_links or self._is_useless:
            return self.are_cut
        if length != self._longest_whole:
            return length > self._longest_whole
        return self._as_long < ENOUGH or _is_usual(length)

    def _stays_in_doubt(self, length: int) -> bool:
        return length == self._longest_whole and self._may_be_cut(length) and _is_usual(length)

    def note_cut(self) -> None:
        """Note that a question brought more."""
        self.are_cut = True

    def note_whole(self, length: int) -> None:
        """Note that a question for what follows so many names brought nothing new."""
        self._as_long = 1 + (self._as_long if length == self._longest_whole else 0)
        self._longest_whole = max(self._longest_whole, length)

    def note_useless(self) -> None:
        """Note that this registry can't be asked: it repeats the list, or refuses."""
        self._is_useless = True


def _is_usual(length: int) -> bool:
    """Return whether many whole lists may end at this length, and registries and proxies cut there too."""
    power_of_two = length & (length - 1) == 0
    return length <= 10 or length % 25 == 0 or power_of_two
