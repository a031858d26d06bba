"""A second opinion on versions, ranges and the newest, which shares no code with the package.

Versions are plain tuples. A comparator is judged by the numbers that it names (`<=1.2`: the first two
numbers are at most 1.2), where the package turns it into bounds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

Labels = tuple[tuple[int, int | str], ...]

Key = tuple[tuple[int, int, int], tuple[int, Labels]]

SEMVER = re.compile(
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(?:-((?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:_[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)


def key(tag: str) -> Key | None:
    """Precedence by SemVer 2, section 11, of a tag that is a version."""
    match = SEMVER.fullmatch(tag)
    if not match:
        return None
    numbers = (int(match[1]), int(match[2]), int(match[3]))
    if match[4] is None:
        return (numbers, (1, ()))
    return (numbers, (0, _labels(match[4])))


def is_prerelease(version: Key) -> bool:
    return version[1][0] == 0


class Comparator(NamedTuple):
    """`operator` and a version of which perhaps only the first numbers are known."""

    operator: str
    numbers: tuple[int, ...]
    prerelease: str = ""

    @property
    def text(self) -> str:
        return ".".join(map(str, self.numbers)) + self.prerelease if self.numbers else "*"

    @property
    def exact(self) -> Key | None:
        return key(self.text)

    def holds(self, version: Key, *, prereleases: bool) -> bool:
        if not self.numbers:
            return self.operator not in ("<", ">")
        if self.exact:
            return self._exactly(version, self.exact)
        return self._by_block(version, prereleases=prereleases)

    def _exactly(self, version: Key, exact: Key) -> bool:
        kept = 2 if self.operator == "~" else next((n for n in (1, 2, 3) if any(self.numbers[:n])), 3)
        verdicts: dict[str, Callable[[], bool]] = {
            "": lambda: version == exact,
            "=": lambda: version == exact,
            "<": lambda: version < exact,
            "<=": lambda: version <= exact,
            ">": lambda: version > exact,
            ">=": lambda: version >= exact,
        }
        in_reach = version >= exact and version[0][:kept] == self.numbers[:kept]
        return verdicts.get(self.operator, lambda: in_reach)()

    def _by_block(self, version: Key, *, prereleases: bool) -> bool:
        width = len(self.numbers)
        block = version[0][:width]
        # Without pre-releases a block begins with its first release: only there npm's exception can tell.
        behind = self.operator == ">"
        floor = (*self.numbers[:-1], self.numbers[-1] + behind, 0, 0)[:3]
        above = prereleases or version[0] > floor or (version[0] == floor and not is_prerelease(version))
        if self.operator == "^":
            kept = next((n for n in range(1, width + 1) if any(self.numbers[:n])), width)
            return block >= self.numbers and block[:kept] == self.numbers[:kept] and above
        verdicts = {
            "<": block < self.numbers,
            "<=": block <= self.numbers,
            ">": block > self.numbers and above,
            ">=": block >= self.numbers and above,
        }
        return verdicts.get(self.operator, block == self.numbers and above)


class Part(NamedTuple):
    """Comparators that must all hold."""

    comparators: tuple[Comparator, ...]
    hyphen: bool = False

    @property
    def text(self) -> str:
        if self.hyphen:
            low, high = self.comparators
            return f"{low.text} - {high.text}"
        return " ".join(comparator.operator + comparator.text for comparator in self.comparators)


def in_range(version: Key, parts: Iterable[Part], *, prereleases: bool) -> bool:
    def holds(part: Part) -> bool:
        if not all(comparator.holds(version, prereleases=prereleases) for comparator in part.comparators):
            return False
        named = {
            comparator.exact[0]
            for comparator in part.comparators
            if comparator.exact and comparator.prerelease
        }
        return prereleases or not is_prerelease(version) or version[0] in named

    return any(map(holds, parts))


def glob_matches(glob: str, tag: str) -> bool:
    """`*`, `?` and the letters themselves, tried in every way."""
    if not glob:
        return not tag
    if glob[0] == "*":
        return any(glob_matches(glob[1:], tag[at:]) for at in range(len(tag) + 1))
    return bool(tag) and glob[0] in ("?", tag[0]) and glob_matches(glob[1:], tag[1:])


def newest(versions: Collection[str], most: int, width: int) -> set[str]:
    """Those before which fewer than `most` of the same group stand; build metadata decides between equals."""

    def standing(tag: str) -> tuple[Key, Labels, str]:
        own = key(tag)
        assert own
        return own, _labels(tag.partition("_")[2]), tag

    def rank(tag: str) -> int:
        own = standing(tag)
        others = [other for other in map(standing, versions) if other[0][0][:width] == own[0][0][:width]]
        return sum(other > own for other in others)

    return {tag for tag in versions if rank(tag) < most}


def _labels(text: str) -> Labels:
    parts = text.split(".") if text else []
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts)
