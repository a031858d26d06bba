"""Frames of the two spaces of a compact delta, each with the old versions of what is in it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from bundler.bundle.compacted.base_index import Place
from bundler.bundle.compacted.compact_format import (
    GROUP,
    LARGEST_GROUP,
    SECTION_FRAME,
    SHORTEST_PREFIX,
    evenly,
)
from bundler.bundle.compacted.spaces import Kept

_PIECE = LARGEST_GROUP // 2
"""Bytes of a file too large for one frame that are in one frame; its prefix is what stood around them."""


class PlannedGroup(NamedTuple):
    """A frame, and what stands before it for the compression."""

    start: int
    size: int
    prefix: tuple[Place, ...] = ()

    @property
    def prefix_size(self) -> int:
        """Bytes of the prefix."""
        return sum(place.size for place in self.prefix)


def plain_groups(size: int, frame: int) -> Iterator[PlannedGroup]:
    """Yield the frames of a space without any prefix."""
    start = 0
    for length in evenly(size, frame):
        yield PlannedGroup(start, length)
        start += length


def header_groups(kept: Iterable[Kept], size: int) -> Iterator[PlannedGroup]:
    """Yield the frames of the header space, each behind the old headers of the entries that begin in it."""
    entries = list(kept)
    for group in plain_groups(size, SECTION_FRAME):
        inside = [entry for entry in entries if 0 <= entry.start - group.start < group.size]
        yield group._replace(prefix=_prefix(inside, SECTION_FRAME))


def content_groups(kept: Iterable[Kept]) -> Iterator[PlannedGroup]:
    """Yield the frames of the content space, each behind the old files; a large file stands alone."""
    group: list[Kept] = []
    new = old = 0
    for file in kept:
        before = file.old.size if file.old else 0
        large = max(file.size, before) > GROUP
        if large or new + file.size > GROUP or old + before > GROUP:
            yield from _together(group, new)
            group, new, old = [], 0, 0
        if large:
            yield from _alone(file)
        else:
            group.append(file)
            new, old = new + file.size, old + before
    yield from _together(group, new)


def _together(group: Sequence[Kept], size: int) -> Iterator[PlannedGroup]:
    if size:
        yield PlannedGroup(group[0].start, size, _prefix(group, GROUP))


def _alone(file: Kept) -> Iterator[PlannedGroup]:
    """Yield the frames of one file that is large, or was."""
    if file.old and max(file.size, file.old.size) <= LARGEST_GROUP:
        yield PlannedGroup(file.start, file.size, (file.old,))
        return
    for start in range(0, file.size, _PIECE):
        size = min(_PIECE, file.size - start)
        low = max(start - _PIECE // 2, 0)
        high = min(start + _PIECE + _PIECE // 2, file.old.size if file.old else 0)
        if file.old and high - low >= SHORTEST_PREFIX:
            yield PlannedGroup(file.start + start, size, (Place(file.old.offset + low, high - low),))
        else:
            for group in plain_groups(size, GROUP):
                yield group._replace(start=file.start + start + group.start)


def _prefix(entries: Iterable[Kept], most: int) -> tuple[Place, ...]:
    """Return the old versions, each once, up to a number of bytes; none if they are too short together."""
    places: list[Place] = []
    total = 0
    for place in dict.fromkeys(entry.old for entry in entries if entry.old):
        if total + place.size <= most:
            places.append(place)
            total += place.size
    return tuple(places) if total >= SHORTEST_PREFIX else ()
