"""One HTTP exchange, and nothing behind its back: the sole user of requests and urllib3.

The session layer of requests is left out on purpose: it follows redirects, keeps cookies, reads
`.netrc` and the proxy variables, and prints user names in URLs. Its adapter does none of it. Bodies
are read raw, so that no answer is inflated; every library error is translated in `translation`.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import requests
import requests.adapters

from bundler.about import PROGRAM, VERSION
from bundler.errors import NetworkError, UsageError
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci.addresses import reached_directly
from bundler.registry.http.bodies import SLICE, GuardedResponse, Outgoing
from bundler.registry.http.library_errors import TransientError, translated
from bundler.registry.large_bodies import LARGE

NOTHING: Mapping[str, str] = MappingProxyType({})

AGENT = {"User-Agent": f"{PROGRAM}/{VERSION}", "Accept-Encoding": "identity"}

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


class TransportSettings(NamedTuple):
    """Certificates, proxies and time-outs."""

    ca_file: Path | None = None
    """Authorities trusted in addition to the system's."""
    proxies: Mapping[str, str] = NOTHING
    """`http`, `https`, `all`: proxy addresses; `no`: hosts reached directly, in the form of NO_PROXY."""
    connections: int = 16
    """Connections kept per host."""
    limits: Limits = DEFAULT_LIMITS


class Answer:
    """Status and headers of an answer, its body still on the wire."""

    def __init__(self, request: Request, response: Any, limits: Limits) -> None:
        self.url = request.url
        self.status: int = response.status
        self.headers: Mapping[str, str] = _each_once(response.headers)
        self._raw = response
        self._limits = limits
        self._waited = 0.0
        self._item = f"{request.method} {place(request.url)}"

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives. Raises TransientError when it breaks off."""
        try:
            while True:
                with translated(self._item):
                    chunk = self._raw.read1(READ_SIZE, decode_content=False)
                if not chunk:
                    return
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
        with contextlib.suppress(Exception):
            left = self._raw.length_remaining
            if left is not None and left <= READ_SIZE:
                # Also an empty body must be read: only then is the connection fit for another request.
                self._raw.read(decode_content=False)
            else:
                self._raw.close()


def _each_once(headers: Any) -> Mapping[str, str]:
    """Return headers by name, joined where there are several; repeated values count once."""
    plain: Mapping[str, str] = headers
    if len(plain) == sum(1 for _ in headers.iteritems()):
        return plain
    joined = ((name, ", ".join(dict.fromkeys(headers.getlist(name)))) for name in headers)
    return requests.structures.CaseInsensitiveDict(joined)


class _Adapter(requests.adapters.HTTPAdapter):
    """Trusts the given context, and nothing that the library would add."""

    def __init__(self, context: ssl.SSLContext | None, connections: int) -> None:
        self._context = context
        super().__init__(pool_connections=connections, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)
        _make_patient(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        return _make_patient(super().proxy_manager_for(proxy, **kwargs, ssl_context=self._context))

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave the context as it is: the library would add its own list of authorities."""
        conn.cert_reqs = "CERT_REQUIRED"

    def build_response(self, req: Any, resp: Any) -> Any:
        """Return urllib3's own answer: cookies, encoding and history are not wanted."""
        return resp


def _make_patient(manager: Any) -> Any:
    """Have its connections read their answers by `GuardedResponse`."""
    for scheme, pool in manager.pool_classes_by_scheme.items():
        if pool.ConnectionCls.response_class is not GuardedResponse:
            connection = type("PatientConnection", (pool.ConnectionCls,), {"response_class": GuardedResponse})
            patient = type("PatientPool", (pool,), {"ConnectionCls": connection})
            manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, scheme: patient}
    return manager


class Transport:
    """Connections to any number of hosts, for any number of threads."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._adapters: dict[str, _Adapter] = {}
        limits = settings.limits
        self._timeout = (limits.connect_timeout, limits.read_timeout)

    def send(self, request: Request) -> Answer:
        """Send one request; return when the answer's headers are here.

        Raises TransientError, or NetworkError for what another try can't mend.
        """
        item = f"{request.method} {place(request.url)}"
        with translated(item):
            response: Any = self._adapter(request.url).send(
                _prepared(self._in_slices(request, item)),
                stream=True,
                timeout=self._timeout,
                proxies=self._proxies(request.url),
            )
        return Answer(request, response, self._settings.limits)

    def _in_slices(self, request: Request, item: str) -> Request:
        body = request.body
        if body is None or isinstance(body, str) or (isinstance(body, bytes) and len(body) <= SLICE):
            return request
        seconds = self._settings.limits.blob_deadline(len(body))
        return request._replace(body=Outgoing(body, len(body), item, seconds))

    def _adapter(self, url: str) -> _Adapter:
        scheme = urlsplit(url).scheme
        with self._lock:
            if scheme not in self._adapters:
                # The system's authorities take a while to load: not for plain http.
                context = tls_context(self._settings.ca_file) if scheme == "https" else None
                self._adapters[scheme] = _Adapter(context, self._settings.connections)
            return self._adapters[scheme]

    def _proxies(self, url: str) -> dict[str, str]:
        parts = urlsplit(url)
        host, proxies = parts.hostname or "", self._settings.proxies
        # This machine is never reached through a proxy.
        if not proxies or host == "localhost" or host.startswith("127.") or host == "::1":
            return {}
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if reached_directly(host, port, proxies.get("no", "")):
            return {}
        return {scheme: address for scheme, address in proxies.items() if scheme != "no"}


def _prepared(request: Request) -> requests.PreparedRequest:
    """Return the request in the adapter's form.

    For a question without a body, nine tenths of all requests, the library's preparation is left out: it
    is a seventh of the work, and has nothing to prepare.
    """
    headers = {**AGENT, **request.headers}
    if request.method not in ("GET", "HEAD") or not request.url.isascii():
        return requests.Request(request.method, request.url, headers=headers, data=request.body).prepare()
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url = request.method, request.url
    prepared.headers = requests.structures.CaseInsensitiveDict(headers)
    return prepared


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context with the system's authorities and those of a file. Raises UsageError."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "strerror", None) or "no PEM certificates in it"
            raise UsageError(
                str(ca_file), f"--ca-file: {reason}", "give a file of PEM certificates"
            ) from None
    return context


def speaks_tls(host: str, port: int, seconds: float) -> bool:
    """Return whether a TLS handshake with this host gets an answer, whatever its certificate says."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return True
    except OSError:
        return False


def place(url: str) -> str:
    """Return a URL fit for a message: no query, because presigned ones carry secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
