"""HTTP exchanges, and nothing behind their back: the sole user of requests and urllib3.

The session layer of requests is left out on purpose: it follows redirects, keeps cookies, reads
`.netrc` and the proxy variables, and prints user names in URLs. Its adapter does none of it. Bodies
are read raw, so that no answer is inflated; every library error is translated in `library_errors`.
"""

import ssl
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.adapters

from bundler.about import PROGRAM, VERSION
from bundler.errors import AuthError, NetworkError
from bundler.oci.addresses import proxy_address, reached_directly
from bundler.registry.http.bodies import SLICE, GuardedResponse, Outgoing
from bundler.registry.http.exchange import Answer, Request, TlsFiles, TransportSettings, place
from bundler.registry.http.library_errors import translated
from bundler.registry.http.tls import tls_context
from bundler.registry.http.trace import TracedRequest

AGENT = {"User-Agent": f"{PROGRAM}/{VERSION}", "Accept-Encoding": "identity"}


def _each_once(headers: Any) -> Mapping[str, str]:
    """Return headers by name, joined where there are several; repeated values count once."""
    plain: Mapping[str, str] = headers
    if len(plain) == sum(1 for _ in headers.iteritems()):
        return plain
    joined = ((name, ", ".join(dict.fromkeys(headers.getlist(name)))) for name in headers)
    return requests.structures.CaseInsensitiveDict(joined)


class _Adapter(requests.adapters.HTTPAdapter):
    """An adapter that trusts the given context, and nothing that the library would add."""

    def __init__(self, context: ssl.SSLContext | None, connections: int) -> None:
        self._context = context
        self._pools: dict[str, Any] = {}
        super().__init__(pool_connections=connections, pool_maxsize=connections, max_retries=0)

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return the connections to an origin: kept, as the library works out anew which they are."""
        if proxies:
            return super().get_connection_with_tls_context(request, verify, proxies, cert)
        origin = "/".join(request.url.split("/", 3)[:3])
        pool = self._pools.get(origin)
        # The library closes those that were not used for long.
        if pool is None or pool.pool is None:
            pool = self._pools[origin] = super().get_connection_with_tls_context(request, verify)
        return pool

    def request_url(self, request: Any, proxies: Any) -> str:
        """Return the path: only a proxy is asked for more."""
        url: str = super().request_url(request, proxies) if proxies else request.path_url
        return url

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


class _CountedConnection:
    """A connection that knows if it has been used."""

    is_new = False

    def connect(self) -> None:
        """Connect, and remember that nothing was asked yet."""
        self.is_new = True
        super().connect()  # type: ignore[misc]  # of the library's connection, which comes next


def _note_use(response: Any) -> bool:
    """Note that the connection of an answer was used; return whether it had answered before."""
    connection = response.connection
    is_new: bool = getattr(connection, "is_new", True)
    if connection is not None:
        connection.is_new = False
    return not is_new


def _make_patient(manager: Any) -> Any:
    """Have its connections read their answers by `GuardedResponse`."""
    for scheme, pool in manager.pool_classes_by_scheme.items():
        if pool.ConnectionCls.response_class is not GuardedResponse:
            bases = (_CountedConnection, pool.ConnectionCls)
            connection = type("PatientConnection", bases, {"response_class": GuardedResponse})
            patient = type("PatientPool", (pool,), {"ConnectionCls": connection})
            manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, scheme: patient}
    return manager


class Transport:
    """Connections to any number of hosts, for any number of threads."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._adapters: dict[TlsFiles | None, _Adapter] = {}
        limits = settings.limits
        self._timeout = (limits.connect_timeout, limits.read_timeout)

    def held_back(self) -> float:
        """Return the seconds that the limit on the speed has held threads back, added up."""
        return self._settings.rate_limit.waited if self._settings.rate_limit else 0.0

    def send(self, request: Request) -> Answer:
        """Send one request; return when the answer's headers are here.

        Raises TransientError, or for what another try can't mend NetworkError or AuthError.
        """
        trace = self._settings.trace
        traced = TracedRequest(request, trace) if trace else None
        try:
            response = self._sent(request)
        except (NetworkError, AuthError) as error:
            if traced:
                traced.failed(error)
            raise
        answer = Answer(request, response, _each_once(response.headers), self._settings.limits)
        answer.rate_limit = self._settings.rate_limit
        if traced:
            location = answer.headers.get("Location", "")
            traced.answered(answer.status, location, reused=_note_use(response))
            answer.on_end = traced.ended
        return answer

    def _sent(self, request: Request) -> Any:
        item = f"{request.method} {place(request.url)}"
        with translated(item):
            return self._adapter(request).send(
                _prepared(self._in_slices(request, item)),
                stream=True,
                timeout=self._timeout,
                proxies=self._proxy(request),
            )

    def _in_slices(self, request: Request, item: str) -> Request:
        body, rate_limit = request.body, self._settings.rate_limit
        if body is None or isinstance(body, str) or (isinstance(body, bytes) and len(body) <= SLICE):
            if body and rate_limit:
                rate_limit.take(len(body))
            return request
        seconds = self._settings.limits.blob_deadline(len(body))
        return request._replace(body=Outgoing(body, len(body), item, seconds, rate_limit=rate_limit))

    def _adapter(self, request: Request) -> _Adapter:
        files = self._settings.tls_files(request) if request.url.startswith("https:") else None
        with self._lock:
            if files not in self._adapters:
                # The system's authorities take a while to load: not for plain http.
                context = tls_context(files) if files else None
                self._adapters[files] = _Adapter(context, self._settings.connections)
            return self._adapters[files]

    def _proxy(self, request: Request) -> dict[str, str]:
        """Return the proxy of a request, by scheme; nothing where it goes directly. Raises NetworkError."""
        parts, proxies = urlsplit(request.url), self._settings.proxies
        proxy = proxies.get(parts.scheme) or proxies.get("all")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if not proxy or reached_directly(parts.hostname or "", port, proxies.get("no", "")):
            return {}
        if address := proxy_address(proxy):
            return {parts.scheme: address}
        item, cause = f"{request.method} {place(request.url)}", "the address of the proxy can't be used"
        raise NetworkError(item, cause, "write --proxy or HTTPS_PROXY as http://HOST:PORT")


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
