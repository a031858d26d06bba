"""A body on its way out: in small slices, and with an end to all of it.

A socket's time-out holds for all that it is given at once, so that a slow link, given much, would break;
and it starts anew with each slice, so that a peer could take bytes drop by drop for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from bundler.errors import NetworkError
from bundler.limits import KIB

SLICE = 64 * KIB
"""Bytes given to a socket at once; each has one time-out."""


class Outgoing:
    """`body` as the transport sends it; it is read once, from its start.

    Counts the time that sending takes, and not that in which the body is made: it may come out of a pipe.
    Raises NetworkError after `seconds` of it.
    """

    def __init__(
        self,
        body: bytes | Iterable[bytes | memoryview],
        size: int,
        item: str,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chunks = (body,) if isinstance(body, bytes) else body
        self._size = size
        self._item = item
        self._seconds = seconds
        self._clock = clock

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[memoryview]:
        sent, spent = 0, 0.0
        for part in self._slices():
            begun = self._clock()
            yield part
            spent += self._clock() - begun
            sent += len(part)
            if spent > self._seconds:
                taken = f"{sent:,} of {self._size:,} bytes in {self._seconds:.0f} s"
                cause = f"slower than the limit: it took {taken}"
                raise NetworkError(self._item, cause, "run the same command again to go on")

    def _slices(self) -> Iterator[memoryview]:
        for chunk in self._chunks:
            whole = memoryview(chunk)
            for start in range(0, len(whole), SLICE):
                yield whole[start : start + SLICE]
