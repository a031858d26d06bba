"""Texts that came from files, places in them, and what could not be read there. No I/O."""

from bisect import bisect_right
from functools import cached_property
from typing import NamedTuple


class SourceText(NamedTuple):
    """A file's name, which says by its ending what it holds, and its text."""

    name: str
    text: str


class Unreadable(NamedTuple):
    """A place that can't be read without evaluating it, and what to do about it."""

    place: str
    what: str
    reason: str


class Places:
    """Turns offsets in a text into `file:line`."""

    def __init__(self, source: SourceText) -> None:
        self._source = source

    def at(self, offset: int) -> str:
        """Return the place of an offset in characters."""
        return f"{self._source.name}:{bisect_right(self._newlines, offset - 1) + 1}"

    @cached_property
    def _newlines(self) -> list[int]:
        return [at for at, letter in enumerate(self._source.text) if letter == "\n"]
