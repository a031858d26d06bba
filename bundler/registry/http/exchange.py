"""A request and its answer, apart from the transport: neither loads an HTTP library."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from bundler.errors import BundlerError, NetworkError, printable
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci.addresses import origin_of
from bundler.registry.http.rate_limit import RateLimit
from bundler.registry.http.retry import TransientError
from bundler.registry.large_bodies import LARGE

NOTHING: Mapping[str, str] = MappingProxyType({})


READ_SIZE = 1 << 16
"""Bytes asked for in one read; what has arrived is returned, so that a drip is seen as it drips."""


def _at_once() -> float:
    return 0.0


class SizedBody(Protocol):
    """A request body that is sent as it comes, and whose length is known."""

    def __len__(self) -> int:
        """Return the number of bytes."""

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes."""


class Request(NamedTuple):
    """A request to send."""

    method: str
    url: str
    headers: Mapping[str, str] = NOTHING
    body: bytes | str | SizedBody | None = None
    identified: bool = False
    """It goes to a host that may know who we are: not to one that another host named."""


class TlsFiles(NamedTuple):
    """Files of PEM: what is trusted, and who we are."""

    ca_file: Path | None = None
    """Authorities trusted in addition to the system's."""
    client_cert: Path | None = None
    client_key: Path | None = None
    """None if the key is in the file of the certificate."""


class TransportSettings(NamedTuple):
    """Certificates, proxies, time-outs and speed."""

    ca_file: Path | None = None
    """Authorities trusted in addition to the system's."""
    proxies: Mapping[str, str] = NOTHING
    """`http`, `https`, `all`: proxy addresses; `no`: hosts reached directly, in the form of NO_PROXY."""
    connections: int = 16
    """Connections kept per host."""
    limits: Limits = DEFAULT_LIMITS
    trace: Callable[[str], None] | None = None
    """Told a line about every request, from any thread."""
    client: TlsFiles = TlsFiles()
    """Our certificate, for every host that was named."""
    of_hosts: Mapping[str, TlsFiles] = MappingProxyType({})
    """By origin (`https://host:port`): files that win over those for all."""
    rate_limit: RateLimit | None = None
    """Holds all bodies back, sent or received."""

    def tls_files(self, request: Request) -> TlsFiles:
        """Return the files for TLS with the host of a request."""
        files = self.client if request.identified else TlsFiles()
        files = files._replace(ca_file=self.ca_file)
        if not self.of_hosts or not (of_host := self.of_hosts.get(origin_of(request.url))):
            return files
        if of_host.client_cert:
            files = of_host._replace(ca_file=self.ca_file)
        return files._replace(ca_file=of_host.ca_file) if of_host.ca_file else files


def compressed(kind: type[BundlerError], item: str, encoding: str) -> BundlerError:
    """Return the error, of this kind, for a body that was compressed on the way."""
    cause = f"it arrives with Content-Encoding {printable(encoding, 40)}, which was not asked for"
    return kind(item, cause, "have the registry's proxy not compress what it passes on")


class Answer:
    """Status and headers of an answer, its body still on the wire."""

    def __init__(self, request: Request, response: Any, headers: Mapping[str, str], limits: Limits) -> None:
        self.url = request.url
        self.status: int = response.status
        self.headers = headers
        self._raw = response
        self._limits = limits
        self._waited = 0.0
        self._received = 0
        self._ended = False
        self.on_end: Callable[[int], None] | None = None
        """Called when the body is given up or read to its end, with the bytes that were read."""
        self.rate_limit: RateLimit | None = None
        self._item = f"{request.method} {place(request.url)}"

    @property
    def encoding(self) -> str:
        """Return the encoding of the body that the answer states, in lower case."""
        return self.headers.get("Content-Encoding", "").strip().lower()

    @property
    def is_encoded(self) -> bool:
        """Return whether the answer states an encoding of its body."""
        return self.encoding not in ("", "identity")

    def is_compressed(self, size: int) -> bool:
        """Return whether a body of `size` bytes was compressed on the way: it has other bytes.

        A storage may name an encoding of the bytes that it was given; their number tells.
        """
        return self.is_encoded and self.headers.get("Content-Length") != str(size)

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives. Raises TransientError when it breaks off."""
        from bundler.registry.http.library_errors import translated

        try:
            while True:
                with translated(self._item):
                    chunk = self._raw.read1(READ_SIZE, decode_content=False)
                if not chunk:
                    self._ended = True
                    return
                self._received += len(chunk)
                if self.rate_limit:
                    self._waited += self.rate_limit.take(len(chunk))
                yield chunk
        finally:
            self.close()

    def read(self, limit: int, wait_if_large: Callable[[], float] = _at_once) -> bytes | None:
        """Return the whole body, or None if it is over `limit` bytes. Raises TransientError if too slow.

        `wait_if_large` is called before more is read of a large one, and says how many seconds it waited.
        """
        body = bytearray()
        for chunk in self._in_time(limit):
            body += chunk
            if len(body) > limit:
                return None
            if len(body) > LARGE:
                self._waited += wait_if_large()
        return bytes(body)

    def _in_time(self, limit: int) -> Iterator[bytes]:
        """Yield the body, as long as it takes no longer than a blob of `limit` bytes may."""
        end = time.monotonic() + self._limits.blob_deadline(limit)
        for chunk in self.chunks():
            if time.monotonic() > end + self._waited:
                raise TransientError(self._item, f"{self.status}: its body came slower than the limit")
            yield chunk

    def start_of_body(self, limit: int) -> bytes:
        """Return at most the first `limit` bytes, for a message; errors are ignored here."""
        parts: list[bytes] = []
        size = 0
        with contextlib.suppress(NetworkError):
            for chunk in self._in_time(limit):
                parts.append(chunk)
                size += len(chunk)
                if size >= limit:
                    break
        return b"".join(parts)[:limit]

    def close(self) -> None:
        """Give the connection back if little of the body is left to read, or end it."""
        if self.on_end:
            self.on_end(self._received)
        if self._ended:
            return  # the library has the connection back already
        with contextlib.suppress(Exception):
            left = self._raw.length_remaining
            if left is not None and left <= READ_SIZE:
                # Also an empty body must be read: only then is the connection fit for another request.
                self._raw.read(decode_content=False)
            else:
                self._raw.close()


def place(url: str) -> str:
    """Return a URL fit for a message: no query, because presigned ones carry secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
