"""Large answers: a few at a time in memory, however many threads ask for them.

Usual documents are small, and are read side by side. Of large ones only a few are under way; whoever reads
more of one waits for a place, and keeps it until nothing of the document is held any more, or it is counted.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, wraps
from typing import ParamSpec, TypeVar

from bundler.limits import KIB

Result = TypeVar("Result")

Asked = ParamSpec("Asked")

LARGE = 128 * KIB
"""Bytes of an answer that is no usual one."""

PLACES = 2
"""Large answers that are in memory at a time."""


_M_MMAP_THRESHOLD = -3
"""As in glibc's malloc.h."""

_M_ARENA_MAX = -8

_POOLS = 3


class _Mine(threading.local):
    """State of the thread that asks."""

    depth = 0
    place = False


_mine = _Mine()

_places = threading.BoundedSemaphore(PLACES)


def limit_large_bodies(read: Callable[Asked, Result]) -> Callable[Asked, Result]:
    """Have a function give back the place that it took, at the end of the outermost such function."""

    @wraps(read)
    def with_a_place(*arguments: Asked.args, **more: Asked.kwargs) -> Result:
        _mine.depth += 1
        try:
            return read(*arguments, **more)
        finally:
            _mine.depth -= 1
            if _mine.depth == 0 and _mine.place:
                _mine.place = False
                _places.release()

    return with_a_place


def take_place() -> float:
    """Wait for a place if this thread has none; the seconds that took. Called below a function of `few`."""
    if _mine.place or not _mine.depth:
        return 0.0
    begun = time.monotonic()
    _places.acquire()
    _mine.place = True
    _give_back_what_is_freed()
    return time.monotonic() - begun


@cache
def _give_back_what_is_freed() -> None:
    """Have glibc ask the system for each large block, and give it back when it is freed.

    Otherwise every thread keeps the room of the largest documents that it had: twice the memory in all.
    """
    _tell_glibc(_M_MMAP_THRESHOLD, LARGE)


@cache
def share_freed_memory() -> None:
    """Have threads take memory from a few common pools: each would keep what it freed of long ranges.

    Called before the threads begin. It costs no time, as one of them runs at a time anyway.
    """
    _tell_glibc(_M_ARENA_MAX, _POOLS)


def _tell_glibc(parameter: int, value: int) -> None:
    import ctypes

    # Another C library has no such function, or no name for the program itself.
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(parameter, value)
