"""Connections and requests, read more strictly than cheroot does, and ended when a peer is too slow.

cheroot takes what Python's `int()` takes for a length, two lengths, and a size beside chunks: a proxy before
it may see the next request begin elsewhere. And its time-out starts anew with each byte.
Source: RFC 9112, sections 5.1, 6.1, 6.3 and 7.1.
"""

import contextlib
import re
import time
from collections.abc import Callable
from socket import socket
from ssl import SSLWantReadError, SSLWantWriteError
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

_TEXT = rb"[^\x00-\x08\x0a-\x1f\x7f]*"

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;" + _TEXT + rb")?\r\n")

_TRAILER = re.compile(rb"\r\n|[!#$%&'*+.^_`|~0-9A-Za-z-]+:" + _TEXT + rb"\r\n")

_END_OF_HEADERS = re.compile(rb"\n\r?\n")

_METHOD = re.compile(rb"[\r\n]*[A-Z]*")

_NO_HTTP = (
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    b"This is no HTTP request: the registry is served as http://, not https://.\n"
)

_LINE = re.compile(rb"(?![ \t])" + _TEXT + rb"\r\n")

_REQUEST_LINE = re.compile(rb"(?:[A-Z]+ [!-~\x80-\xff]+ HTTP/[0-9]\.[0-9])?\r\n")


class Connection(HTTPConnection):
    """A connection whose requests are read strictly and can't be drawn out."""

    begun = False
    """True while the headers of a request are incomplete."""

    def __init__(self, server: Any, sock: socket, makefile: Any) -> None:
        self.paced = PacedSocket(sock)
        super().__init__(server, self.paced, makefile)

    def is_ready(self) -> bool:
        """Return True if a request's headers have arrived whole, or nothing more will come.

        Never waits: called by the thread that watches all idle connections.
        """
        rfile: Any = self.rfile
        return self.paced.receive_headers(rfile.peek() if rfile.has_data() else b"")

    def communicate(self) -> Any:
        """Handle one request; return True if the connection stays open."""
        self.paced.begin()
        if not self.paced.is_http:
            if not self.server.ssl_adapter:
                self.paced.send(_NO_HTTP)
            return False
        return super().communicate()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """End the connection, and give up what could not be sent.

        Or its buffer would be written once more when it is collected, and say so on standard error.
        """
        super().close()
        writer: Any = self.wfile
        with contextlib.suppress(OSError, ValueError):
            writer.close()


class PacedSocket:
    """A socket that counts how long its peer makes it wait, and gives up when that is too long.

    What this side does meanwhile is not counted: storing a large upload takes its time.
    """

    def __init__(self, sock: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._socket = sock
        self._clock = clock
        self._early = bytearray()
        self.is_http = True
        self.begin()

    def receive_headers(self, before: bytes) -> bool:
        """Read what is there without waiting; return True for whole headers, too many bytes, or the end.

        True as well for what begins no request: a client that tries TLS first would wait for the time-out.

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
        arrived = before + self._early
        self.is_http = not arrived or begins_request(arrived)
        return not self.is_http or len(arrived) > HEADERS or _END_OF_HEADERS.search(arrived) is not None

    def _read_what_is_there(self) -> bytes:
        """Return what has come. What TLS has decrypted already wakes nobody, so all of that is read."""
        data = bytes(self._socket.recv(HEADERS))
        while data and len(data) <= HEADERS and getattr(self._socket, "pending", int)():
            data += self._socket.recv(HEADERS)
        return data

    def begin(self) -> None:
        """Begin another request."""
        self._allowed = float(STALLED)

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
        start = self._clock()
        size = move(data)
        self._allowed += size / SLOWEST - (self._clock() - start)
        return size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def begins_request(data: bytes) -> bool:
    """Return True if the bytes may be the beginning of a request: empty lines, then a method."""
    method = _METHOD.match(data)
    return method is not None and (method.end() == len(data) or data[method.end() :][:1] == b" ")


class _Lines:
    """Lines of one form: cheroot takes a bare CR and strips control characters, which others don't."""

    def __init__(self, file: Any, form: re.Pattern[bytes]) -> None:
        self._file = file
        self._form = form

    def readline(self) -> Any:
        """Read a line. Raises ValueError for one of another form, or one that continues another."""
        line = self._file.readline()
        if line and not self._form.fullmatch(line):
            raise ValueError("Illegal line.")
        return line


class _HeaderReader(HeaderReader):
    """Headers whose names are tokens: with a blank before the colon, readers differ on a length."""

    def __call__(self, rfile: Any, hdict: Any = None) -> Any:
        return super().__call__(_Lines(rfile, _LINE), hdict)

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
        file = self.rfile
        self.rfile = _Lines(file, _REQUEST_LINE)
        try:
            return super().read_request_line()  # type: ignore[no-untyped-call]
        except ValueError:
            # Of another form, or a target like `//[::1/`: cheroot knows of UnicodeError only.
            self.simple_response("400 Bad Request", "Malformed Request-Line")
            return False
        finally:
            self.rfile = file


Connection.RequestHandlerClass = ServerRequest


class _Headers(dict[bytes, bytes]):
    """A request's headers. What makes its length or host doubtful is a ValueError, answered with 400."""

    def __setitem__(self, name: bytes, value: bytes) -> None:
        if name == b"Content-Length" and (name in self or not _LENGTH.fullmatch(value)):
            raise ValueError("Malformed Content-Length Header.")
        if name == b"Host" and name in self:
            raise ValueError("Two Host headers.")
        if name == b"Transfer-Encoding" and value.lower() != b"chunked":
            raise ValueError("Transfer-Encoding that is not chunked, once.")
        super().__setitem__(name, value)
        if b"Content-Length" in self and b"Transfer-Encoding" in self:
            raise ValueError("Content-Length beside Transfer-Encoding.")


class ChunkedBody:
    """The source of a chunked body: strict sizes, and a limit for one chunk."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._ended = False
        self._in_chunk = False
        self._broken = False
        self._trailers = 0

    def read(self, size: int) -> Any:
        """Read a chunk, or the line end behind one. Raises ValueError."""
        if size > LARGEST_CHUNK:
            self._refuse(f"a chunk of {size:,} bytes, over the limit of {LARGEST_CHUNK:,}")
        self._refuse_broken()
        data = self._file.read(size)
        if not self._in_chunk and data != b"\r\n":
            self._refuse("a chunk of another length than its size")
        self._in_chunk = False
        return data

    def readline(self) -> Any:
        """Read the line of a chunk's size; after the last chunk, a trailer. Raises ValueError."""
        self._refuse_broken()
        line = self._file.readline(HEADERS)
        self._trailers += len(line) if self._ended else 0
        if max(len(line), self._trailers) > HEADERS:
            self._refuse("lines over the limit")
        if self._ended:
            if not _TRAILER.fullmatch(line):
                self._refuse("a trailer of another form")
            return line
        size = _CHUNK_SIZE.fullmatch(line)
        if size is None:
            self._refuse("a chunk without a size")
        else:
            self._ended = int(size[1], 16) == 0
            self._in_chunk = not self._ended
        return line

    def _refuse_broken(self) -> None:
        """Raise ValueError after a broken chunk: nobody knows where the next one begins."""
        if self._broken:
            raise ValueError("a body that is broken")

    def _refuse(self, cause: str) -> None:
        self._broken = True
        raise ValueError(cause)
