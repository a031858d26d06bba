"""Version ranges as npm writes them. No I/O.

A comparator is brought back to plain bounds. A partial version (`6`, `6.1`, `6.1.x`) stands for a block
of versions, its pre-releases included; a whole one is a point in the order of SemVer 2. `X-0` is the
first version of a block, because no pre-release comes before `0`. Written here because the NpmSpec of
semantic-version takes 7.0.0-rc.1 for `<7`, and 1.2.3 for `1.2.3-beta`.
Source: npm, node-semver, README, "Ranges"; docs/choosing-tags.md lists what differs from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import takewhile
from operator import ge, gt, le, lt
from typing import NamedTuple

from bundler.selection.semver import Version

_OPERATOR = r"(<=?|>=?|=|\^|~>?)"

_NUMBER = r"([xX*]|0|[1-9][0-9]*)"

_LABELS = r"[0-9A-Za-z.-]+"

_POINT = rf"v?{_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}(-{_LABELS})?(?:\+{_LABELS})?)?)?"

_BOUNDS = {"<": lt, "<=": le, ">": gt, ">=": ge}

_FIRST = "-0"


class _Comparator(NamedTuple):
    """A plain bound."""

    holds: Callable[[Version, Version], bool]
    version: Version

    def names_prerelease_of(self, version: Version) -> bool:
        """Return whether the bound is a pre-release of the same major.minor.patch."""
        return bool(self.version.prerelease) and self.version.release() == version.release()


class Range(NamedTuple):
    """A range that `parse_range` read."""

    parts: tuple[tuple[_Comparator, ...], ...]
    """One of them must hold, with all its bounds."""
    prereleases: bool

    def holds(self, version: Version) -> bool:
        """Return whether the version is in the range."""
        return any(self._part_holds(part, version) for part in self.parts)

    def _part_holds(self, part: tuple[_Comparator, ...], version: Version) -> bool:
        if not all(bound.holds(version, bound.version) for bound in part):
            return False
        # npm: who names a pre-release of 1.2.3 means those of 1.2.3, and of no other version.
        seen = self.prereleases or not version.prerelease
        return seen or any(bound.names_prerelease_of(version) for bound in part)


def parse_range(text: str, *, prereleases: bool) -> Range:
    """Read `>=6.10 <7`, `^1.2`, `1.x || >=3`, `1.2 - 1.4`. Raises ValueError that says which part is wrong.

    Without `prereleases` a pre-release is in the range only by npm's exception.
    """
    low = _FIRST if prereleases else ""
    return Range(tuple(_part(part, low) for part in text.split("||")), prereleases)


def _part(text: str, low: str) -> tuple[_Comparator, ...]:
    ends = re.split(r"\s+-\s+", text.strip())
    if len(ends) == 2:
        return (*_bounds(">=", _point(ends[0]), low), *_bounds("<=", _point(ends[1]), low))
    words = re.sub(rf"{_OPERATOR}\s+", r"\1", text).split()
    if not words:
        raise ValueError("a part of it is empty; '*' is every version")
    return tuple(bound for word in words for bound in _comparator(word, low))


def _comparator(word: str, low: str) -> tuple[_Comparator, ...]:
    operator = re.match(f"{_OPERATOR}?", word)
    assert operator
    return _bounds(operator[0], _point(word[operator.end() :]), low)


# --- points and blocks -----------------------------------------------------------------------------


class _Point(NamedTuple):
    """A version as far as it is written: three numbers, or a block of fewer."""

    numbers: tuple[int, ...]
    prerelease: str = ""

    @property
    def whole(self) -> bool:
        return len(self.numbers) == 3

    def first(self, low: str) -> Version:
        """Return the version itself, or the first of the block."""
        major, minor, patch = (*self.numbers, 0, 0, 0)[:3]
        return Version.parse(f"{major}.{minor}.{patch}{self.prerelease if self.whole else low}")

    def block(self, width: int) -> _Point:
        """Return the block around it that its first numbers name."""
        return _Point(self.numbers[:width])

    def following(self) -> _Point:
        """Return the point right behind the block."""
        *front, last = self.numbers
        return _Point((*front, last + 1))

    @property
    def significant(self) -> int:
        """Return how many numbers `^` keeps: up to the first that is not 0, or all."""
        return next((at for at, number in enumerate(self.numbers, 1) if number), len(self.numbers))


def _point(text: str) -> _Point:
    match = re.fullmatch(_POINT, text)
    if not match:
        raise ValueError(f"{text!r} is not a version, whole or partial")
    written = [number for number in match.groups()[:3] if number]
    numbers = tuple(int(number) for number in takewhile(str.isdigit, written))
    if any(map(str.isdigit, written[len(numbers) :])):
        raise ValueError(f"{text!r} has a number after an x")
    point = _Point(numbers, match[4] or "")
    point.first("")
    return point


def _bounds(operator: str, point: _Point, low: str) -> tuple[_Comparator, ...]:
    """Return the plain bounds of one comparator; `low` is the suffix with which a block begins."""
    if not point.numbers:
        return (_before(_Point((0,))),) if operator in ("<", ">") else ()
    if operator in _BOUNDS:
        return (_bound(operator, point, low),)
    start = _Comparator(ge, point.first(low))
    if operator in ("", "="):
        end = _Comparator(le, start.version) if point.whole else _before(point.following())
    else:
        end = _before(point.block(point.significant if operator == "^" else 2).following())
    return start, end


def _bound(operator: str, point: _Point, low: str) -> _Comparator:
    if point.whole or operator == ">=":
        return _Comparator(_BOUNDS[operator], point.first(low))
    if operator == ">":
        return _Comparator(ge, point.following().first(low))
    return _before(point if operator == "<" else point.following())


def _before(block: _Point) -> _Comparator:
    """Return the bound below the block and its pre-releases."""
    return _Comparator(lt, _Point((*block.numbers, 0, 0, 0)[:3], _FIRST).first(""))
