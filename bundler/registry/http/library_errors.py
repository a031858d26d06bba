"""The one table from the libraries' errors to ours; with `transport`, all that knows the libraries."""

import http.client
import re
import socket
import ssl
from collections.abc import Callable, Iterable

import requests
import urllib3

from bundler.errors import AuthError, NetworkError
from bundler.registry.http.retry import DroppedError, TransientError

CERTIFICATE = {
    9: "check this machine's clock",
    10: "have the registry's certificate renewed, and check this machine's clock",
    62: "use a name that its certificate is for",
    64: "use a name that its certificate is for",
}
"""The next step by OpenSSL's reason: not yet valid, expired, another name, another address."""

CLIENT_CERTIFICATE = re.compile(
    "ALERT_((?:NO|BAD|UNSUPPORTED)_CERTIFICATE|CERTIFICATE_(?:REVOKED|EXPIRED|UNKNOWN|REQUIRED)|UNKNOWN_CA"
    "|HANDSHAKE_FAILURE|ACCESS_DENIED|DECRYPT_ERROR)"
)
"""What a server says that wants to know its clients. Source: RFC 8446, section 6.2."""

CLIENT_STEP = (
    "give one that it knows with --client-cert and --client-key, or below registries.hosts in a file"
)

NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})


THEIRS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)
"""All errors that the libraries raise."""


class _Translated:
    """A block in which their errors become ours; no generator, as three of them stand around a request."""

    def __init__(self, item: str) -> None:
        self._item = item

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, THEIRS):
            raise classified(error, self._item) from error


def translated(item: str) -> _Translated:
    """Translate the libraries' errors to ours."""
    return _Translated(item)


def classified(error: BaseException, item: str) -> NetworkError | AuthError:
    """Return our error for a library's: worth another try or not, and in which words."""
    causes = list(_chain(error))
    return _final(causes, item) or _passing(causes, item)


def _final(causes: list[BaseException], item: str) -> NetworkError | AuthError | None:
    """Return the error that another try can't mend, if it is one."""
    for cause in causes:
        if isinstance(cause, ssl.SSLError) and (error := _tls_failed(cause, item)):
            return error
        if isinstance(cause, socket.gaierror) and cause.errno != socket.EAI_AGAIN:
            return NetworkError(
                item, "the host name is not known", "check the name before the first /, and the DNS"
            )
    if isinstance(causes[0], requests.exceptions.InvalidSchema) and "SOCKS" in str(causes[0]):
        return NetworkError(
            item, "the proxy speaks SOCKS, and the package PySocks is not installed", "install PySocks"
        )
    if isinstance(causes[0], ValueError) and not isinstance(
        causes[0], requests.exceptions.ChunkedEncodingError
    ):
        return NetworkError(item, f"not a usable address: {_innermost(causes)}", "check the name")
    return None


def _tls_failed(cause: ssl.SSLError, item: str) -> NetworkError | AuthError | None:
    """Return the error for what goes wrong between certificates, if it is that."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        text = f"its certificate is not trusted: {cause.verify_message}"
        return NetworkError(item, text, CERTIFICATE.get(cause.verify_code) or _trust())
    if words := CLIENT_CERTIFICATE.search(cause.reason or ""):
        alert = words[1].replace("_", " ").lower()
        return AuthError(item, f"it refuses this client in TLS: {alert}", CLIENT_STEP)
    if cause.reason in NOT_TLS:
        return NetworkError(item, "it does not speak TLS", "for plain http, use --plain-http HOST")
    return None


def _trust() -> str:
    """Return the next step for a certificate of an unknown authority, with the places of the known ones."""
    paths = ssl.get_default_verify_paths()
    places = " and ".join(filter(None, (paths.cafile, paths.capath)))
    return f"name the authority with --ca-file; trusted now: {places or 'no authority of this system'}"


def _passing(causes: list[BaseException], item: str) -> TransientError:
    """Return the error that may be gone at the next try."""
    for kinds, make in PASSING:
        if any(isinstance(cause, kinds) for cause in causes):
            return make(item, _innermost(causes))
    return TransientError(item, _innermost(causes))


def _proxy_failed(item: str, cause: str) -> TransientError:
    return TransientError(item, f"the proxy can't be reached: {cause}", "check --proxy or HTTPS_PROXY")


PASSING: tuple[tuple[tuple[type[BaseException], ...], Callable[[str, str], TransientError]], ...] = (
    ((urllib3.exceptions.ProxyError,), _proxy_failed),
    (
        (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError),
        lambda item, _: DroppedError(item, "the connection was dropped"),
    ),
    # Before the time-outs: the library counts a refused connection among them.
    (
        (urllib3.exceptions.NewConnectionError,),
        lambda item, cause: TransientError(
            item, cause, "check host and port, then run the same command again"
        ),
    ),
    (
        (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError),
        lambda item, _: TransientError(item, "no answer in time"),
    ),
)


def _chain(error: BaseException | None) -> Iterable[BaseException]:
    """Return the error and those inside it: libraries nest theirs in `args`, `reason` and `__cause__`."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, BaseException) or current in seen:
            continue
        seen.append(current)
        waiting += [getattr(current, "reason", None), getattr(current, "original_error", None)]
        waiting += [current.__cause__, current.__context__, *current.args]
    return seen


def _innermost(causes: list[BaseException]) -> str:
    for cause in reversed(causes):
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, requests.RequestException):
            return cause.strerror.lower()
    return f"{type(causes[-1]).__name__}: {causes[-1]}"
