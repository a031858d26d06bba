"""One registry host: authentication and redirects around every request.

Rules. Credentials belong to an origin: a redirect, `Location` or token server elsewhere gets none, nor is
it shown our certificate.
A wait that the server asks for holds for all threads. Writes are never redirected. Plain http only
where it was allowed; a loopback host is asked which of the two it speaks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from urllib.parse import urljoin, urlsplit

from bundler.errors import AuthError, BundlerError, ContentError, NetworkError
from bundler.oci import RegistryName
from bundler.oci.addresses import leads_here, origin_of, split_address
from bundler.registry.auth.token_exchange import BETWEEN, BearerToken, Credentials, TokenAnswer, TokenRequest
from bundler.registry.auth.tokens import Tokens
from bundler.registry.http.exchange import Answer, Request, SizedBody, compressed
from bundler.registry.http.retry import Deadline, DroppedError, Retry, TransientError
from bundler.registry.http.status import TRANSIENT, item_of, meaning, refused
from bundler.registry.large_bodies import limit_large_bodies, take_place
from bundler.registry.list_habits import ListHabits
from bundler.registry.settings import HostSettings, Traffic

if TYPE_CHECKING:
    from bundler.registry.http.transport import Transport

Result = TypeVar("Result")

REDIRECTS = frozenset({301, 302, 303, 307, 308})

_DOCUMENT = (b"{", b"[", b"<", b'"')
"""What documents begin with; an encoding that was named for their own bytes does no harm."""

REDIRECTED_HEADERS = frozenset({"Accept", "Range"})

API_HOSTS = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
"""The host of a registry's API, if it is not the registry's name."""

TOKEN_HOSTS = {"registry-1.docker.io": frozenset({"auth.docker.io"})}
"""Token servers that are known to belong to a registry."""


class Reply(NamedTuple):
    """An answer whose body has been read."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Host:
    """Requests to one registry, from any number of threads."""

    def __init__(
        self,
        name: RegistryName,
        transport: Transport,
        find_credentials: Callable[[RegistryName, str], Credentials | None],
        settings: HostSettings,
        traffic: Traffic,
    ) -> None:
        self.name = name
        self.settings = settings
        self.traffic = traffic
        self._api_host = API_HOSTS.get(name, name)
        self._transport = transport
        self._retry = Retry(settings, traffic)
        token_hosts = TOKEN_HOSTS.get(self._api_host, frozenset())
        self._tokens = Tokens(
            name, token_hosts, settings, partial(find_credentials, name), self._ask_token_server
        )
        plain = bool({name, name.hostname} & settings.plain_http)
        self._scheme = "http" if plain or name.loopback else "https"
        self._scheme_settled = plain or not name.loopback
        self._lock = threading.Lock()
        self.lacks_referrers = False
        """Found out: this registry has no Referrers API."""
        self.takes_whole_posts: bool | None = None
        """Found out: whether this registry takes a blob in one POST; None as long as nobody tried."""
        self.tag_lists = ListHabits()

    @property
    def origin(self) -> str:
        """Return `https://host:port`."""
        return f"{self._scheme}://{self._api_host}"

    # --- what the client calls -------------------------------------------------------------------

    @limit_large_bodies
    def fetch(
        self,
        method: str,
        path: str,
        scope: str,
        *,
        accept: frozenset[int],
        limit: int = 0,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """Send one request and read its whole body, tried again as long as that may help.

        A body over `limit` bytes raises ContentError, a status outside `accept` what it means.
        """

        def attempt() -> Reply:
            answer = self.exchange(method, path, scope, accept=accept, headers=headers, body=body)
            data = answer.read(limit, take_place)
            if data is None:
                cause = f"answer over the limit of {limit:,} bytes"
                raise ContentError(f"{method} {self.origin}{path}", cause)
            self.traffic.count(received=len(data))
            if answer.is_encoded and data and data.lstrip()[:1] not in _DOCUMENT:
                raise compressed(ContentError, f"{method} {self.origin}{path}", answer.encoding)
            return Reply(answer.status, answer.headers, data)

        return self._retry.call(attempt)

    def log_in(self) -> bool:
        """Ask for nothing but the login; return False if this registry answers without one.

        It is then sent the credentials all the same: some let everybody read, and know their users too.

        Raises: AuthError for a refused login. NetworkError. NotFoundError.
        """
        ask = partial(self.fetch, "GET", "/v2/", "", accept=frozenset({200}))
        limit = self.settings.limits.token_answer
        ask(limit=limit)
        if not self._tokens.proven("") and (credentials := self._tokens.credentials("")):
            ask(limit=limit, headers={"Authorization": credentials.authorization})
        return self._tokens.proven("")

    def retrying(self, attempt: Callable[[], Result]) -> Result:
        """Call `attempt` until it ends without a TransientError, or the tries are used up."""
        return self._retry.call(attempt)

    def settled(self, ask: Callable[[], bool]) -> bool:
        """Return whether `ask` says yes, asked again a few times after a wait."""
        return self._retry.settled(ask)

    def deadline(self, seconds: float) -> Deadline:
        """Return an end to what this thread begins now; waits that this host asks for don't count."""
        return self._retry.deadline(seconds, self._transport.held_back)

    def exchange(
        self,
        method: str,
        path: str,
        scope: str,
        *,
        accept: frozenset[int],
        headers: Mapping[str, str] | None = None,
        body: bytes | SizedBody | None = None,
    ) -> Answer:
        """Try one request once, the answer's body unread: authenticated, redirects followed.

        `path` may be a whole URL that the registry gave (an upload's `Location`, a page's `Link`).
        """
        url = path if "://" in path else f"{self.origin}{path}"
        request = Request(method, url, headers or {}, body)
        answer = self._settled(request, scope)
        if answer.status not in accept:
            answer = self._followed(request, answer, scope)
        if answer.status not in accept:
            raise self._meaning(request, answer, scope)
        return answer

    def same_origin(self, url: str) -> bool:
        """Return whether a URL is on this registry."""
        return url.startswith(f"{self.origin}/") or origin_of(url) == origin_of(self.origin)

    def checked_url(self, location: str, base: str, item: str) -> str:
        """Resolve an address that the registry gave. Raises ContentError for one that must not be used."""
        if not location or len(location) > self.settings.limits.location:
            cause = "its Location is over the limit" if location else "it redirects to nowhere"
            raise ContentError(item, cause)
        try:
            url = urljoin(base, location)
        except ValueError:
            url = ""
        parts = split_address(url)
        if parts is None:
            raise ContentError(item, f"it redirects to {location!r}, which can't be used")
        if urlsplit(base).scheme == "https" and parts.scheme == "http":
            raise ContentError(item, f"it redirects from https to plain http on {parts.netloc}")
        if leads_here(url, base):
            raise ContentError(item, f"it redirects to {parts.netloc}, an address of this machine")
        return url

    # --- sending ---------------------------------------------------------------------------------

    def _send(self, request: Request) -> Answer:
        self._retry.keep_pace()
        self.traffic.count(requests=1)
        return self._transport.send(request)

    def _meaning(self, request: Request, answer: Answer, scope: str = "") -> BundlerError:
        """Return the error for an answer; a wait that it asks for holds for all threads from now on."""
        login = partial(self._tokens.refusal, scope) if self.same_origin(answer.url) else _refused_by_storage
        error = meaning(request._replace(url=answer.url), answer, self.settings.limits, login)
        if isinstance(error, TransientError) and error.retry_after:
            self._retry.slow_down(error.retry_after)
        return error

    def _authorized(self, request: Request, scope: str) -> Answer:
        """Send the request with what the host wants to know, asking for it if need be."""
        request = request._replace(url=self._on_scheme(request.url))
        if not self.same_origin(request.url):
            return self._send(request)
        request = request._replace(identified=True)
        used = self._tokens.for_first_try(scope, self.origin)
        answer = self._send(_with(request, used))
        stale = answer.status == 403 and self._tokens.may_have_expired(used)
        if answer.status != 401 and not stale:
            return answer
        answer.start_of_body(self.settings.limits.error_body)
        challenge = None if stale else answer.headers.get("WWW-Authenticate", "")
        token = self._tokens.renewed(scope, used, challenge, self.origin)
        if not isinstance(request.body, (bytes, str, type(None))):
            # The body is spent: whoever opened it must open it again.
            raise DroppedError(item_of(request), "the token expired during an upload")
        return self._send(_with(request, token))

    def _ask_token_server(self, asked: TokenRequest) -> TokenAnswer:
        headers = {"Authorization": asked.authorization} if asked.authorization else {}
        if asked.form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        request = Request("POST" if asked.form else "GET", asked.url, headers, asked.form or None)
        # Whoever gets the credentials may know who we are.
        trusted = self.same_origin(asked.url) or bool(asked.authorization or asked.form)
        answer = self._send(request._replace(identified=trusted))
        if answer.status in TRANSIENT:
            raise self._meaning(request, answer)
        body = answer.read(self.settings.limits.token_answer)
        if body is None:
            raise AuthError(self.name, "the token server's answer is over the limit", BETWEEN)
        return TokenAnswer(answer.status, body)

    # --- which scheme a loopback host speaks -------------------------------------------------------

    def _settled(self, request: Request, scope: str) -> Answer:
        if self._scheme_settled:
            return self._authorized(request, scope)
        try:
            answer = self._authorized(request, scope)
        except DroppedError:
            if not self._settle_scheme():
                raise
            return self._authorized(request, scope)
        # A TLS server's answer to plain http, if it has one, is 400.
        if answer.status == 400 and self._settle_scheme():
            answer.close()
            return self._authorized(request, scope)
        self._scheme_settled = True
        return answer

    def _settle_scheme(self) -> bool:
        """Find out once, by a handshake, which scheme the host speaks; return True for TLS."""
        from bundler.registry.http.tls import speaks_tls

        with self._lock:
            if not self._scheme_settled:
                parts = urlsplit(f"//{self._api_host}")
                seconds = self.settings.limits.connect_timeout
                if speaks_tls(parts.hostname or "", parts.port or 80, seconds):
                    self._scheme = "https"
                self._scheme_settled = True
        return self._scheme == "https"

    def _on_scheme(self, url: str) -> str:
        """Return the URL with the scheme that this host turned out to speak."""
        plain = f"http://{self._api_host}/"
        return f"{self.origin}/{url[len(plain) :]}" if url.startswith(plain) else url

    # --- redirects -------------------------------------------------------------------------------

    def _followed(self, request: Request, answer: Answer, scope: str) -> Answer:
        for _ in range(self.settings.limits.redirects + 1):
            if answer.status not in REDIRECTS:
                return answer
            answer.close()
            if request.method not in ("GET", "HEAD"):
                raise refused(request, answer.status, "", f"{answer.status}: it redirects a write")
            location = answer.headers.get("Location", "")
            answer = self._redirected(
                request, self.checked_url(location, answer.url, item_of(request)), scope
            )
        answer.close()
        raise NetworkError(item_of(request), f"more than {self.settings.limits.redirects} redirects", BETWEEN)

    def _redirected(self, request: Request, url: str, scope: str) -> Answer:
        headers = {name: value for name, value in request.headers.items() if name in REDIRECTED_HEADERS}
        target = Request(request.method, url, headers)
        return self._authorized(target, scope)


def _refused_by_storage(status: int) -> tuple[str, str]:
    """Return the cause where another host refuses what the registry redirected to it."""
    return (
        "refused by the storage host that the registry redirects to",
        "tell those who run the registry: its own login was accepted",
    )


def _with(request: Request, token: BearerToken | None) -> Request:
    if token is None:
        return request
    return request._replace(headers={**request.headers, "Authorization": token.authorization})
