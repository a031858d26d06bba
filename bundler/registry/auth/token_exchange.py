"""The token conversation with a registry, without I/O: generators that ask and are told.

Sources: RFC 9110 section 11 (challenges); distribution, "Token Authentication Specification".
"""

import base64
import re
from collections.abc import Generator, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from bundler.errors import AuthError, printable
from bundler.oci import strict_json
from bundler.oci.addresses import leads_here, origin_of, split_address

EXPIRY_MARGIN = 10.0
"""Seconds before its end at which a token is not used any more."""

DEFAULT_EXPIRY = 60.0
"""Seconds that a token lives whose answer names no `expires_in`, says the specification."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"

_SCHEME = re.compile(rf"[\s,]*+({_WORD})(?=[\s,]|$)\s*")

_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]++=*+(?=\s*(?:,|$))")

_PARAMETER = re.compile(rf'[\s,]*+({_WORD})\s*=\s*(?:"([^"\\]*+(?:\\.[^"\\]*+)*)"|({_WORD}))')

_TOKEN_ANSWER = frozenset({"token", "access_token", "expires_in"})

BETWEEN = "a login or proxy page may be in between"

_THEIRS = "tell those who run the registry"

LOG_IN = "log in with `timoni-bundler login`, or use --creds-file"

REFUSED = "login refused: wrong user name or password"

CHECK = "log in again, or check --creds-file"


class NoChallengeError(AuthError):
    """An answer 401 without a challenge: some registries give it for what they don't have."""


class Credentials(NamedTuple):
    """Credentials of one origin: a user with a password, an identity token, or a bearer token."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    bearer_token: str = ""

    def __repr__(self) -> str:
        """Keep secrets out of every message and log."""
        return "Credentials(...)"

    @property
    def authorization(self) -> str:
        """Return the value of an `Authorization` header, where no token is to be asked for first."""
        return f"Bearer {self.bearer_token}" if self.bearer_token else self.basic

    @property
    def basic(self) -> str:
        """Return the value of an `Authorization` header with user and password."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()


class Challenge(NamedTuple):
    """One scheme of a `WWW-Authenticate` header."""

    scheme: str
    parameters: Mapping[str, str]


class TokenRequest(NamedTuple):
    """A request to a token server."""

    url: str
    authorization: str = ""
    form: str = ""
    """The body of a POST; empty for a GET."""


class TokenAnswer(NamedTuple):
    """A token server's answer."""

    status: int
    body: bytes


class BearerToken(NamedTuple):
    """An `Authorization` value, and how many seconds it lives."""

    authorization: str
    expires_in: float
    withheld_from: str = ""
    """The token server on another host that got no credentials, though there are some."""


def parse_challenges(header: str) -> Iterator[Challenge]:
    """Yield the challenges of joined `WWW-Authenticate` headers; stop at the first unreadable one."""
    position = 0
    while scheme := _SCHEME.match(header, position):
        position = scheme.end()
        if blob := _TOKEN68.match(header, position):  # what Negotiate has in place of parameters
            position = blob.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            position = parameter.end()
            quoted, plain = parameter[2], parameter[3]
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            parameters[parameter[1].lower()] = value
        yield Challenge(scheme[1].lower(), parameters)


def converse(
    header: str, credentials: Credentials | None, scope: str, origin: str, token_hosts: frozenset[str]
) -> Generator[TokenRequest, TokenAnswer, BearerToken]:
    """Answer a 401 of `origin` (`https://host:port`): yields what to ask, returns what to send.

    A realm on another host is asked without credentials, unless it is one of `token_hosts`.
    Raises AuthError.
    """
    challenges = {challenge.scheme: challenge for challenge in parse_challenges(header)}
    if "bearer" in challenges:
        if credentials and credentials.bearer_token:
            return BearerToken(f"Bearer {credentials.bearer_token}", float("inf"))
        return (yield from _bearer(challenges["bearer"], credentials, scope, origin, token_hosts))
    if "basic" in challenges:
        if credentials is None or not credentials.username:
            raise AuthError(origin, "login required (401)", LOG_IN)
        return BearerToken(credentials.basic, float("inf"))
    if not header:
        raise NoChallengeError(origin, "401, without saying which login it expects", LOG_IN)
    cause = f"401: it asks for {printable(header, 80)}, which is not a Basic or Bearer challenge"
    raise AuthError(origin, cause, LOG_IN)


def secrets_of(credentials: Credentials | None) -> Iterator[str]:
    """Yield the secrets that no message may show, as they are and as they go over the wire."""
    if credentials is None:
        return
    secrets = (credentials.password, credentials.identity_token, credentials.bearer_token)
    for secret in filter(None, secrets):
        yield secret
        yield quote(secret, safe="")
    yield credentials.basic.removeprefix("Basic ")


def without_scope(header: str) -> str:
    """Return a challenge without the scope that it was made for, so that it serves for others."""
    head, scope, tail = header.partition('scope="')
    return header if not scope else head.rstrip(", ") + tail.partition('"')[2]


def _bearer(
    challenge: Challenge,
    credentials: Credentials | None,
    scope: str,
    origin: str,
    token_hosts: frozenset[str],
) -> Generator[TokenRequest, TokenAnswer, BearerToken]:
    # What is behind a # is never sent, and would take the query along.
    address = challenge.parameters.get("realm", "").partition("#")[0]
    realm = _checked_realm(address, origin, token_hosts)
    trusted = _may_have_credentials(realm, origin, token_hosts)
    request = _token_request(realm, challenge, credentials if trusted else None, scope)
    answer = yield request
    host = urlsplit(realm).netloc
    if answer.status != 200:
        cause, next_step = _refusal(answer, host, credentials, trusted=trusted)
        raise AuthError(origin, cause, next_step)
    return _token(answer.body, origin, host if credentials and not trusted else "")


def _checked_realm(realm: str, origin: str, token_hosts: frozenset[str]) -> str:
    parts = split_address(realm)
    if parts is None:
        raise AuthError(origin, f"401: its token server's address {realm!r} can't be used", _THEIRS)
    if urlsplit(origin).scheme == "https" and parts.scheme == "http":
        cause = f"401: its token server {realm!r} is plain http, the registry https"
        raise AuthError(origin, cause, _THEIRS)
    if leads_here(realm, origin) and parts.netloc.lower() not in token_hosts:
        cause = f"401: its token server {realm!r} is an address of this machine"
        raise AuthError(origin, cause, _THEIRS)
    return realm


def _may_have_credentials(realm: str, origin: str, token_hosts: frozenset[str]) -> bool:
    place = urlsplit(origin_of(realm)).netloc
    return place == urlsplit(origin_of(origin)).netloc or not token_hosts.isdisjoint(
        {place, urlsplit(realm).netloc.lower()}
    )


def _token_request(
    realm: str, challenge: Challenge, credentials: Credentials | None, scope: str
) -> TokenRequest:
    service = challenge.parameters.get("service", "")
    query = {"service": service} if service else {}
    if asked_scope := challenge.parameters.get("scope", "") or scope:
        query["scope"] = asked_scope
    if credentials and credentials.identity_token:
        form = {"grant_type": "refresh_token", "refresh_token": credentials.identity_token}
        return TokenRequest(realm, form=urlencode({**form, **query, "client_id": "timoni-bundler"}))
    joint = "&" if urlsplit(realm).query else "?"
    authorization = credentials.basic if credentials and credentials.username else ""
    return TokenRequest(f"{realm}{joint}{urlencode(query)}", authorization)


def _refusal(
    answer: TokenAnswer, host: str, credentials: Credentials | None, *, trusted: bool
) -> tuple[str, str]:
    """Return the cause and the next step."""
    cause = f"token server {host} answered {answer.status}"
    if credentials and not trusted:
        return withheld(cause, host)
    return (f"{REFUSED} ({cause})", CHECK) if credentials and answer.status == 401 else (cause, LOG_IN)


def withheld(cause: str, host: str) -> tuple[str, str]:
    """Return cause and next step where a token server on another host got no credentials."""
    return (
        f"{cause}; no credentials were sent to the token server {host}, which is another host",
        f"use --token-host {host} if your credentials are for it",
    )


@strict_json.alone
def _token(body: bytes, origin: str, withheld_from: str) -> BearerToken:
    document: Any = None
    try:
        document = strict_json.loads(body, item=origin, depth=8, names=_TOKEN_ANSWER)
        token = document.get("token") or document.get("access_token")
    except Exception:  # any malformed answer holds no token
        token = None
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
        raise AuthError(origin, "the token server's answer holds no token", BETWEEN)
    seconds = document.get("expires_in")
    has_lifetime = isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and seconds > 0
    return BearerToken(f"Bearer {token}", float(seconds) if has_lifetime else DEFAULT_EXPIRY, withheld_from)
