"""Settings for every host of one run, and the count of its traffic."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.reporting.json_report import TrafficReport


def _unheard(line: str) -> None:
    """Ignore the line."""


class HostSettings(NamedTuple):
    """Settings for every host of one run."""

    plain_http: frozenset[str] = frozenset()
    """Hosts (`host` or `host:port`) that may be spoken to without TLS."""
    token_hosts: frozenset[str] = frozenset()
    """Token servers on other hosts that may see a registry's credentials."""
    limits: Limits = DEFAULT_LIMITS
    backoff: float = 0.5
    """Seconds of the first wait's upper end; it doubles each time."""
    longest_backoff: float = 30.0
    """Seconds that a wait's upper end grows to."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    on_retry: Callable[[str], None] = _unheard
    """Told in one line why a request is tried again."""
    trace: Callable[[str], None] = _unheard
    """Told the same of every try, however often."""


class Traffic:
    """The traffic of one run, counted for the report."""

    def __init__(self) -> None:
        self.requests = 0
        self.retries = 0
        self.received = 0
        self.sent = 0
        self._lock = threading.Lock()

    def report(self) -> TrafficReport:
        """Return the sums, as reports have them."""
        return TrafficReport(self.requests, self.retries, self.received, self.sent)

    def count(self, *, requests: int = 0, retries: int = 0, received: int = 0, sent: int = 0) -> None:
        """Add to the sums; from any thread."""
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.received += received
            self.sent += sent
