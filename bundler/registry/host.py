"""One registry host: retry, pace, authentication, redirects. The sole user of tenacity.

Rules. There is one retry layer, here. Credentials belong to an origin: a redirect, `Location` or
token server elsewhere gets none. A wait that the server asks for (Retry-After) holds for all
threads. Writes are never redirected.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple, TypeVar
from urllib.parse import urljoin, urlsplit

import tenacity

from bundler.errors import (
    AuthError,
    BundlerError,
    ContentError,
    NetworkError,
    NotFoundError,
    printable,
)
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import strict_json
from bundler.oci.reference import RegistryName
from bundler.registry.auth import EXPIRY_MARGIN, Credentials, Token, TokenAnswer, converse
from bundler.registry.transport import (
    Answer,
    DroppedError,
    Request,
    SizedBody,
    TransientError,
    Transport,
    speaks_tls,
)

Result = TypeVar("Result")

TRANSIENT_STATUS = frozenset({408, 429, 499, 500, 502, 503, 504, 522})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
API_HOSTS = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
"""Where a registry's API is, if not at its name."""
TOKEN_HOSTS = {"registry-1.docker.io": frozenset({"auth.docker.io"})}
"""Token servers that are known to belong to a registry."""


class RefusedError(NetworkError):
    """An answer that no other try will change."""

    status: int = 0
    code: str = ""


class Traffic:
    """What went over the wire, counted for the report."""

    def __init__(self) -> None:
        self.requests = 0
        self.retries = 0
        self.received = 0
        self.sent = 0
        self._lock = threading.Lock()

    def count(self, *, requests: int = 0, retries: int = 0, received: int = 0, sent: int = 0) -> None:
        """Add to the sums; from any thread."""
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.received += received
            self.sent += sent


def _unheard(line: str) -> None:
    """Nobody is told."""


class HostSettings(NamedTuple):
    """What holds for every host of one run."""

    plain_http: frozenset[str] = frozenset()
    """Hosts (`host` or `host:port`) that may be spoken to without TLS."""
    token_hosts: frozenset[str] = frozenset()
    """Token servers on other hosts that may see a registry's credentials."""
    limits: Limits = DEFAULT_LIMITS
    backoff: float = 0.5
    """Seconds of the first wait's upper end; it doubles each time."""
    longest_backoff: float = 30.0
    """Seconds that a wait's upper end grows to."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    on_retry: Callable[[str], None] = _unheard
    """Told in one line why a request is tried again."""


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
        find_credentials: Callable[[RegistryName], Credentials | None],
        settings: HostSettings,
        traffic: Traffic,
    ) -> None:
        self.name = name
        self.settings = settings
        self.traffic = traffic
        self._api_host = API_HOSTS.get(name, name)
        self._token_hosts = settings.token_hosts | TOKEN_HOSTS.get(self._api_host, frozenset())
        self._transport = transport
        self._find_credentials = find_credentials
        plain = bool({name, name.hostname} & settings.plain_http)
        self._scheme = "http" if plain or name.loopback else "https"
        self._scheme_settled = plain or not name.loopback
        self._challenge = ""
        self._tokens: dict[str, tuple[Token, float]] = {}
        self._token_locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._credentials: list[Credentials | None] = []
        self._not_before = 0.0

    @property
    def origin(self) -> str:
        """`https://host:port`."""
        return f"{self._scheme}://{self._api_host}"

    # --- what the client calls -------------------------------------------------------------------

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
        """One request and its whole body, tried again as long as that may help.

        A body over `limit` bytes raises ContentError, a status outside `accept` what it means.
        """

        def attempt() -> Reply:
            answer = self.exchange(method, path, scope, accept=accept, headers=headers, body=body)
            data = answer.read(limit)
            if data is None:
                raise ContentError(
                    f"{method} {self.origin}{path}", f"answer over the limit of {limit:,} bytes"
                )
            self.traffic.count(received=len(data))
            return Reply(answer.status, answer.headers, data)

        return self.retrying(attempt)

    def retrying(self, attempt: Callable[[], Result]) -> Result:
        """Call `attempt` until it ends without a TransientError, or the tries are used up."""
        limits = self.settings.limits
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(limits.attempts)
            | tenacity.stop_after_delay(limits.attempts * (limits.retry_after + limits.read_timeout)),
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=self._wait,
            sleep=self.settings.sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except TransientError as error:
            tries = retrying.statistics.get("attempt_number", 1)
            cause = f"{error.cause} (after {tries} attempts)" if tries > 1 else error.cause
            raise NetworkError(
                error.item, cause, error.next_step or "run the same command again to go on"
            ) from error

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
        """One try of one request, the answer's body unread: authenticated, redirects followed.

        `path` may be a whole URL that the registry gave (an upload's `Location`, a page's `Link`).
        """
        url = path if "://" in path else f"{self.origin}{path}"
        request = Request(method, url, headers or {}, body)
        answer = self._settled(self._authorized(request, scope))
        answer = self._followed(request, answer, scope)
        if answer.status not in accept:
            raise self._meaning(request, answer)
        return answer

    def same_origin(self, url: str) -> bool:
        """Whether a URL is on this registry."""
        return f"{urlsplit(url).scheme}://{urlsplit(url).netloc}".lower() == self.origin.lower()

    # --- sending ---------------------------------------------------------------------------------

    def _send(self, request: Request) -> Answer:
        wait = self._not_before - self.settings.clock()
        if wait > 0:
            self.settings.sleep(wait)
        self.traffic.count(requests=1)
        return self._transport.send(request)

    def _authorized(self, request: Request, scope: str) -> Callable[[], Answer]:
        """A call that sends the request with what the host wants to know, asking for it if need be."""

        def call() -> Answer:
            target = request._replace(url=self._on_scheme(request.url))
            if not self.same_origin(target.url):
                return self._send(target)
            used = self._token(scope)
            answer = self._send(_with(target, used))
            # 403 with a token of an earlier request: some registries answer so when it has expired.
            stale = answer.status == 403 and used is not None and self._is_old(scope)
            if answer.status != 401 and not stale:
                return answer
            header = answer.headers.get("WWW-Authenticate", "") or (self._challenge if stale else "")
            answer.start_of_body(self.settings.limits.error_body)
            renewed = self._renewed(scope, used, header)
            if not isinstance(target.body, (bytes, str, type(None))):
                # The body is spent: whoever opened it must open it again.
                raise DroppedError(_item(request), "the token expired during an upload")
            return self._send(_with(target, renewed))

        return call

    def _on_scheme(self, url: str) -> str:
        """The URL with the scheme that this loopback host turned out to speak."""
        return (
            url.replace("http://", "https://", 1)
            if self._scheme == "https" and url.startswith(f"http://{self._api_host}/")
            else url
        )

    def _settled(self, call: Callable[[], Answer]) -> Answer:
        """Send; on a loopback host of unknown scheme, find out whether it wants TLS."""
        if self._scheme_settled:
            return call()
        try:
            answer = call()
        except DroppedError:
            if not self._turns_out_tls():
                raise
            return call()
        if answer.status == 400 and self._turns_out_tls():
            answer.close()
            return call()
        self._scheme_settled = True
        return answer

    def _turns_out_tls(self) -> bool:
        with self._lock:
            if not self._scheme_settled:
                parts = urlsplit(f"//{self._api_host}")
                if speaks_tls(parts.hostname or "", parts.port or 80, self.settings.limits.connect_timeout):
                    self._scheme = "https"
                self._scheme_settled = True
        return self._scheme == "https"

    # --- authentication --------------------------------------------------------------------------

    def _token(self, scope: str) -> Token | None:
        """What to send with the first try: a live token, or one for a scope not asked for yet."""
        with self._lock:
            known = self._tokens.get(scope)
        if known and self.settings.clock() < known[1]:
            return known[0]
        return self._renewed(scope, known[0] if known else None, self._challenge) if self._challenge else None

    def _is_old(self, scope: str) -> bool:
        known = self._tokens.get(scope)
        return known is not None and known[0].expires_in != float("inf") and known[1] < float("inf")

    def _renewed(self, scope: str, used: Token | None, header: str) -> Token:
        """A token other than `used`; many threads that need the same one ask for it once."""
        with self._lock:
            lock = self._token_locks.setdefault(scope, threading.Lock())
        with lock:
            known = self._tokens.get(scope)
            if known and known[0] != used and self.settings.clock() < known[1]:
                return known[0]
            token = self._asked(scope, header)
            if token == used and token.expires_in == float("inf"):
                raise AuthError(self.name, "401: the credentials are refused", "check user and password")
            self._challenge = _without_scope(header)
            end = self.settings.clock() + max(token.expires_in - EXPIRY_MARGIN, 1.0)
            self._tokens[scope] = (token, end)
            return token

    def _asked(self, scope: str, header: str) -> Token:
        credentials = self._own_credentials()
        talk = converse(header, credentials, scope, self.origin, self._token_hosts)
        try:
            asked = next(talk)
            headers = {"Authorization": asked.authorization}
            if asked.form:
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            request = Request(
                "POST" if asked.form else "GET",
                asked.url,
                {name: value for name, value in headers.items() if value},
                asked.form or None,
            )
            answer = self._send(request)
            if answer.status in TRANSIENT_STATUS:
                raise self._meaning(request, answer)
            body = answer.read(self.settings.limits.token_answer)
            if body is None:
                raise AuthError(self.name, "the token server's answer is over the limit")
            talk.send(TokenAnswer(answer.status, body))
        except StopIteration as end:
            token: Token = end.value
            return token
        raise AssertionError("the conversation has one question")

    def _own_credentials(self) -> Credentials | None:
        with self._lock:
            if not self._credentials:
                self._credentials.append(self._find_credentials(self.name))
            return self._credentials[0]

    # --- redirects -------------------------------------------------------------------------------

    def _followed(self, request: Request, answer: Answer, scope: str) -> Answer:
        for _ in range(self.settings.limits.redirects + 1):
            if answer.status not in REDIRECTS:
                return answer
            if request.method not in ("GET", "HEAD"):
                answer.close()
                raise _refused(request, answer.status, "", f"{answer.status}: it redirects a write")
            url = self._checked_location(request, answer)
            answer.close()
            answer = self._redirected(request, url, scope)
        answer.close()
        raise NetworkError(_item(request), f"more than {self.settings.limits.redirects} redirects")

    def _redirected(self, request: Request, url: str, scope: str) -> Answer:
        headers = {name: value for name, value in request.headers.items() if name in ("Accept", "Range")}
        target = Request(request.method, url, headers)
        return self._send(_with(target, self._token(scope)) if self.same_origin(url) else target)

    def _checked_location(self, request: Request, answer: Answer) -> str:
        return self.checked_url(answer.headers.get("Location", ""), answer.url, _item(request))

    def checked_url(self, location: str, base: str, item: str) -> str:
        """An address that the registry gave, made whole. Raises ContentError for one not to be used."""
        if not location or len(location) > self.settings.limits.location:
            raise ContentError(
                item, "it redirects to nowhere" if not location else "its Location is over the limit"
            )
        try:
            url = urljoin(base, location)
            parts = urlsplit(url)
            usable = (
                parts.scheme in ("http", "https")
                and parts.hostname
                and "@" not in parts.netloc
                and parts.port != 0
            )
        except ValueError:
            usable = False
        if not usable:
            raise ContentError(item, f"it redirects to {location!r}, which can't be used")
        if urlsplit(base).scheme == "https" and parts.scheme == "http":
            raise ContentError(item, f"it redirects from https to plain http on {parts.netloc}")
        return url

    # --- retry -----------------------------------------------------------------------------------

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, TransientError) else None
        if asked is not None:
            return asked
        if isinstance(error, DroppedError) and state.attempt_number == 1:
            return 0.0  # a kept connection that the server closed meanwhile
        top = min(self.settings.backoff * 2 ** (state.attempt_number - 1), self.settings.longest_backoff)
        return random.uniform(0, top)  # noqa: S311  jitter, no secret

    def _tell(self, state: tenacity.RetryCallState) -> None:
        self.traffic.count(retries=1)
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        if wait > 0 and isinstance(error, TransientError):
            self.settings.on_retry(f"{error.item}: {error.cause}; trying again in {wait:.1f} s")

    def _meaning(self, request: Request, answer: Answer) -> BundlerError:
        """The error that a status is, with the registry's own words."""
        body = answer.start_of_body(self.settings.limits.error_body)
        code, words = _own_words(body)
        cause = f"{answer.status} {words}".strip()
        item = _item(request)
        if answer.status in TRANSIENT_STATUS or code == "TOOMANYREQUESTS":
            error = TransientError(item, cause)
            error.retry_after = self._retry_after(answer.headers.get("Retry-After"))
            if error.retry_after:
                self._not_before = max(self._not_before, self.settings.clock() + error.retry_after)
            return error
        if answer.status in (401, 403):
            return AuthError(item, cause, "check the credentials and the rights of this user")
        if answer.status == 404:
            return NotFoundError(item, cause)
        return _refused(request, answer.status, code, cause)

    def _retry_after(self, header: str | None) -> float | None:
        """Seconds, capped; None when the header is missing or means nothing."""
        if not header:
            return None
        try:
            seconds = float(header) if header.strip().isdigit() else _until(header)
        except (ValueError, TypeError, OverflowError):
            return None
        return min(max(seconds, 0.0), self.settings.limits.retry_after)


def _until(date: str) -> float:
    # The only wall clock below the command line: the server named a wall-clock time.
    return parsedate_to_datetime(date).timestamp() - time.time()  # noqa: TID251


def _with(request: Request, token: Token | None) -> Request:
    if token is None:
        return request
    return request._replace(headers={**request.headers, "Authorization": token.authorization})


def _without_scope(header: str) -> str:
    """The challenge without the scope that it was made for, so that it serves for others."""
    head, found, tail = header.partition('scope="')
    return header if not found else head.rstrip(", ") + tail.partition('"')[2]


def _item(request: Request) -> str:
    parts = urlsplit(request.url)
    return f"{request.method} {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _refused(request: Request, status: int, code: str, cause: str) -> RefusedError:
    error = RefusedError(_item(request), cause)
    error.status, error.code = status, code
    return error


def _own_words(body: bytes) -> tuple[str, str]:
    """`code` and `code: message` of the first error; for anything else a short plain text."""
    try:
        first = strict_json.loads(body, item="error", depth=16)["errors"][0]
        code = printable(first.get("code", ""), 60)
        return code, f"{code}: {printable(first.get('message', ''))}"
    except (ContentError, LookupError, TypeError, AttributeError):
        text = body.decode("utf-8", "replace").strip()
        return "", "(an HTML page)" if text.startswith("<") else printable(text)
