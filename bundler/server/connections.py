"""Connections and requests, read more strictly than cheroot does, and ended when a peer is too slow.

cheroot takes what Python's `int()` takes for a length, two lengths, and a size beside chunks: a proxy before
it may see the next request begin elsewhere. And its time-out starts anew with each byte.
Source: RFC 9112, sections 5.1, 6.1, 6.3 and 7.1.
"""

import re
import time
from collections.abc import Callable
from socket import socket
from typing import Any

from cheroot.server import HeaderReader, HTTPConnection, HTTPRequest

from bundler.limits import KIB, MIB

STALLED = 60
"""Seconds that a peer may make one request wait in all, or without a byte..."""

SLOWEST = 16 * KIB
"""...and one more for so many bytes that came or went."""

HEADERS = 64 * KIB
"""Bytes of a request's line and headers, and of any line of a chunked body."""

LARGEST_CHUNK = 4 * MIB
"""Bytes of one chunk of a chunked body: cheroot holds one in memory, in every thread. Clients send less."""

_LENGTH = re.compile(rb"[0-9]{1,18}")

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r\n")


class Connection(HTTPConnection):
    """A connection whose requests are read strictly and can't be drawn out."""

    def __init__(self, server: Any, sock: socket, makefile: Any) -> None:
        self.paced = PacedSocket(sock)
        super().__init__(server, self.paced, makefile)

    def communicate(self) -> Any:
        """Handle one request; return True if the connection stays open."""
        self.paced.begin()
        return super().communicate()  # type: ignore[no-untyped-call]


class PacedSocket:
    """A socket that counts how long its peer makes it wait, and gives up when that is too long.

    What this side does meanwhile is not counted: storing a large upload takes its time.
    """

    def __init__(self, sock: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._socket = sock
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """Begin another request."""
        self._allowed = float(STALLED)

    def recv_into(self, buffer: Any) -> int:
        """Receive bytes from the peer."""
        return self._waited_for(self._socket.recv_into, buffer)

    def send(self, data: Any) -> int:
        """Send bytes to the peer."""
        return self._waited_for(self._socket.send, data)

    def _waited_for(self, move: Callable[[Any], int], data: Any) -> int:
        if self._allowed <= 0:
            raise TimeoutError("timed out")
        start = self._clock()
        size = move(data)
        self._allowed += size / SLOWEST - (self._clock() - start)
        return size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class _HeaderReader(HeaderReader):
    """Headers whose names are tokens: with a blank before the colon, readers differ on a length."""

    def _transform_key(self, key_name: bytes) -> Any:
        if not _NAME.fullmatch(key_name):
            raise ValueError("Illegal header name.")
        return super()._transform_key(key_name)  # type: ignore[misc]  # not in cheroot's stub


class ServerRequest(HTTPRequest):
    """A request whose line and lengths can be read in one way only."""

    header_reader = _HeaderReader()

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.inheaders = _Headers()

    def read_request_line(self) -> Any:
        """Return True for a valid request line; an invalid one is answered here."""
        try:
            return super().read_request_line()  # type: ignore[no-untyped-call]
        except ValueError:
            # A target like `//[::1/`: urllib raises, and cheroot knows of UnicodeError only.
            self.simple_response("400 Bad Request", "Malformed Request-URI")
            return False


Connection.RequestHandlerClass = ServerRequest


class _Headers(dict[bytes, bytes]):
    """A request's headers. What makes its length doubtful is a ValueError, which cheroot answers with 400."""

    def __setitem__(self, name: bytes, value: bytes) -> None:
        if name == b"Content-Length" and (name in self or not _LENGTH.fullmatch(value)):
            raise ValueError("Malformed Content-Length Header.")
        super().__setitem__(name, value)
        if b"Content-Length" in self and b"Transfer-Encoding" in self:
            raise ValueError("Content-Length beside Transfer-Encoding.")


class ChunkedBody:
    """The source of a chunked body: strict sizes, and a limit for one chunk."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._ended = False

    def read(self, size: int) -> Any:
        """Read a chunk, or the end of one."""
        if size > LARGEST_CHUNK:
            raise ValueError(f"a chunk of {size:,} bytes, over the limit of {LARGEST_CHUNK:,}")
        return self._file.read(size)

    def readline(self) -> Any:
        """Read the line of a chunk's size; after the last chunk, a trailer."""
        line = self._file.readline(HEADERS)
        if not self._ended:
            size = _CHUNK_SIZE.fullmatch(line)
            if size is None:
                raise ValueError("a chunk without a size")
            self._ended = int(size[1], 16) == 0
        return line
