"""Attacks of registries that have no number: where they send us, and answers without end."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.bundle.reader import open_bundle
from bundler.errors import AuthError
from bundler.importer import Destination, import_bundle, verify_bundle
from bundler.ledger.ledger import Ledger
from bundler.limits import MIB, Limits
from bundler.oci.digest import sha256
from bundler.oci.manifest import OCI_MANIFEST
from bundler.oci.reference import parse_prefix
from bundler.registry.auth.credentials import CredentialSources
from bundler.registry.http.exchange import TransportSettings
from bundler.registry.registries import Registries, RegistrySettings
from bundler.registry.settings import HostSettings
from bundler.session import Session
from tests.builders import (
    Content,
    a_bundle,
    a_module,
    an_image,
    index_document,
    manifest_document,
    noise,
    sign_by_subject,
)
from tests.doubles import (
    ALWAYS,
    Answer,
    Canary,
    FakeClock,
    Fault,
    MemoryRegistry,
    Reply,
    Seen,
    Wire,
    changed,
    cut_after,
    says,
    wants,
    with_headers,
    writes,
)
from tests.flows import PATIENT, exported, imported, registries_for

FAR = "registry.example"
"""A registry that is not this machine: it is reached through a proxy, which is the test's own."""


@pytest.fixture
def source() -> Iterator[MemoryRegistry]:
    with MemoryRegistry({"app": a_module("1.0.0")}) as registry:
        yield registry


@pytest.fixture
def canary() -> Iterator[Canary]:
    """A service of this machine, that nobody from outside should reach."""
    with Canary(lambda request: Reply(200, {}, b'{"token": "t"}')) as server:
        yield server


def far_registries(proxy: MemoryRegistry, clock: FakeClock, *, plain: bool = True) -> Registries:
    proxies = {"http": proxy.base, "https": proxy.base}
    hosts = frozenset({FAR}) if plain else frozenset[str]()
    return Registries(
        RegistrySettings(
            TransportSettings(proxies=proxies, limits=PATIENT),
            HostSettings(hosts, limits=PATIENT, clock=clock, sleep=clock.sleep),
            CredentialSources([f"{FAR} carrier:correct-horse"], "the test"),
        )
    )


def inside(canary: Canary) -> list[str]:
    """This machine in many spellings, and what else only it can mean."""
    port = canary.host.partition(":")[2]
    names = ["127.0.0.1", "localhost", "127.1", "0x7f.1", "0177.0.0.1", "2130706433", "0.0.0.0", "[::1]",
             "[::ffff:127.0.0.1]", "a.localhost", "127.0.0.1.", "LOCALHOST", "127.255.255.1"]  # fmt: skip
    return [*(f"http://{name}:{port}/x" for name in names), "http://169.254.169.254/latest/meta-data",
            "http://[fe80::1%25lo]/", "http://[fe80::1]/", "file:///etc/passwd"]  # fmt: skip


# --- where they send us --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(17))
def test_a_registry_elsewhere_can_not_redirect_to_this_machine(
    number: int, source: MemoryRegistry, canary: Canary, tmp_path: Path, clock: FakeClock
) -> None:
    source.on("GET", "/blobs/", says(307, Location=inside(canary)[number]), times=ALWAYS)
    report = exported(tmp_path / "b.tar.zst", f"{FAR}/app", registries=far_registries(source, clock))
    assert report.exit_code == 7
    assert canary.seen == []
    assert [seen for seen in source.seen if "/v2/" not in seen.target] == []


@pytest.mark.parametrize("number", range(17))
def test_a_remote_registry_can_not_point_its_realm_at_loopback(
    number: int, source: MemoryRegistry, canary: Canary, tmp_path: Path, clock: FakeClock
) -> None:
    challenge = f'Bearer realm="{inside(canary)[number]}",service="s"'
    source.on("GET", "", wants("Bearer t".__eq__, challenge), times=ALWAYS)
    report = exported(tmp_path / "b.tar.zst", f"{FAR}/app", registries=far_registries(source, clock))
    assert report.exit_code == AuthError.exit_code
    assert canary.seen == []


@pytest.mark.parametrize("number", range(17))
def test_a_remote_target_can_not_redirect_uploads_to_loopback(
    number: int, source: MemoryRegistry, canary: Canary, tmp_path: Path, clock: FakeClock
) -> None:
    source.on("HEAD", "", says(404), times=ALWAYS)
    source.on("POST", "", says(202, Location=inside(canary)[number]), times=ALWAYS)
    with open_bundle(a_bundle(tmp_path / "b.tar.zst", {"h.example/app": an_image()})) as bundle:
        destination = Destination(parse_prefix(FAR))
        session, ledger = Session(far_registries(source, clock)), Ledger(tmp_path / "ledger")
        report = import_bundle(verify_bundle(bundle), destination, session, ledger)
    assert report.exit_code == 10
    assert canary.seen == []
    assert source.asked("PUT") == []


def test_a_page_whose_link_has_a_user_in_it_is_refused(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    link = f'<http://carrier:x@{FAR}/v2/app/tags/list?last=1>; rel="next"'
    source.on("GET", "/tags/list", says(200, '{"tags": ["1.0.0"]}', Link=link), times=ALWAYS)
    report = exported(tmp_path / "b.tar.zst", f"{FAR}/app", registries=far_registries(source, clock))
    assert (report.exit_code, len(source.seen)) == (7, 1)


# --- answers without end -------------------------------------------------------------------------------


def floods(data: bytes, start: bytes = b"") -> Fault:
    """The same bytes for ever."""

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        try:
            wire.connection.sendall(start)
            while True:
                wire.connection.sendall(data * 1000)
        except OSError:
            return False

    return fault


def drips(data: bytes, start: bytes = b"") -> Fault:
    """One byte after the other, always in time for the next read."""

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        try:
            wire.connection.sendall(start)
            for number in range(10_000):
                wire.connection.sendall(data[number % len(data) :][:1])
                wire._ended.wait(0.02)
        except OSError:
            pass
        return False

    return fault


OK, CHUNKED = b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS: dict[str, Fault] = {
    "100 Continue": floods(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "100 Continue with headers": floods(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"),
    "103 Early Hints": floods(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "headers": floods(b"X: y\r\n", OK),
    "one header": floods(b"x", OK + b"X: "),
    "folded header": floods(b" x\r\n", OK + b"X: y\r\n"),
    "status line": floods(b"x", b"HTTP/1.1 200 "),
    "chunk extension": floods(b"x", CHUNKED + b"1;"),
    "zeros of a chunk size": floods(b"0", CHUNKED),
    "tiny chunks": floods(b"1\r\nx\r\n", CHUNKED),
    "a chunk of all": floods(b"x", CHUNKED + b"FFFFFFFFFFFFFFFF\r\n"),
    "trailers": floods(b"X: y\r\n", CHUNKED + b"1\r\nx\r\n0\r\n"),
    "body": floods(b"x", OK + b"\r\n"),
    "dripping headers": drips(b"X: y\r\n", OK),
    "dripping chunk size": drips(b"0", CHUNKED),
    "dripping trailers": drips(b"X: y\r\n", CHUNKED + b"1\r\nx\r\n0\r\n"),
    "dripping body": drips(b"x", OK + b"Content-Length: 100000\r\n\r\n"),
}
SHORT = Limits(connect_timeout=30.0, read_timeout=0.3, blob_seconds=0.3, blob_rate=1 << 30, attempts=2)


@pytest.mark.parametrize("path", ["/tags/list", "/manifests/", "/blobs/"])
@pytest.mark.parametrize("name", ENDLESS)
def test_an_answer_without_end_ends(
    name: str, path: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    source.on("GET", path, ENDLESS[name], times=ALWAYS)
    # Waits between tries cost nothing; the answers themselves take their real time.
    hosts = HostSettings(limits=SHORT, sleep=clock.sleep)
    known = Registries(RegistrySettings(TransportSettings(limits=SHORT), hosts))
    begun = time.monotonic()
    report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=known, jobs=1)
    assert report.exit_code in (5, 6, 7), report.failures
    assert time.monotonic() - begun < 300
    assert not (tmp_path / "b.tar.zst").exists()


def test_what_is_had_already_may_not_come_slower_than_the_limit(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """A cut, and then the whole blob instead of the range: its start is passed over, drop by drop."""
    content = Content()
    layer = noise("layer", 5_000)
    content.add_manifest(manifest_document(content.add_blob(b"{}"), [content.add_blob(layer)]), "1.0.0")
    source.repositories["slow"] = content
    source.on("GET", sha256(layer), cut_after(4_900))
    source.on("GET", sha256(layer), drips(layer, OK + b"Content-Length: 5000\r\n\r\n"), times=ALWAYS)
    limits = SHORT._replace(read_timeout=3.0, blob_seconds=1.0)
    hosts = HostSettings(limits=limits, sleep=clock.sleep)
    known = Registries(RegistrySettings(TransportSettings(limits=limits), hosts))
    report = exported(tmp_path / "b.tar.zst", f"{source.host}/slow", registries=known)
    assert report.exit_code == 5
    assert "slower than the limit: 4,900 of 5,000 bytes" in report.failures[0].cause


ODD = {
    "negative length": OK + b"Content-Length: -1\r\n\r\n{}",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 200\r\n\r\n{}",
    "a length that is none": OK + b"Content-Length: two\r\n\r\n{}",
    "a length of 2^70": OK + b"Content-Length: 1180591620717411303424\r\n\r\n{}",
    "length and chunks": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "negative chunk": CHUNKED + b"-5\r\n{}\r\n0\r\n\r\n",
    "no chunk size": CHUNKED + b"zz\r\n{}\r\n",
    "status 99": b"HTTP/1.1 099 x\r\n\r\n",
    "status 1000": b"HTTP/1.1 1000 x\r\n\r\n",
    "HTTP/9": b"HTTP/9.9 200 OK\r\n\r\n{}",
    "HTTP/0.9": b"{}",
    "NUL in a header": OK + b"X: \0\r\nContent-Length: 2\r\n\r\n{}",
    "two answers": OK + b"Content-Length: 2\r\n\r\n{}" + OK + b"Content-Length: 2\r\n\r\n{}",
    "204 with a body": b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}",
    "unknown transfer encoding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("path", ["/tags/list", "/manifests/", "/blobs/"])
@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_is_an_error_and_no_content(
    name: str, path: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    source.on("GET", path, writes(ODD[name]), times=ALWAYS)
    known = registries_for(clock, limits=PATIENT)
    report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=known, jobs=1)
    # `{}` is also a tag list without tags.
    assert report.exit_code in (5, 6, 7) or (path, report.exit_code, report.bundle) == ("/tags/list", 0, None)
    assert not (tmp_path / "b.tar.zst").exists()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_an_encoding_that_was_not_asked_for_is_not_undone(
    encoding: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    bomb = gzip.compress(bytes(50 << 20), mtime=0)
    source.on("GET", "/manifests/", says(200, bomb, Content_Encoding=encoding), times=ALWAYS)
    report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=registries_for(clock))
    assert report.exit_code == 7


def test_a_head_with_a_body_spoils_no_later_answer(tmp_path: Path, clock: FakeClock) -> None:
    """What comes behind the head of an answer would be taken for the next one: that the tag is there."""
    content = an_image()
    smuggled = Reply(200, {"Docker-Content-Digest": content.tags["1.0.0"]}).head(**{"Content-Length": "0"})

    def with_body(wire: Wire, request: Seen, answer: Answer) -> bool:
        wire.write(Reply(404).head(**{"Content-Length": str(len(smuggled))}) + smuggled)
        return True

    with MemoryRegistry({"app": content}) as target:
        target.on("HEAD", "", with_body, times=ALWAYS)
        target.on("POST|PUT|PATCH", "", says(405), times=ALWAYS)
        bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": content})
        report = imported(bundle, target.host, registries=registries_for(clock, limits=PATIENT))
    assert report.exit_code in (5, 10)


# --- lists without end, tokens, cookies -----------------------------------------------------------------


def test_a_tag_list_with_one_new_tag_on_every_page_ends(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    def page(wire: Wire, request: Seen, answer: Answer) -> bool:
        number = len(source.seen)
        link = f'</v2/app/tags/list?last={number}>; rel="next"'
        wire.send(request, Reply(200, {"Link": link}, json.dumps({"tags": [f"1.{number}.0"]}).encode()))
        return True

    source.on("GET", "/tags/list", page, times=ALWAYS)
    known = registries_for(clock, limits=PATIENT._replace(tag_pages=50))
    report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=known)
    assert report.exit_code == 7
    assert len(source.seen) == 50


def test_referrers_that_refer_to_each_other_end(tmp_path: Path, clock: FakeClock) -> None:
    """A list may say so; a manifest can't hold its own digest, so one of them refers to another."""
    from bundler.selection.sources import Include

    content = a_module("1.0.0")
    first = sign_by_subject(content, content.tags["1.0.0"], listed=False)
    second = sign_by_subject(content, first, listed=False)
    entries = [
        {
            "mediaType": content.manifests[digest][0],
            "digest": digest,
            "size": len(content.manifests[digest][1]),
        }
        for digest in (first, second)
    ]
    with MemoryRegistry({"app": content}, referrers=True) as source:
        source.on("GET", "/referrers/", says(200, json.dumps(index_document(*entries))), times=ALWAYS)
        report = exported(
            tmp_path / "b.tar.zst", f"{source.host}/app:1.0.0",
            registries=registries_for(clock), along=Include(referrers=True),
        )  # fmt: skip
        assert len(source.seen) < 20
    assert report.exit_code == 7


@pytest.mark.parametrize("seconds", ["-5", "0", "1e13", "31536000000000000", "null", '"60"', "true", "1e400"])
def test_a_token_of_any_age_is_asked_for_a_few_times_only(
    seconds: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    challenge = f'Bearer realm="{source.base}/token",service="s"'
    source.on("GET", "^/v2/", wants("Bearer t".__eq__, challenge), times=ALWAYS)
    body = f'{{"token": "t", "expires_in": {seconds}, "issued_at": "1970-01-01T00:00:00Z"}}'
    source.on("GET", "/token", says(200, body), times=ALWAYS)
    report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=registries_for(clock))
    assert report.exit_code == 0
    assert len(source.asked("GET", "/token")) <= 3


def test_cookies_and_orders_for_the_future_are_not_kept(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    fault = with_headers(
        Set_Cookie="a=b", Strict_Transport_Security="max-age=1", Alt_Svc='h2="evil.example:443"',
        Refresh="0; url=http://evil.example/",
    )  # fmt: skip
    source.on("GET", "", fault, times=ALWAYS)
    report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=registries_for(clock))
    assert report.exit_code == 0
    assert all("Cookie" not in seen.headers for seen in source.seen)


def test_the_answer_to_a_range_may_not_be_another_blobs(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    source.on("GET", "/blobs/", changed(lambda reply: Reply(206, {"Content-Range": "bytes 0-1/2"}, b"ab")))
    report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=registries_for(clock))
    assert report.exit_code in (0, 5, 6)


# --- documents that take more room than they are long -----------------------------------------------------

_EXPORT = """
import resource, sys
from bundler.__main__ import run
resource.setrlimit(resource.RLIMIT_CPU, (100, 100))
print("CODE", run(["export", *sys.argv[2:], "--quiet", "-o", sys.argv[1]]))
# Not ru_maxrss: that counts what the parent held before this program was started.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("PEAK", int(peak.split()[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("filling", [b"{},", b'{"":1.5},', "\N{GRINNING FACE}".encode()])
@pytest.mark.parametrize("path", ["/tags/list", "/manifests/"])
def test_documents_that_grow_when_parsed_take_little_memory(
    path: str, filling: bytes, tmp_path: Path
) -> None:
    """As many at a time as there are jobs: parsed, one of them takes some hundred megabytes."""
    start, end = (b'{"tags": [', b"1]}") if filling.endswith(b",") else (b'{"tags": ["', b'"]}')
    body = start + filling * ((4 * MIB - 20) // len(filling)) + end
    paths = [f"app{number}" for number in range(16)]
    with MemoryRegistry({path: a_module("1.0.0", "1.1.0") for path in paths}) as source:
        source.on("GET", path, says(200, body, Content_Type=OCI_MANIFEST), times=ALWAYS)
        references = [f"{source.host}/{path}" for path in paths]
        ended = subprocess.run(
            [sys.executable, "-c", _EXPORT, str(tmp_path / "b.tar.zst"), *references],
            capture_output=True, text=True, check=True, timeout=1000,
        )  # fmt: skip
    words = ended.stdout.split()
    assert words[words.index("CODE") + 1] == "7"
    assert int(words[words.index("PEAK") + 1]) < 200 * 1024
