"""Connections and requests, read more strictly than cheroot does.

cheroot takes what Python's `int()` takes for a length, two lengths, and a size beside chunks: a proxy before
it may see the next request begin elsewhere.
Source: RFC 9112, sections 5.1, 6.1, 6.3 and 7.1.
"""

import contextlib
import re
from socket import socket
from typing import Any

from cheroot.server import HeaderReader, HTTPConnection, HTTPRequest

from bundler.limits import MIB
from bundler.server.paced_socket import HEADERS, PacedSocket

LARGEST_CHUNK = 4 * MIB
"""Bytes of one chunk of a chunked body: cheroot holds one in memory, in every thread. Clients send less."""

_LENGTH = re.compile(rb"[0-9]{1,18}")

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_TEXT = rb"[^\x00-\x08\x0a-\x1f\x7f]*"

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;" + _TEXT + rb")?\r\n")

_TRAILER = re.compile(rb"\r\n|[!#$%&'*+.^_`|~0-9A-Za-z-]+:" + _TEXT + rb"\r\n")

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
        """Return True if a request has arrived as far as a worker needs it, or nothing more will come.

        Never waits: called by the thread that watches all idle connections.
        """
        rfile: Any = self.rfile
        return self.paced.receive_headers(rfile.peek() if rfile.has_data() else b"")

    def communicate(self) -> Any:
        """Handle one request; return True if the connection stays open."""
        try:
            return self._handled()
        finally:
            self.server.crowd.leave(self)

    def _handled(self) -> Any:
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
        if b"_" in name and name.replace(b"_", b"-") in (b"Content-Length", b"Transfer-Encoding"):
            raise ValueError("A length that programs behind read as the real one.")
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
