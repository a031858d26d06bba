"""E. Hostile sources: cases 80 to 88. A canary on another port records every request."""

from __future__ import annotations

import gzip
import json
import resource
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from bundler.limits import MIB
from bundler.oci.digest import Digest
from bundler.reporting.json_report import Report
from tests.builders import a_module
from tests.doubles import (
    ALWAYS,
    Answer,
    Canary,
    FakeClock,
    MemoryRegistry,
    Reply,
    Seen,
    Wire,
    changed,
    says,
    wants,
    with_headers,
)
from tests.flows import PATIENT, exported, registries_for

USER = "carrier:correct-horse"
SECRETS = ("carrier", "correct-horse", "Y2FycmllcjpjbwrvcnJlY3QtaG9yc2U")


@pytest.fixture
def source() -> Iterator[MemoryRegistry]:
    with MemoryRegistry({"app": a_module("1.0.0")}) as registry:
        yield registry


@pytest.fixture
def canary(source: MemoryRegistry) -> Iterator[Canary]:
    """Another host, which would even have the blobs."""

    def respond(request: Seen) -> Reply:
        if request.path == "/token":
            return Reply(200, {}, json.dumps({"token": "from-the-canary"}).encode())
        data = source.repositories["app"].blobs.get(Digest(request.path.rpartition("/")[2]))
        return Reply(404) if data is None else Reply(200, {}, data)

    with Canary(respond) as server:
        yield server


def export(source: MemoryRegistry, folder: Path, clock: FakeClock) -> Report:
    registries = registries_for(clock, creds=[f"{source.host} {USER}"])
    report = exported(folder / "b.tar.zst", f"{source.host}/app", registries=registries)
    shown = f"{report}"
    assert not any(secret in shown for secret in SECRETS)
    assert all(
        f"{failure.item}{failure.cause}{failure.next_step}".isprintable() for failure in report.failures
    )
    return report


# --- realms ------------------------------------------------------------------------------------------


def test_a_realm_on_another_host_gets_no_credentials(
    source: MemoryRegistry, canary: Canary, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 80."""
    source.on("GET", "", wants("Bearer good".__eq__, f'Bearer realm="{canary.base}/token"'), times=ALWAYS)
    assert export(source, tmp_path, clock).exit_code == 3
    assert canary.seen
    assert canary.secrets == []


def test_a_realm_that_the_user_allowed_gets_them(
    source: MemoryRegistry, canary: Canary, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 80."""
    challenge = f'Bearer realm="{canary.base}/token"'
    source.on("GET", "", wants("Bearer from-the-canary".__eq__, challenge), times=ALWAYS)
    hosts = frozenset({canary.host})
    registries = registries_for(clock, creds=[f"{source.host} {USER}"], token_hosts=hosts)
    report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=registries)
    assert report.exit_code == 0
    assert [header[:21] for header in canary.secrets[:1]] == ["Authorization: Basic "]


@pytest.mark.parametrize(
    "realm",
    [
        "file:///etc/passwd",
        "http://user:pass@CANARY/token",
        "ftp://CANARY/",
        "//CANARY/token",
        "gopher://CANARY",
    ],
)
def test_a_realm_of_another_form_is_not_asked(
    realm: str, source: MemoryRegistry, canary: Canary, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 80."""
    challenge = f'Bearer realm="{realm.replace("CANARY", canary.host)}"'
    source.on("GET", "", wants("Bearer good".__eq__, challenge), times=ALWAYS)
    assert export(source, tmp_path, clock).exit_code == 3
    assert canary.seen == []


def test_a_plain_realm_of_a_registry_with_tls_is_not_asked(
    canary: Canary, tmp_path: Path, clock: FakeClock, tls: ssl.SSLContext
) -> None:
    """Case 80."""
    with MemoryRegistry({"app": a_module("1.0.0")}, tls=tls) as source:
        source.on("GET", "", wants("Bearer good".__eq__, f'Bearer realm="{canary.base}/token"'), times=ALWAYS)
        known = registries_for(clock, creds=[f"{source.host} {USER}"], ca_file=tmp_path / "ca.pem")
        report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=known)
    assert report.exit_code == 3
    assert canary.seen == []


# --- redirects ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirected_blob_is_taken_without_showing_who_asks(
    status: int, source: MemoryRegistry, canary: Canary, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 81."""
    source.on("GET", "/blobs/", changed(lambda reply: Reply(status, _to(canary, reply))), times=ALWAYS)
    source.on("GET", "", wants(lambda value: value.startswith("Basic "), 'Basic realm="x"'), times=ALWAYS)
    assert export(source, tmp_path, clock).exit_code == 0
    assert canary.seen
    assert canary.secrets == []


def _to(canary: Canary, reply: Reply) -> dict[str, str]:
    return {"Location": f"{canary.base}/{reply.headers['Docker-Content-Digest']}", "Set-Cookie": "a=b"}


def test_the_registry_itself_still_gets_them_behind_a_redirect(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 81."""
    source.on("GET", "/manifests/1.0.0$", says(307, Location="/v2/app/manifests/1.0.0?again=1"))
    source.on("GET", "", wants(lambda value: value.startswith("Basic "), 'Basic realm="x"'), times=ALWAYS)
    assert export(source, tmp_path, clock).exit_code == 0


def test_a_netrc_is_never_used(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 83."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=registries_for(clock))
    assert report.exit_code == 0
    assert not any("Authorization" in seen.headers for seen in source.seen)


def test_cookies_are_never_sent(
    source: MemoryRegistry, canary: Canary, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 84."""
    source.on("GET", "/blobs/", changed(lambda reply: Reply(307, _to(canary, reply))))
    source.on("GET", "", with_headers(Set_Cookie="session=1; Path=/"), times=ALWAYS)
    assert export(source, tmp_path, clock).exit_code == 0
    assert not any("Cookie" in seen.headers for seen in (*source.seen, *canary.seen))


def test_the_body_of_a_redirect_is_not_inflated(
    source: MemoryRegistry, canary: Canary, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 85."""
    bomb = gzip.compress(bytes(300 * MIB), 1, mtime=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    source.on(
        "GET",
        "/blobs/",
        changed(lambda reply: Reply(302, {**_to(canary, reply), "Content-Encoding": "gzip"}, bomb)),
        times=ALWAYS,
    )
    assert export(source, tmp_path, clock).exit_code == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_a_blob_is_taken_as_it_comes_and_not_inflated(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 85."""
    source.on("GET", "/blobs/", with_headers(Content_Encoding="gzip"), times=ALWAYS)
    assert export(source, tmp_path, clock).exit_code == 0


def test_a_redirect_loop_ends(source: MemoryRegistry, tmp_path: Path, clock: FakeClock) -> None:
    """Case 86."""
    source.on("GET", "/tags/list", says(302, Location="/v2/app/tags/list"), times=ALWAYS)
    report = export(source, tmp_path, clock)
    assert report.exit_code in (5, 7)
    assert len(source.seen) <= PATIENT.redirects + 2


@pytest.mark.parametrize(
    "location",
    [
        "",
        "file:///etc/passwd",
        "http://user:pass@CANARY/",
        "http://[::1",
        "http://CANARY:0/",
        "javascript:1",
        "x" * 20_000,
        "http://",
        "gopher://CANARY/1",
    ],
)
def test_an_odd_location_is_refused_without_being_asked(
    location: str, source: MemoryRegistry, canary: Canary, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 86."""
    place = location.replace("CANARY", canary.host)
    source.on("GET", "/blobs/", says(302, Location=place), times=ALWAYS)
    report = export(source, tmp_path, clock)
    assert report.exit_code in (5, 7)
    assert "pass@" not in str(report.failures)
    assert canary.seen == []


# --- messages ----------------------------------------------------------------------------------------

WORDS = [
    "\x1b[31mred\x1b]0;title\x07",
    "line\r\nsecond line: fake",
    "\u202eright to left",
    "<script>" * 100,
    "\xff\x00",
]


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("as_json", [True, False])
def test_the_registrys_own_words_are_shown_as_one_clean_line(
    words: str, as_json: bool, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 87."""
    body = json.dumps({"errors": [{"code": words, "message": words}]}) if as_json else words
    source.on("GET", "/manifests/", says(400, body.encode("utf-8", "replace")), times=ALWAYS)
    (failure,) = export(source, tmp_path, clock).failures
    assert len(failure.cause) <= 700


@pytest.mark.parametrize(("scheme", "where"), [("Basic", "/v2/"), ("Bearer", "/v2/"), ("Bearer", "/token")])
@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_a_secret_that_a_registry_says_again_is_not_shown(
    scheme: str, where: str, status: int, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 87."""

    def echo(wire: Wire, request: Seen, answer: Answer) -> bool:
        seen = request.headers.get("Authorization", "")
        password = USER.partition(":")[2]
        words = f"you sent {seen}, that is {password} or {quote(password)}"
        error = {"errors": [{"code": "DENIED", "message": words}], "details": words}
        wire.send(request, Reply(status, {}, json.dumps(error).encode()))
        return True

    def who(wire: Wire, request: Seen, answer: Answer) -> bool:
        challenge = f'{scheme} realm="{source.base}/token"'
        wire.send(request, Reply(401, {"WWW-Authenticate": challenge}))
        return True

    if scheme == "Bearer" and where == "/v2/":
        source.on("GET", "/token", says(200, f'{{"token": "TOPSECRET-{status}"}}'), times=ALWAYS)
    source.on("GET", "/v2/", who, times=ALWAYS if where == "/token" else 1)
    source.on("GET", where, echo, times=ALWAYS)
    report = export(source, tmp_path, clock)
    assert report.exit_code in (3, 4, 5)
    assert where == "/token" or "***" in report.failures[0].cause


def test_of_an_endless_error_only_the_start_is_read(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 87."""
    sent: list[int] = []

    def endless(wire: Wire, request: Seen, answer: Answer) -> bool:
        wire.connection.sendall(Reply(400).head(**{"Content-Length": str(50 * MIB)}))
        while len(sent) < 800:
            wire.connection.sendall(b"e" * 65_536)
            sent.append(65_536)
        return False

    source.on("GET", "/manifests/", endless)
    assert export(source, tmp_path, clock).exit_code == 5
    assert sum(sent) < 20 * MIB  # the rest is what the system's buffers take


def test_the_secrets_in_a_presigned_address_are_shown_nowhere(
    source: MemoryRegistry, canary: Canary, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 88."""
    place = f"{canary.base}/absent?X-Amz-Signature=TOPSECRET&X-Amz-Credential=AKIA"
    source.on("GET", "/blobs/", says(307, Location=place), times=ALWAYS)
    report = export(source, tmp_path, clock)
    assert report.exit_code == 4
    assert "TOPSECRET" not in str(report)
    assert "AKIA" not in str(report)
