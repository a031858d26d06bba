"""Work beside the caller."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bundler.errors import NetworkError
from bundler.workers import AHEAD, Relay, Room, each


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


def test_a_relay_passes_more_than_its_room_in_order() -> None:
    relay, chunks = Relay(Room(10)), [bytes([number]) * 4 for number in range(100)]
    with ThreadPoolExecutor(1) as pool:
        passed = pool.submit(list, relay)
        for chunk in chunks:
            relay.put(chunk)
        relay.end()
        assert passed.result() == chunks


def test_whoever_reads_no_more_leaves_the_room_to_others() -> None:
    room = Room(10)
    first, second = Relay(room), Relay(room)
    first.put(bytes(10))
    first.leave()
    first.put(bytes(10))
    second.put(bytes(10))
    second.end()
    assert b"".join(second) == bytes(10)


def test_what_broke_off_does_not_look_whole() -> None:
    relay = Relay(Room(10))
    relay.put(b"some")
    relay.break_off(NetworkError("import", "the bundle broke off"))
    with pytest.raises(NetworkError, match="broke off"):
        list(relay)
