"""The bytes that a run may move in a second, shared by all its threads, in both directions."""

import threading
import time
from collections.abc import Callable

BURST = 0.1
"""Seconds whose bytes may go at once after a pause."""


class RateLimit:
    """A token bucket: whoever takes more than there is waits until it has come in."""

    def __init__(
        self,
        rate: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate = rate
        """Bytes in a second."""
        self.waited = 0.0
        """Seconds that all threads have waited, added up."""
        self._clock = clock
        self._sleep = sleep
        self._paid_until = clock() - BURST
        self._lock = threading.Lock()

    def take(self, size: int) -> float:
        """Wait until this many bytes are covered; return the seconds that took. From any thread."""
        with self._lock:
            now = self._clock()
            self._paid_until = max(self._paid_until, now - BURST) + size / self.rate
            wait = max(self._paid_until - now, 0.0)
            self.waited += wait
        if wait:
            self._sleep(wait)
        return wait
