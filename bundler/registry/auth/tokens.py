"""The tokens of one host: one per scope, asked for once however many threads need it."""

import threading
from collections.abc import Callable
from typing import NamedTuple

from bundler.errors import AuthError, never_show
from bundler.registry.auth import token_exchange
from bundler.registry.settings import HostSettings

FOREVER = float("inf")


class _Kept(NamedTuple):
    token: token_exchange.BearerToken
    end: float


class Tokens:
    """The tokens to send with requests; those that are missing are got by `ask`."""

    def __init__(
        self,
        host: str,
        token_hosts: frozenset[str],
        settings: HostSettings,
        find_credentials: Callable[[str], token_exchange.Credentials | None],
        ask: Callable[[token_exchange.TokenRequest], token_exchange.TokenAnswer],
    ) -> None:
        self._host = host
        self._token_hosts = settings.token_hosts | token_hosts
        self._clock = settings.clock
        self._find_credentials = find_credentials
        self._ask = ask
        self._challenge = ""
        self._kept: dict[str, _Kept] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._credentials: dict[str, token_exchange.Credentials | None] = {}

    def for_first_try(self, scope: str, origin: str) -> token_exchange.BearerToken | None:
        """Return a live token, or a new one once the host's challenge is known; None before that."""
        kept = self._kept.get(scope)
        if kept and self._clock() < kept.end:
            return kept.token
        if not self._challenge:
            return None
        return self.renewed(scope, kept.token if kept else None, self._challenge, origin)

    def proven(self, scope: str) -> bool:
        """Return whether the host has asked who we are, and has got an answer with our credentials.

        Raises AuthError if a token server on another host got none.
        """
        kept = self._kept.get(scope)
        if kept and kept.token.withheld_from:
            cause, next_step = token_exchange.withheld("login required", kept.token.withheld_from)
            raise AuthError(self._host, cause, next_step)
        return kept is not None

    def credentials(self, scope: str) -> token_exchange.Credentials | None:
        """Return the credentials for a scope; None for anonymous access."""
        return self._credentials_for(scope)

    def may_have_expired(self, token: token_exchange.BearerToken | None) -> bool:
        """Return whether a 403 may mean only that a token is too old; some registries answer so."""
        return token is not None and token.expires_in != FOREVER

    def refusal(self, scope: str, status: int) -> tuple[str, str]:
        """Return the cause of a 401 or 403 that came after all this, and the next step."""
        credentials, kept = self._credentials.get(_path_of(scope)), self._kept.get(scope)
        if kept and kept.token.withheld_from:
            return token_exchange.withheld("login required", kept.token.withheld_from)
        if credentials is None:
            return "login required", token_exchange.LOG_IN
        if credentials.bearer_token:
            return "login refused: the token is wrong, or has expired", token_exchange.CHECK
        if status == 401 and kept and kept.token.expires_in == FOREVER:
            return token_exchange.REFUSED, token_exchange.CHECK
        return "this user has no permission for it", "have the registry give it, or log in as another user"

    def renewed(
        self, scope: str, used: token_exchange.BearerToken | None, challenge: str | None, origin: str
    ) -> token_exchange.BearerToken:
        """Return a token other than `used`, by the last challenge if none is given. Raises AuthError."""
        with self._lock:
            lock = self._locks.setdefault(scope, threading.Lock())
        with lock:
            kept = self._kept.get(scope)
            if kept and kept.token != used and self._clock() < kept.end:
                return kept.token
            asked = self._challenge if challenge is None else challenge
            token = self._talk(scope, asked, origin)
            if token == used and token.expires_in == FOREVER:
                raise AuthError(self._host, token_exchange.REFUSED, token_exchange.CHECK)
            self._challenge = token_exchange.without_scope(asked)
            self._kept[scope] = _Kept(
                token, self._clock() + max(token.expires_in - token_exchange.EXPIRY_MARGIN, 1.0)
            )
            return token

    def _talk(self, scope: str, challenge: str, origin: str) -> token_exchange.BearerToken:
        talk = token_exchange.converse(
            challenge, self._credentials_for(scope), scope, origin, self._token_hosts
        )
        try:
            asked = next(talk)
            while True:
                asked = talk.send(self._ask(asked))
        except StopIteration as end:
            token: token_exchange.BearerToken = end.value
            never_show(token.authorization.partition(" ")[2])
            return token

    def _credentials_for(self, scope: str) -> token_exchange.Credentials | None:
        path = _path_of(scope)
        with self._lock:
            if path not in self._credentials:
                self._credentials[path] = self._find_credentials(path)
                for secret in token_exchange.secrets_of(self._credentials[path]):
                    never_show(secret)
            return self._credentials[path]


def _path_of(scope: str) -> str:
    """Return the repository that a scope is for; empty for the catalog."""
    kind, _, rest = scope.partition(":")
    return rest.partition(":")[0] if kind == "repository" else ""
