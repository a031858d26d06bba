"""A socket that is read without waiting until a request begins, and counts how long its peer makes it wait.

cheroot's time-out starts anew with each byte.
"""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_RDWR, socket
from ssl import SSLWantReadError, SSLWantWriteError
from typing import Any

from bundler.limits import KIB

STALLED = 60
"""Seconds that a peer may make one request wait in all, or without a byte..."""

SLOWEST = 16 * KIB
"""...and one more for so many bytes that came or went."""

HEADERS = 64 * KIB
"""Bytes of a request's line and headers, and of any line of a chunked body."""

BEGINNING = 16 * KIB
"""Bytes of a body that must have come before a worker gets the request, or all of a shorter one."""

_END_OF_HEADERS = re.compile(rb"\n\r?\n")

_METHOD = re.compile(rb"[\r\n]*[A-Z]*")

_LENGTH_OF_BODY = re.compile(rb"(?i)\ncontent-length[ \t]*:[ \t]*([0-9]{1,18})[ \t]*\r?\n")

_CHUNKS = re.compile(rb"(?i)\ntransfer-encoding[ \t]*:")

_EXPECTS = re.compile(rb"(?i)\nexpect[ \t]*:")


class PacedSocket:
    """A socket that counts how long its peer makes it wait, and gives up when that is too long.

    What this side does meanwhile is not counted: storing a large upload takes its time.
    """

    def __init__(self, sock: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._socket = sock
        self._clock = clock
        self._early = bytearray()
        self._needed: int | None = None
        self.is_http = True
        self.has_body = False
        """True for a request whose headers announce a body."""
        self.begin()

    def receive_headers(self, before: bytes) -> bool:
        """Read what is there without waiting; return True once a worker can begin with the request.

        Then it has all headers, and the beginning of its body unless the client first expects an answer. True
        as well for too many bytes, for the end, and for what begins no request: a client that tries TLS first
        would wait for the time-out.

        `before` are the bytes that were read earlier and not used yet.
        """
        waiting = self._socket.gettimeout()
        self._socket.settimeout(0)
        try:
            data = self._read_what_is_there()
        except (BlockingIOError, SSLWantReadError, SSLWantWriteError):
            data = None
        except OSError:
            return True  # whoever reads on is told
        finally:
            self._socket.settimeout(waiting)
        if data == b"":
            return True
        self._early += data or b""
        if self._needed is None:
            self._needed = self._needed_of(before + self._early)
        return self._needed is not None and len(before) + len(self._early) >= self._needed

    def _needed_of(self, arrived: bytes) -> int | None:
        """Return how many bytes must have come; None as long as that is not known."""
        self.is_http, self.has_body = not arrived or begins_request(arrived), False
        end = _END_OF_HEADERS.search(arrived)
        if end is None or not self.is_http:
            return 0 if not self.is_http or len(arrived) > HEADERS else None
        headers = arrived[: end.end()]
        length, chunks = _LENGTH_OF_BODY.search(headers), _CHUNKS.search(headers)
        size = 1 if chunks else int(length[1]) if length else 0
        self.has_body = size > 0
        return 0 if _EXPECTS.search(headers) else end.end() + min(size, BEGINNING)

    def _read_what_is_there(self) -> bytes:
        """Return what has come. What TLS has decrypted already wakes nobody, so all of that is read."""
        data = bytes(self._socket.recv(HEADERS))
        while data and len(data) <= HEADERS + BEGINNING and getattr(self._socket, "pending", int)():
            data += self._socket.recv(HEADERS)
        return data

    def begin(self) -> None:
        """Begin another request."""
        self._allowed = float(STALLED)
        self._needed = None
        self._late = 0.0
        self._waiting_since: float | None = None

    @property
    def late(self) -> float:
        """Return the seconds that the peer is behind the slowest rate, this moment included.

        Other than for the time-out, what it did faster before doesn't count.
        """
        since = self._waiting_since
        return self._late + (self._clock() - since if since is not None else 0.0)

    def shutdown(self, _way: int = SHUT_RDWR) -> None:
        """End both ways of the connection, also from another thread than that which waits for the peer."""
        with suppress(OSError):
            socket.shutdown(self._socket, SHUT_RDWR)

    def recv_into(self, buffer: Any) -> int:
        """Receive bytes from the peer."""
        if self._early:
            size = min(len(buffer), len(self._early))
            buffer[:size] = self._early[:size]
            del self._early[:size]
            return size
        return self._waited_for(self._socket.recv_into, buffer)

    def send(self, data: Any) -> int:
        """Send bytes to the peer."""
        return self._waited_for(self._socket.send, data)

    def _waited_for(self, move: Callable[[Any], int], data: Any) -> int:
        if self._allowed <= 0:
            raise TimeoutError("timed out")
        self._waiting_since = start = self._clock()
        try:
            size = move(data)
        finally:
            self._waiting_since = None
        gained = size / SLOWEST - (self._clock() - start)
        self._allowed += gained
        self._late = max(self._late - gained, 0.0)
        return size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def begins_request(data: bytes) -> bool:
    """Return True if the bytes may be the beginning of a request: empty lines, then a method."""
    method = _METHOD.match(data)
    return method is not None and (method.end() == len(data) or data[method.end() :][:1] == b" ")
