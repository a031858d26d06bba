"""An end to every wait: a socket's time-out starts anew with each byte, and bytes can drip for ever.

Headers, also those of any number of interim answers, must be complete within one time-out; so must each
read of a body, with the chunk sizes and trailers that it passes. Whole bodies have their own deadlines.
"""

from __future__ import annotations

import http
import http.client
import io
import time
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")

INTERIM = range(100, 200)


class PatientResponse(http.client.HTTPResponse):
    """An answer whose every step ends within the socket's time-out."""

    def __init__(self, sock: Any, *arguments: Any, **more: Any) -> None:
        super().__init__(sock, *arguments, **more)
        self._watched = _Watched(self.fp.detach(), sock.gettimeout())
        self.fp = io.BufferedReader(self._watched)

    def begin(self) -> None:
        """Status and headers."""
        self._watched.within(super().begin)

    def _read_status(self) -> tuple[str, int, str]:
        """The status line, past interim answers: the library knows 100 only (RFC 9110, section 15.2)."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # the one seam it has
            if not INTERIM.start < status < INTERIM.stop or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)

    def read(self, amt: int | None = None) -> bytes:
        """Some of the body, or the rest."""
        return self._watched.within(lambda: super(PatientResponse, self).read(amt))

    def read1(self, n: int = -1) -> bytes:
        """What has arrived of the body."""
        return self._watched.within(lambda: super(PatientResponse, self).read1(n))


class _Watched(io.RawIOBase):
    """A socket's bytes, until time is up."""

    def __init__(self, raw: Any, seconds: float | None) -> None:
        self._raw = raw
        self._seconds = seconds
        self._end = float("inf")

    def within(self, step: Callable[[], Result]) -> Result:
        """Do something that reads. Raises TimeoutError."""
        if self._seconds is not None:
            self._end = time.monotonic() + self._seconds
        return step()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._end:
            raise TimeoutError("timed out")
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
