"""Sizes as pictures: the geometry of bars and columns, in percent. No I/O, no markup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bundler.page.contents import RepositoryPart, TagRow

MOST_COLUMNS = 60
"""Columns that can still be told apart on a sheet of paper."""
_GAP = 0.25
"""Of a column's room that stays empty."""
_WIDEST = 6.0
"""Percent: two versions are no two walls."""


class Segment(NamedTuple):
    """A piece of a bar: where it begins, and how long it is."""

    start: str
    length: str


class Bar(NamedTuple):
    """A bar of one or two pieces."""

    own: Segment
    shared: Segment


class Column(NamedTuple):
    """One tag: what it adds, and above it what an earlier tag has already. Heights from the ground."""

    left: str
    width: str
    new_top: str
    new_height: str
    old_top: str
    old_height: str


def percent(part: float, whole: float) -> str:
    """`12.34%`; nothing of nothing is `0.00%`."""
    return f"{100 * part / whole if whole else 0:.2f}%"


def bar_of(part: int, whole: int) -> Segment:
    """A bar from the left."""
    return Segment("0", percent(part, whole))


def repository_bar(entry: RepositoryPart, widest: int) -> Bar:
    """What a repository has alone, then what another needs too, against the largest repository."""
    own = entry.size - entry.shared_size
    return Bar(bar_of(own, widest), Segment(percent(own, widest), percent(entry.shared_size, widest)))


def columns(tags: Sequence[TagRow]) -> list[Column]:
    """A column for each of the newest tags, oldest first."""
    shown = tags[-MOST_COLUMNS:]
    highest = max((tag.size for tag in shown), default=0)
    step = min(100 / len(shown), _WIDEST) if shown else 0
    return [_column(tag, number * step, step * (1 - _GAP), highest) for number, tag in enumerate(shown)]


def _column(tag: TagRow, left: float, width: float, highest: int) -> Column:
    old = tag.size - tag.new_size
    return Column(
        f"{left:.2f}%",
        f"{width:.2f}%",
        percent(highest - tag.new_size, highest),
        percent(tag.new_size, highest),
        percent(highest - tag.size, highest),
        percent(old, highest),
    )
