"""Work beside the caller."""

from __future__ import annotations

from collections.abc import Iterator

from bundler.workers import AHEAD, each


def test_of_many_items_only_a_few_are_handed_out_early() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    found = each(items(), lambda number: -number, jobs=2)
    first = next(found)
    assert len(taken) == AHEAD * 2 + 1
    assert sorted([first, *found]) == sorted((number, -number) for number in range(1000))
