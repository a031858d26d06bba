"""Large answers are in memory a few at a time, and nobody waits for ever for a place."""

from __future__ import annotations

import threading

import pytest

from bundler.registry.large_bodies import PLACES, limit_large_bodies, take_place
from tests.doubles import PATIENCE


class _Counted:
    """Readers of large answers, and how many were inside at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = self.most = 0
        self.full = threading.Event()

    @limit_large_bodies
    def read(self) -> None:
        take_place()
        take_place()  # more of the same answer
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            if self.inside == PLACES:
                self.full.set()
        self.full.wait(PATIENCE)
        with self._lock:
            self.inside -= 1


def test_large_answers_are_read_a_few_at_a_time() -> None:
    counted = _Counted()
    threads = [threading.Thread(target=counted.read) for _ in range(4 * PLACES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert (counted.most, counted.inside) == (PLACES, 0)


def test_a_place_is_freed_by_the_outermost_reader_even_on_error() -> None:
    inner = limit_large_bodies(take_place)

    @limit_large_bodies
    def outer() -> None:
        inner()
        inner()
        raise ValueError("broken")

    for _ in range(2 * PLACES):
        with pytest.raises(ValueError, match="broken"):
            outer()


def test_who_is_no_reader_takes_no_place() -> None:
    assert [take_place() for _ in range(2 * PLACES)] == [0.0] * (2 * PLACES)
