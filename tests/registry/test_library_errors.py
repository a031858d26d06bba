"""Every error that the libraries can raise has its meaning in the one table."""

from __future__ import annotations

import http.client
import inspect
import socket
import ssl
from pathlib import Path

import pytest
import requests
import urllib3

from bundler.errors import BundlerError, NetworkError, UsageError
from bundler.registry.http.exchange import Request, TransportSettings
from bundler.registry.http.library_errors import classified, translated
from bundler.registry.http.retry import DroppedError, TransientError
from bundler.registry.http.transport import Transport
from tests.doubles import LoopbackServer, Reply
from tests.flows import PATIENT
from tests.registries import RealRegistry

POOL = urllib3.HTTPConnectionPool("registry.example")
CONNECTION = urllib3.connection.HTTPConnection("registry.example")


def _verification() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "unable to get local issuer certificate"
    error.verify_code = 20
    return error


def _tls(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


def _connection(inner: Exception) -> requests.ConnectionError:
    """As requests wraps what urllib3 raised."""
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(POOL, "/", inner))


def _aborted(inner: Exception) -> requests.ConnectionError:
    return requests.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", inner))


def _unresolved(number: int) -> requests.ConnectionError:
    inner = socket.gaierror(number, "name resolution")
    error = urllib3.exceptions.NameResolutionError("registry.example", CONNECTION, inner)
    error.__cause__ = inner
    return _connection(error)


UNTRUSTED = urllib3.exceptions.SSLError(_verification())
REFUSED = urllib3.exceptions.NewConnectionError(CONNECTION, "[Errno 111] Connection refused")
DEAD_PROXY = urllib3.exceptions.ProxyError("Unable to connect to proxy", OSError(111, "Connection refused"))

FINAL = {
    "unknown authority": (_connection(UNTRUSTED), "not trusted"),
    "plain port": (requests.exceptions.SSLError(_tls("WRONG_VERSION_NUMBER")), "does not speak TLS"),
    "unknown host": (_unresolved(socket.EAI_NONAME), "not known"),
    "bad address": (requests.exceptions.InvalidURL("nothing there"), "not a usable address"),
    "bad header": (requests.exceptions.InvalidHeader("line break"), "not a usable address"),
    "no schema": (requests.exceptions.InvalidSchema("ftp"), "not a usable address"),
    "bad text": (UnicodeError("label too long"), "not a usable address"),
}

PASSING: dict[str, tuple[Exception, type[TransientError]]] = {
    "reset": (_aborted(ConnectionResetError(104, "Connection reset by peer")), DroppedError),
    "closed": (_aborted(http.client.RemoteDisconnected("closed without response")), DroppedError),
    "broken pipe": (BrokenPipeError(32, "Broken pipe"), DroppedError),
    "read time-out": (urllib3.exceptions.ReadTimeoutError(POOL, "/", "timed out"), TransientError),
    "connect time-out": (requests.exceptions.ConnectTimeout(TimeoutError("timed out")), TransientError),
    "plain time-out": (TimeoutError("timed out"), TransientError),
    "refused": (_connection(REFUSED), TransientError),
    "no route": (OSError(113, "No route to host"), TransientError),
    "cut": (urllib3.exceptions.IncompleteRead(5, 10), TransientError),
    "cut below": (http.client.IncompleteRead(b"abc", 10), TransientError),
    "bad chunks": (requests.exceptions.ChunkedEncodingError("chunk"), TransientError),
    "long header": (http.client.LineTooLong("header line"), TransientError),
    "bad status": (http.client.BadStatusLine("SSH-2.0"), TransientError),
    "proxy": (requests.exceptions.ProxyError(DEAD_PROXY), TransientError),
    "name server busy": (_unresolved(socket.EAI_AGAIN), TransientError),
}


@pytest.mark.parametrize("name", FINAL)
def test_what_another_try_can_not_mend_is_final(name: str) -> None:
    error, words = FINAL[name]
    meaning = classified(error, "GET http://registry.example/v2/")
    assert not isinstance(meaning, TransientError)
    assert words in meaning.cause


def test_an_unknown_authority_is_told_with_the_known_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tmp_path / "known.pem"
    known.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(known))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    meaning = classified(FINAL["unknown authority"][0], "GET https://registry.example/v2/")
    assert meaning.next_step == f"name the authority with --ca-file; trusted now: {known}"


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_worth_another_try(name: str) -> None:
    error, kind = PASSING[name]
    meaning = classified(error, "GET http://registry.example/v2/")
    assert type(meaning) is kind
    assert meaning.cause
    assert str(meaning).isprintable()


def _all_of(module: object, base: type[BaseException]) -> list[type[BaseException]]:
    found = [item for _, item in inspect.getmembers(module, inspect.isclass) if issubclass(item, base)]
    assert found
    return [item for item in found if not issubclass(item, Warning)]


KINDS = [
    *_all_of(requests.exceptions, requests.RequestException),
    *_all_of(urllib3.exceptions, urllib3.exceptions.HTTPError),
    *_all_of(http.client, http.client.HTTPException),
]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_exception_of_the_libraries_is_caught_by_the_table(kind: type[BaseException]) -> None:
    error = kind.__new__(kind)
    # What some of them want for their text.
    partial: bytes | int = b"" if kind is http.client.IncompleteRead else 0
    vars(error).update(partial=partial, expected=1, length=b"")
    with pytest.raises(NetworkError), translated("item"):
        raise error


def test_our_own_errors_pass_unchanged() -> None:
    with pytest.raises(UsageError), translated("item"):
        raise UsageError("a", "b")


# --- against real sockets ----------------------------------------------------------------------------


def test_a_plain_port_that_is_spoken_to_by_tls_is_called_so(source_registry: RealRegistry) -> None:
    """Case 36."""
    with pytest.raises(BundlerError, match="does not speak TLS") as error:
        Transport(TransportSettings()).send(Request("GET", f"https://{source_registry.host}/"))
    assert not isinstance(error.value, TransientError)


def test_the_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 39."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with LoopbackServer(lambda request: Reply(200)) as server:
        assert (
            Transport(TransportSettings(limits=PATIENT)).send(Request("GET", server.base + "/")).status == 200
        )


def test_a_file_without_certificates_is_a_usage_error(tmp_path: Path) -> None:
    """Case 111."""
    (tmp_path / "ca.pem").write_text("no certificates")
    for name in ("ca.pem", "absent.pem"):
        with pytest.raises(UsageError, match="--ca-file"):
            Transport(TransportSettings(tmp_path / name)).send(Request("GET", "https://127.0.0.1:1/"))
