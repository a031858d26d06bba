"""The one retry layer, the errors that it tries again, and the pace that a host asks for.

The sole user of tenacity.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from bundler.errors import NetworkError
from bundler.registry.settings import HostSettings, Traffic

if TYPE_CHECKING:
    import tenacity


Result = TypeVar("Result")

TOLD_EVERY = 1.0
"""Seconds in which one cause is told once of a host."""


class TransientError(NetworkError):
    """An error worth another try; `retry_after` is the server's wish in seconds, if it had one.

    `status` is that of the answer; 0 without one.
    """

    retry_after: float | None = None
    status: int = 0


class DroppedError(TransientError):
    """The connection ended before an answer began: on a reused one that is a usual race."""


class Deadline:
    """Seconds that something may take; what was waited meanwhile is added, up to `most` seconds.

    What `held_back` counts, waits by our own wish, is added without an end.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        waited: Callable[[], float],
        seconds: float,
        most: float,
        held_back: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._waited = waited
        self._most = most
        self._held_back = held_back
        self._before = waited()
        self._held_before = held_back()
        self._start = clock()
        self._seconds = seconds

    def excuse(self, seconds: float) -> None:
        """Add seconds in which whoever takes what comes was busy with it."""
        self._start += seconds

    @property
    def passed(self) -> bool:
        """Return whether the time is over."""
        return self.spent > self._seconds

    @property
    def spent(self) -> float:
        """Return the seconds that passed, without those that were waited."""
        waited = min(max(self._waited() - self._before, 0.0), self._most)
        return max(self._clock() - self._start - waited - self._held_back() + self._held_before, 0.0)


class Retry:
    """The retries of what is worth it, for all threads that speak to one host."""

    def __init__(self, settings: HostSettings, traffic: Traffic) -> None:
        self._settings = settings
        self._traffic = traffic
        self._not_before = 0.0
        self._last_told = ("", 0.0)
        self._waits = threading.local()

    def call(self, attempt: Callable[[], Result]) -> Result:
        """Call `attempt` until it ends without a TransientError, or the tries are used up."""
        try:
            return attempt()
        except TransientError as error:
            return self._again(attempt, error)

    def _again(self, attempt: Callable[[], Result], first: TransientError) -> Result:
        """Do all that follows a failed first try; loaded here, because most runs need none of it."""
        import tenacity

        limits = self._settings.limits
        failed = [first]

        def following() -> Result:
            if failed:
                raise failed.pop()
            return attempt()

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(limits.attempts)
            | tenacity.stop_after_delay(limits.attempts * (limits.retry_after + limits.read_timeout)),
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=self._wait,
            sleep=self._sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return retrying(following)
        except TransientError as error:
            tries = retrying.statistics.get("attempt_number", 1)
            cause = f"{error.cause} (after {tries} attempts)" if tries > 1 else error.cause
            next_step = error.next_step or "run the same command again to go on"
            raise NetworkError(error.item, cause, next_step) from error

    def settled(self, ask: Callable[[], bool]) -> bool:
        """Return whether `ask` says yes, now or in a moment: some registries show writes a little late."""
        wait = self._settings.backoff
        for _ in range(self._settings.limits.integrity_attempts - 1):
            if ask():
                return True
            self._traffic.count(retries=1)
            self._sleep(wait)
            wait *= 2
        return ask()

    def keep_pace(self) -> None:
        """Wait as long as the host has asked everybody to."""
        wait = self._not_before - self._settings.clock()
        if wait > 0:
            self._sleep(wait)

    def deadline(self, seconds: float, held_back: Callable[[], float]) -> Deadline:
        """Return an end to what this thread begins now; waits between tries don't count, within bounds."""
        limits = self._settings.limits
        most = limits.attempts * limits.retry_after
        return Deadline(self._settings.clock, self._waited, seconds, most, held_back)

    def _waited(self) -> float:
        """Return the seconds that this thread has waited, by request or for another try."""
        waited: float = getattr(self._waits, "seconds", 0.0)
        return waited

    def _sleep(self, seconds: float) -> None:
        self._settings.sleep(seconds)
        self._waits.seconds = self._waited() + seconds

    def slow_down(self, seconds: float) -> None:
        """Hold all threads for as long as the host asked."""
        self._not_before = max(self._not_before, self._settings.clock() + seconds)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, TransientError) else None
        if asked is not None:
            return asked
        if isinstance(error, DroppedError) and state.attempt_number == 1:
            return 0.0  # a kept connection that the server closed meanwhile
        top = min(self._settings.backoff * 2 ** (state.attempt_number - 1), self._settings.longest_backoff)
        return random.uniform(0, top)  # noqa: S311  full jitter, no secret

    def _tell(self, state: tenacity.RetryCallState) -> None:
        self._traffic.count(retries=1)
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        if isinstance(error, TransientError):
            tried = f"try {state.attempt_number} failed: {error.cause}; the next in {wait:.1f} s"
            self._settings.trace(f"{error.item}: {tried}")
        if wait > 0 and isinstance(error, TransientError) and self._note_cause(error.cause):
            self._settings.on_retry(f"{error.item}: {error.cause}; trying again in {wait:.1f} s")

    def _note_cause(self, cause: str) -> bool:
        """Note a cause; return False if it was told within the last moment: threads fail together."""
        now = self._settings.clock()
        last_cause, at = self._last_told
        if last_cause == cause and now - at < TOLD_EVERY:
            return False
        self._last_told = cause, now
        return True
