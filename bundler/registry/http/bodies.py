"""An end to every wait: a socket's time-out starts anew with each byte, and bytes can drip for ever.

Headers, also those of any number of interim answers, must be complete within one time-out; so must each
read of a body, with the chunk sizes and trailers that it passes. Whole bodies have their own deadlines.
"""

import http
import http.client
import io
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from bundler.errors import NetworkError
from bundler.limits import KIB, MIB
from bundler.registry.http.rate_limit import RateLimit

Result = TypeVar("Result")

INTERIM = range(100, 200)


class GuardedResponse(http.client.HTTPResponse):
    """An answer whose every step ends within the socket's time-out."""

    def __init__(self, sock: Any, *arguments: Any, **more: Any) -> None:
        super().__init__(sock, *arguments, **more)
        self._watched = _Watched(self.fp.detach(), sock.gettimeout())
        self.fp = io.BufferedReader(self._watched)

    def begin(self) -> None:
        """Read status and headers."""
        self._watched.within(super().begin)

    def _read_status(self) -> tuple[str, int, str]:
        """Read the status line, past interim answers: the library knows 100 only (RFC 9110, section 15.2)."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # the one seam it has
            if not INTERIM.start < status < INTERIM.stop or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)

    def read(self, amt: int | None = None) -> bytes:
        """Read some of the body, or the rest."""
        return self._watched.within(lambda: super(GuardedResponse, self).read(amt))

    def read1(self, n: int = -1) -> bytes:
        """Read what has arrived of the body."""
        return self._watched.within(lambda: super(GuardedResponse, self).read1(n))


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


LARGEST_UNASKED = 4 * MIB
"""Bytes of one PATCH where a registry takes no single PUT; ghcr.io refuses more."""

SMALLEST_PIECE = 512 * KIB
"""Bytes of the shortest PATCH that is tried; nginx takes bodies of 1 MB unless told otherwise."""

LARGEST_PIECE = 64 * MIB
"""Bytes of one PATCH that a registry may ask for."""

_NUMBER = re.compile("[0-9]{1,18}")


class Body:
    """An upload that is sent as it is read."""

    def __init__(self, size: int, chunks: Iterable[bytes], count: Callable[..., None]) -> None:
        self._size = size
        self._chunks = chunks
        self._count = count

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self._count(sent=len(chunk))
            yield chunk


def least_piece(header: str) -> int:
    """Return the bytes that each PATCH must have, for a registry that sets a minimum (those on S3 do)."""
    return min(int(header), LARGEST_PIECE) if _NUMBER.fullmatch(header) else 0


def first_piece(refused: float) -> int:
    """Return the bytes of each PATCH to try, where a body of `refused` bytes was too long."""
    size = LARGEST_UNASKED
    while size >= refused and size > SMALLEST_PIECE:
        size //= 2
    return size


def with_query(url: str, **more: str) -> str:
    """Return the address with more in its query; the rest stays as it is written, perhaps signed."""
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(more)) if part)
    return parts._replace(query=query, fragment="").geturl()


SLICE = 64 * KIB
"""Bytes given to a socket at once; each has one time-out."""


class Outgoing:
    """`body` as the transport sends it; it is read once, from its start.

    Counts the time that sending takes, and not that in which the body is made, which may come out of a pipe,
    or is held back by a limit of ours.
    Raises NetworkError after `seconds` of it.
    """

    def __init__(
        self,
        body: bytes | Iterable[bytes | memoryview],
        size: int,
        item: str,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        rate_limit: RateLimit | None = None,
    ) -> None:
        self._chunks = (body,) if isinstance(body, bytes) else body
        self._size = size
        self._item = item
        self._seconds = seconds
        self._rate_limit = rate_limit
        self._clock = clock

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[memoryview]:
        sent, spent = 0, 0.0
        for part in self._slices():
            if self._rate_limit:
                self._rate_limit.take(len(part))
            begun = self._clock()
            yield part
            spent += self._clock() - begun
            sent += len(part)
            if spent > self._seconds:
                taken = f"{sent:,} of {self._size:,} bytes in {spent:.0f} s"
                cause = f"slower than the limit: it took {taken}"
                raise NetworkError(self._item, cause, "run the same command again to go on")

    def _slices(self) -> Iterator[memoryview]:
        for chunk in self._chunks:
            whole = memoryview(chunk)
            for start in range(0, len(whole), SLICE):
                yield whole[start : start + SLICE]
