"""One host: retry, pace, tokens, redirects, and which of http and https it speaks."""

from __future__ import annotations

import itertools
import json
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bundler.errors import AuthError, ContentError, NetworkError, NotFoundError
from bundler.oci.reference import RegistryName
from bundler.registry.auth.token_exchange import Credentials
from bundler.registry.http.exchange import TransportSettings
from bundler.registry.http.host import Host
from bundler.registry.http.retry import Deadline, Retry, TransientError
from bundler.registry.http.status import RequestRefusedError
from bundler.registry.http.transport import Transport
from bundler.registry.settings import HostSettings, Traffic
from tests.doubles import ALWAYS, FakeClock, LoopbackServer, Reply, Seen, hang_up, says, wants
from tests.flows import PATIENT

OK = frozenset({200})
SCOPE = "repository:app:pull"


def anonymous(name: RegistryName, path: str) -> None:
    """No credentials for anybody."""


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(lambda request: Reply(200, {}, request.path.encode())) as running:
        yield running


def host_of(
    server: LoopbackServer,
    clock: FakeClock,
    *,
    credentials: Credentials | None = None,
    ca_file: Path | None = None,
    on_retry: Callable[[str], None] = lambda line: None,
) -> Host:
    settings = HostSettings(limits=PATIENT, clock=clock, sleep=clock.sleep, on_retry=on_retry)
    transport = Transport(TransportSettings(ca_file, limits=PATIENT))
    return Host(RegistryName(server.host), transport, lambda name, path: credentials, settings, Traffic())


def get(host: Host, path: str = "/v2/app/x", limit: int = 100) -> bytes:
    return host.fetch("GET", path, SCOPE, accept=OK, limit=limit).body


def tokens(server: LoopbackServer, expires_in: int = 300) -> None:
    """The server wants the token that it gave last."""
    numbers = itertools.count(1)
    given = ["none"]

    def give(request: Seen) -> Reply:
        given.append(f"t{next(numbers)}")
        return Reply(200, {}, json.dumps({"token": given[-1], "expires_in": expires_in}).encode())

    server.respond = lambda request: give(request) if request.path == "/token" else Reply(200, {}, b"in")
    challenge = f'Bearer realm="{server.base}/token",service="s"'
    server.on("GET", "^/v2/", wants(lambda value: value == f"Bearer {given[-1]}", challenge), times=ALWAYS)


# --- retry and pace ----------------------------------------------------------------------------------


def test_waits_grow_and_are_capped(server: LoopbackServer, clock: FakeClock) -> None:
    server.on("GET", "", says(500), times=ALWAYS)
    host = host_of(server, clock)
    with pytest.raises(NetworkError, match=r"500.*\(after 6 attempts\)"):
        get(host)
    assert len(clock.naps) == 5
    assert all(0 <= nap <= 0.5 * 2**number for number, nap in enumerate(clock.naps))


def test_the_seconds_of_a_deadline_are_those_that_passed(clock: FakeClock) -> None:
    end = Deadline(clock, lambda: 0.0, 60.0, 0.0, lambda: 0.0)
    clock.now += 118
    assert end.passed
    assert end.spent == pytest.approx(118)


@pytest.mark.parametrize("code", ["MANIFEST_BLOB_UNKNOWN", "DENIED"])
def test_a_refusal_behind_a_500_is_not_tried_again(
    code: str, server: LoopbackServer, clock: FakeClock
) -> None:
    body = {"errors": [{"code": "UNKNOWN", "message": "unknown error"}, {"code": code, "detail": "x"}]}
    server.on("GET", "", says(500, json.dumps(body)), times=ALWAYS)
    with pytest.raises(RequestRefusedError, match=code):
        get(host_of(server, clock))
    assert len(server.seen) == 1


def test_a_retry_is_told_in_one_line(server: LoopbackServer, clock: FakeClock) -> None:
    lines: list[str] = []
    server.on("GET", "", says(503, "overloaded", Retry_After="7"))
    get(host_of(server, clock, on_retry=lines.append))
    (line,) = lines
    assert "503 overloaded; trying again in 7.0 s" in line


def test_the_same_trouble_is_told_once_a_second(clock: FakeClock) -> None:
    lines: list[str] = []
    settings = HostSettings(limits=PATIENT, clock=clock, sleep=lambda nap: None, on_retry=lines.append)
    retry = Retry(settings, Traffic())

    def meet(cause: str) -> None:
        answers = iter([TransientError("GET x", cause)])
        retry.call(lambda: raised(next(answers, None)))

    for cause in ("refused", "refused", "reset"):
        meet(cause)
    clock.now += 1
    meet("reset")
    assert [line.split(";")[0] for line in lines] == ["GET x: refused", "GET x: reset", "GET x: reset"]


def raised(error: Exception | None) -> None:
    """Raise it, if there is one."""
    if error:
        raise error


def test_a_wait_that_one_thread_was_asked_for_holds_for_all(server: LoopbackServer, clock: FakeClock) -> None:
    server.on("GET", "first", says(429, Retry_After="5"), times=ALWAYS)
    host = host_of(server, clock)
    with pytest.raises(NetworkError):
        get(host, "/v2/app/first")
    before = clock.now
    host = host_of(server, clock)
    server.on("GET", "second", says(429, Retry_After="5"))
    get(host, "/v2/app/second")
    assert clock.now - before == pytest.approx(5.0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 418, 451, 501, 505])
def test_what_will_not_change_is_asked_once(status: int, server: LoopbackServer, clock: FakeClock) -> None:
    server.on("GET", "", says(status), times=ALWAYS)
    with pytest.raises((NetworkError, AuthError, NotFoundError)):
        get(host_of(server, clock))
    assert len(server.seen) == 1


@pytest.mark.parametrize("over", [0, 1])
def test_a_body_may_have_the_limit_and_no_byte_more(
    over: int, server: LoopbackServer, clock: FakeClock
) -> None:
    server.on("GET", "", says(200, b"x" * (100 + over)))
    if over:
        with pytest.raises(ContentError, match="over the limit of 100 bytes"):
            get(host_of(server, clock))
    else:
        assert len(get(host_of(server, clock))) == 100


def test_traffic_is_counted(server: LoopbackServer, clock: FakeClock) -> None:
    server.on("GET", "", hang_up)
    host = host_of(server, clock)
    get(host, "/v2/1234")
    assert (host.traffic.requests, host.traffic.retries, host.traffic.received) == (2, 1, 8)


# --- tokens ------------------------------------------------------------------------------------------


def test_many_threads_ask_for_one_token(server: LoopbackServer, clock: FakeClock) -> None:
    tokens(server)
    host = host_of(server, clock)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: get(host), range(24))) == {b"in"}
    assert len(server.asked("GET", "/token")) == 1


def test_a_known_challenge_is_answered_before_it_is_made_again(
    server: LoopbackServer, clock: FakeClock
) -> None:
    tokens(server)
    host = host_of(server, clock)
    get(host)
    host.fetch("GET", "/v2/other/x", "repository:other:pull", accept=OK, limit=100)
    assert [seen.path for seen in server.seen] == [
        "/v2/app/x",
        "/token",
        "/v2/app/x",
        "/token",
        "/v2/other/x",
    ]
    assert "scope=repository%3Aother%3Apull" in server.seen[3].target


def test_a_token_is_renewed_before_it_expires(server: LoopbackServer, clock: FakeClock) -> None:
    tokens(server, expires_in=300)
    host = host_of(server, clock)
    get(host)
    clock.now += 295
    get(host)
    assert [seen.path for seen in server.seen[3:]] == ["/token", "/v2/app/x"]


def test_a_token_server_that_is_down_for_a_moment_is_asked_again(
    server: LoopbackServer, clock: FakeClock
) -> None:
    tokens(server)
    server.on("GET", "/token", says(503), times=2)
    assert get(host_of(server, clock)) == b"in"


def test_a_wait_asked_by_the_token_server_holds_all_threads(server: LoopbackServer, clock: FakeClock) -> None:
    tokens(server)
    server.on("GET", "/token", says(429, Retry_After="5"))
    host = host_of(server, clock)
    with pytest.raises(NetworkError, match="429"):
        host.exchange("GET", "/v2/app/x", "scope", accept=frozenset({200}))
    assert clock.naps == []
    assert get(host) == b"in"
    assert clock.naps == [5.0]


def test_no_credentials_are_looked_for_where_nobody_asks(server: LoopbackServer, clock: FakeClock) -> None:
    def fails(name: RegistryName, path: str) -> Credentials:
        raise AssertionError(name)

    settings = HostSettings(limits=PATIENT, clock=clock, sleep=clock.sleep)
    host = Host(RegistryName(server.host), Transport(TransportSettings()), fails, settings, Traffic())
    assert get(host)


# --- logins that are refused -------------------------------------------------------------------------

USER = Credentials("ann", "correct horse")
BASIC = 'Basic realm="x"'


@pytest.mark.parametrize(
    ("status", "challenge", "credentials", "cause"),
    [
        (401, BASIC, None, "login required"),
        (401, "", USER, "login required|without saying which login"),
        (401, BASIC, USER, "login refused: wrong user name or password"),
        (403, BASIC, None, "login required"),
    ],
)
def test_a_refused_login_says_what_is_wrong_with_it(
    status: int, challenge: str, credentials: Credentials | None, cause: str,
    server: LoopbackServer, clock: FakeClock,
) -> None:  # fmt: skip
    server.on("GET", "", says(status, WWW_Authenticate=challenge), times=ALWAYS)
    with pytest.raises(AuthError, match=cause):
        get(host_of(server, clock, credentials=credentials))


def test_a_token_without_rights_is_not_called_a_wrong_password(
    server: LoopbackServer, clock: FakeClock
) -> None:
    server.respond = lambda request: Reply(200, {}, b'{"token": "t"}')
    server.on("GET", "^/v2/", says(401, WWW_Authenticate=f'Bearer realm="{server.base}/token"'), times=ALWAYS)
    with pytest.raises(AuthError, match="this user has no permission for it"):
        get(host_of(server, clock, credentials=USER))


def test_a_token_server_elsewhere_that_gives_no_rights_is_named(
    server: LoopbackServer, clock: FakeClock
) -> None:
    with LoopbackServer(lambda request: Reply(200, {}, b'{"token": "anonymous"}')) as elsewhere:
        challenge = f'Bearer realm="{elsewhere.base}/token"'
        server.on("GET", "", says(401, WWW_Authenticate=challenge), times=ALWAYS)
        with pytest.raises(AuthError, match=f"--token-host {elsewhere.host}") as error:
            get(host_of(server, clock, credentials=USER))
    assert "no credentials were sent to the token server" in error.value.cause


def test_a_storage_host_that_refuses_is_named_as_that(server: LoopbackServer, clock: FakeClock) -> None:
    with LoopbackServer(lambda request: Reply(401)) as storage:
        server.on("GET", "", says(307, Location=f"{storage.base}/blob?signature=s"), times=ALWAYS)
        with pytest.raises(AuthError, match="storage host") as error:
            get(host_of(server, clock, credentials=USER))
    assert error.value.item == f"GET {storage.base}/blob"


# --- proxies -----------------------------------------------------------------------------------------


def through(proxies: dict[str, str], clock: FakeClock) -> Host:
    """A host that only a proxy knows."""
    settings = HostSettings(frozenset({"registry.example"}), limits=PATIENT, clock=clock, sleep=clock.sleep)
    transport = Transport(TransportSettings(proxies=proxies, limits=PATIENT))
    return Host(RegistryName("registry.example"), transport, anonymous, settings, Traffic())


@pytest.mark.parametrize("variable", ["http", "all"])
def test_a_proxy_is_for_its_scheme_or_for_all(
    variable: str, server: LoopbackServer, clock: FakeClock
) -> None:
    get(through({variable: server.base, "no": "10.0.0.0/8"}, clock))
    assert [seen.target for seen in server.seen] == ["http://registry.example/v2/app/x"]


@pytest.mark.parametrize("address", ["http://user:secret@", "ftp://user:secret@proxy", "http://secret:99999"])
def test_an_address_that_is_no_proxy_is_named_as_that(address: str, clock: FakeClock) -> None:
    with pytest.raises(NetworkError, match="the address of the proxy can't be used") as error:
        get(through({"http": address}, clock))
    assert "secret" not in str(error.value)


def test_a_missing_package_for_socks_is_named(clock: FakeClock) -> None:
    with pytest.raises(NetworkError, match="PySocks is not installed"):
        get(through({"all": "socks5://127.0.0.1:1"}, clock))


# --- schemes -----------------------------------------------------------------------------------------


def test_a_loopback_host_is_asked_whether_it_speaks_tls(
    tmp_path: Path, clock: FakeClock, tls: ssl.SSLContext
) -> None:
    with LoopbackServer(lambda request: Reply(200, {}, b"in"), tls=tls) as server:
        host = host_of(server, clock, ca_file=tmp_path / "ca.pem")
        assert get(host) == b"in"
        assert host.origin == server.base


def test_a_refusal_of_a_tls_registry_on_loopback_says_https(
    tmp_path: Path, clock: FakeClock, tls: ssl.SSLContext
) -> None:
    with LoopbackServer(lambda request: Reply(403), tls=tls) as server:
        with pytest.raises(AuthError) as error:
            get(host_of(server, clock, ca_file=tmp_path / "ca.pem"))
        assert error.value.item.startswith(f"GET https://{server.host}/")


@pytest.mark.parametrize(
    ("name", "plain", "origin"),
    [
        ("registry.example", frozenset(), "https://registry.example"),
        ("registry.example", frozenset({"registry.example"}), "http://registry.example"),
        ("registry.example:5000", frozenset({"registry.example"}), "http://registry.example:5000"),
        ("registry.example:5000", frozenset({"registry.example:5001"}), "https://registry.example:5000"),
        ("localhost:5000", frozenset(), "http://localhost:5000"),
        ("docker.io", frozenset(), "https://registry-1.docker.io"),
    ],
)
def test_plain_http_is_used_on_loopback_and_where_allowed(
    name: str, plain: frozenset[str], origin: str
) -> None:
    settings = HostSettings(plain)
    host = Host(RegistryName(name), Transport(TransportSettings()), anonymous, settings, Traffic())
    assert host.origin == origin


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("BASE/v2/", True),
        ("http://127.0.0.1:1/", False),
        ("https://127.0.0.1/", False),
        ("BASE.example/", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(
    url: str, same: bool, server: LoopbackServer, clock: FakeClock
) -> None:
    assert host_of(server, clock).same_origin(url.replace("BASE", server.base)) is same


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://registry.example:443/v2/", True),
        ("https://REGISTRY.example/v2/", True),
        ("https://registry.example:80/v2/", False),
        ("https://registry.example:8443/v2/", False),
        ("http://registry.example:443/v2/", False),
    ],
)
def test_the_schemes_own_port_may_be_named_or_not(url: str, same: bool) -> None:
    for name in ("registry.example", "registry.example:443"):
        host = Host(
            RegistryName(name),
            Transport(TransportSettings()),
            anonymous,
            HostSettings(),
            Traffic(),
        )
        assert host.same_origin(url) is same
