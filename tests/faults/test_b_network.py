"""B. Faults of the network: cases 27 to 42, through a whole export."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from bundler.__main__ import run
from bundler.bundle.reader import open_bundle
from bundler.cli.setup.registry_access import connected
from bundler.config.run_options import ConnectionOptions
from bundler.errors import NetworkError
from bundler.importer import verify_bundle
from bundler.limits import Limits
from bundler.oci.digest import sha256
from bundler.registry.auth.credentials import CredentialSources
from bundler.registry.http.exchange import Request, TransportSettings
from bundler.registry.http.transport import Transport
from bundler.registry.registries import Registries, RegistrySettings
from bundler.registry.settings import HostSettings
from bundler.reporting.json_report import Report
from bundler.reporting.progress import Silence
from tests.builders import Content, a_module, an_image, manifest_document, noise
from tests.doubles import (
    ALWAYS,
    FakeClock,
    Fault,
    MemoryRegistry,
    Reply,
    changed,
    cut_after,
    cut_chunked,
    extra,
    flipped,
    hang_up,
    reset,
    reset_after,
    says,
    short,
    stall_after,
    with_headers,
    without_length,
    writes,
)
from tests.flows import PATIENT, SILENCE, exported, registries_for

SIZE = 100_000
LAYER = noise("layer", SIZE)
DIGEST = sha256(LAYER)


def content_with_a_layer() -> Content:
    content = Content()
    content.add_manifest(manifest_document(content.add_blob(b"{}"), [content.add_blob(LAYER)]), "1.0.0")
    return content


@pytest.fixture
def source() -> Iterator[MemoryRegistry]:
    with MemoryRegistry({"app": content_with_a_layer(), "image": an_image()}) as registry:
        yield registry


def export(
    source: MemoryRegistry, folder: Path, clock: FakeClock, *names: str, limits: Limits = PATIENT
) -> Report:
    references = [f"{source.host}/{name}" for name in names or ("app",)]
    return exported(folder / "b.tar.zst", *references, registries=registries_for(clock, limits=limits))


def is_whole(folder: Path) -> bool:
    with open_bundle(folder / "b.tar.zst") as bundle:
        return bool(verify_bundle(bundle).manifests)


BREAKS: dict[str, Fault] = {
    "27 RST before headers": reset,
    "27 FIN before headers": hang_up,
    "27 RST in the body": reset_after(5000),
    "27 FIN in the body": cut_after(5000),
    "27 FIN at the first byte": cut_after(0),
    "27 chunked cut": cut_chunked(5000),
    "28 no length, closed early": without_length(5000),
    "29 short": changed(short),
    "29 extra": changed(extra),
    "29 flipped": changed(flipped),
    "31 stall before headers": stall_after(None),
    "31 stall in the body": stall_after(5000),
    "41 half a status line": writes(b"HTTP/1."),
    "41 no HTTP": writes(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
}


# A tag list has no digest: other bytes are another list, or none.
@pytest.mark.parametrize(
    ("name", "path"),
    [
        (name, path)
        for name in BREAKS
        for path in ("/blobs/" + DIGEST, "/manifests/", "/tags/list")
        if not (name.startswith("29") and path == "/tags/list")
    ],
)
def test_what_breaks_once_is_tried_again(
    name: str, path: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Cases 27, 28, 29, 31, 41."""
    source.on("GET", path, BREAKS[name])
    report = export(source, tmp_path, clock, limits=SILENCE if "stall" in name else PATIENT)
    assert report.failures == ()
    assert is_whole(tmp_path)


def test_without_a_length_and_whole_all_is_well(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    source.on("GET", "", without_length(), times=ALWAYS)
    assert export(source, tmp_path, clock).exit_code == 0


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (without_length(5000), 6), (changed(short), 6), (changed(extra), 6), (changed(flipped), 6),
        (reset, 5), (hang_up, 5),
    ],
)  # fmt: skip
def test_what_breaks_every_time_costs_its_tag_only_and_ends(
    fault: Fault, code: int, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Cases 28, 30."""
    source.on("GET", DIGEST, fault, times=ALWAYS)
    report = export(source, tmp_path, clock, "app", "image")
    assert (report.exit_code, [failure.exit_code for failure in report.failures]) == (8, [code])
    assert len(source.asked("GET", DIGEST)) <= 4 * PATIENT.attempts


def test_silence_every_time_costs_its_tag_only_and_ends(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 31."""
    source.on("GET", DIGEST, stall_after(None), times=ALWAYS)
    report = export(source, tmp_path, clock, "app", "image", limits=SILENCE._replace(attempts=2))
    assert (report.exit_code, [failure.exit_code for failure in report.failures]) == (8, [5])
    assert len(source.asked("GET", DIGEST)) <= 8


def test_bytes_always_wrong_are_tried_3_times_both_digests_named(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 30."""
    source.on("GET", DIGEST, changed(flipped), times=ALWAYS)
    (failure,) = export(source, tmp_path, clock, "app", "image").failures
    assert DIGEST in failure.cause
    assert sha256(flipped(Reply(body=LAYER)).body) in failure.cause
    assert len(source.asked("GET", DIGEST)) == 3


# --- resume ------------------------------------------------------------------------------------------

CUT = SIZE * 9 // 10


def test_a_download_cut_at_90_percent_goes_on_by_range(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 33."""
    source.on("GET", DIGEST, cut_after(CUT))
    assert export(source, tmp_path, clock).exit_code == 0
    _, second = source.asked("GET", DIGEST)
    assert second.headers["Range"] == f"bytes={CUT}-{SIZE - 1}"


ANSWERS: dict[str, Fault] = {
    "200": changed(lambda reply: Reply(200, {}, LAYER)),
    "416": says(416),
    "wrong Content-Range": changed(
        lambda reply: Reply(206, {"Content-Range": f"bytes 0-{SIZE - 1}/{SIZE}"}, LAYER)
    ),
    "no Content-Range": changed(lambda reply: Reply(206, {}, LAYER[:100])),
    "other bytes": changed(flipped),
    "fewer bytes": changed(lambda reply: reply._replace(body=reply.body[:50])),
    "more bytes": changed(extra),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_answers_a_range_the_blob_is_never_a_mix(
    answer: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 33."""
    source.on("GET", DIGEST, cut_after(CUT))
    source.on("GET", DIGEST, ANSWERS[answer])
    assert export(source, tmp_path, clock).exit_code == 0
    with open_bundle(tmp_path / "b.tar.zst") as bundle:
        assert {blob.digest: b"".join(chunks) for blob, chunks in bundle.everything()}[DIGEST] == LAYER


def test_a_registry_without_ranges_is_read_from_the_start(tmp_path: Path, clock: FakeClock) -> None:
    """Case 33."""
    with MemoryRegistry({"app": content_with_a_layer()}, ranges=False) as source:
        source.on("GET", DIGEST, cut_after(CUT))
        assert export(source, tmp_path, clock).exit_code == 0


def test_the_next_run_goes_on_where_the_last_one_ended(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 33."""
    source.on("GET", DIGEST, cut_after(CUT))
    source.on("GET", DIGEST, reset, times=PATIENT.attempts)
    assert export(source, tmp_path, clock).exit_code == 5
    assert export(source, tmp_path, clock).exit_code == 0
    assert source.asked("GET", DIGEST)[-1].headers["Range"] == f"bytes={CUT}-{SIZE - 1}"


def test_a_link_that_keeps_breaking_keeps_bytes_for_the_next_run(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 33."""
    source.on("GET", DIGEST, cut_after(CUT))
    source.on("GET", DIGEST, cut_after(10), times=20)
    assert export(source, tmp_path, clock).exit_code == 5
    source._rules.clear()
    assert export(source, tmp_path, clock).exit_code == 0
    start = source.asked("GET", DIGEST)[-1].headers["Range"].removeprefix("bytes=").partition("-")[0]
    assert int(start) >= CUT


# --- nobody there, TLS -------------------------------------------------------------------------------


def test_a_refused_connection_names_host_and_port(tmp_path: Path, clock: FakeClock) -> None:
    """Case 35."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    report = exported(tmp_path / "b.tar.zst", f"{host}/app", registries=registries_for(clock, limits=PATIENT))
    (failure,) = report.failures
    assert failure.exit_code == 5
    assert host in f"{failure.item} {failure.cause}"
    assert "refused" in failure.cause


def test_an_unknown_host_name_is_not_asked_for_again(tmp_path: Path, clock: FakeClock) -> None:
    """Case 35."""
    report = exported(tmp_path / "b.tar.zst", "no-such-host.invalid/app", registries=registries_for(clock))
    assert (report.exit_code, clock.naps) == (5, [])
    assert "no-such-host.invalid" in report.failures[0].cause + report.failures[0].item


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("wrong", "next_step"),
    [("unknown authority", "--ca-file"), ("expired", "renewed"), ("wrong name", "use a name")],
)
def test_an_untrusted_certificate_ends_at_once_with_advice(
    wrong: str, next_step: str, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 36."""
    authority, other = trustme.CA(), trustme.CA()
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    past = datetime(2001, 1, 1, tzinfo=UTC) if wrong == "expired" else None
    name = "elsewhere.example" if wrong == "wrong name" else "127.0.0.1"
    certificate = authority.issue_cert(name, not_before=past, not_after=past)
    ca_file = tmp_path / ("other.pem" if wrong == "unknown authority" else "ca.pem")
    with MemoryRegistry({"app": a_module()}, tls=_context(certificate)) as source:
        known = registries_for(clock, ca_file=ca_file)
        report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=known)
    assert report.exit_code == 5
    assert "certificate is not trusted" in report.failures[0].cause
    assert next_step in report.failures[0].next_step
    assert (clock.naps, source.seen) == ([], [])


def test_a_certificate_of_a_named_authority_is_trusted(
    tmp_path: Path, clock: FakeClock, tls: ssl.SSLContext
) -> None:
    """Case 36."""
    with MemoryRegistry({"app": a_module()}, tls=tls) as source:
        known = registries_for(clock, ca_file=tmp_path / "ca.pem")
        assert exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=known).exit_code == 0


# --- slowness, proxies, headers ----------------------------------------------------------------------


def test_a_blob_slower_than_the_limit_ends_in_bounded_time(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 38."""

    def late(reply: Reply) -> Reply:
        clock.now += 100_000
        return reply

    source.on("GET", DIGEST, changed(late), times=ALWAYS)
    report = export(source, tmp_path, clock)
    assert report.exit_code == 5
    assert "slower than the limit" in report.failures[0].cause


def test_a_proxy_is_used_for_other_hosts_only(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 39."""
    with MemoryRegistry({}) as proxy:
        settings = RegistrySettings(
            TransportSettings(proxies={"http": proxy.base, "https": proxy.base}, limits=PATIENT),
            HostSettings(frozenset({"registry.example"}), limits=PATIENT, clock=clock, sleep=clock.sleep),
            CredentialSources(),
        )
        first = exported(tmp_path / "a.tar.zst", f"{source.host}/app", registries=Registries(settings))
        assert (first.exit_code, proxy.seen) == (0, [])
        second = exported(tmp_path / "b.tar.zst", "registry.example/app", registries=Registries(settings))
        assert second.exit_code == 4
        assert proxy.seen[0].target.startswith("http://registry.example/v2/app/tags/list")


def test_a_dead_proxy_is_named(tmp_path: Path, clock: FakeClock) -> None:
    """Case 39."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://user:secret@127.0.0.1:{free.getsockname()[1]}"
    settings = RegistrySettings(
        TransportSettings(proxies={"https": address}, limits=PATIENT),
        HostSettings(limits=PATIENT, clock=clock, sleep=clock.sleep),
    )
    report = exported(tmp_path / "b.tar.zst", "registry.example/app", registries=Registries(settings))
    (failure,) = report.failures
    assert failure.exit_code == 5
    assert "proxy" in failure.cause
    assert "secret" not in str(failure)


@pytest.mark.parametrize(
    ("variables", "used"),
    [
        ({"HTTP_PROXY": "A"}, "A"), ({"http_proxy": "A"}, "A"), ({"ALL_PROXY": "A"}, "A"),
        ({"all_proxy": "A"}, "A"),
        ({"HTTP_PROXY": "A", "http_proxy": "B"}, "A"), ({"HTTP_PROXY": "", "http_proxy": "B"}, "B"),
        ({"ALL_PROXY": "A", "HTTP_PROXY": "B"}, "B"), ({"HTTPS_PROXY": "A"}, ""),
        ({"HTTP_PROXY": "A", "NO_PROXY": "registry.example"}, ""),
        ({"HTTP_PROXY": "A", "NO_PROXY": "registry.example:443"}, "A"),
        ({"HTTP_PROXY": "A", "NO_PROXY": "x.example", "no_proxy": "*"}, "A"),
        ({"HTTP_PROXY": "A", "http_proxy": "B", "REQUEST_METHOD": "GET"}, "B"),
        ({"HTTP_PROXY": "A", "ALL_PROXY": "B", "REQUEST_METHOD": "GET"}, "B"),
    ],
)  # fmt: skip
def test_variables_name_the_proxy_as_for_gos_programs(
    variables: dict[str, str], used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 39. Nobody knows the registry but the proxies."""
    with (
        MemoryRegistry({"app": a_module("1.0.0")}) as one,
        MemoryRegistry({"app": a_module("1.0.0")}) as other,
    ):
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, {"A": one.host, "B": f"http://user:pass@{other.host}"}.get(value, value))
        registries = connected(ConnectionOptions(), CredentialSources(), Silence())
        with contextlib.suppress(NetworkError):  # directly, nobody has this name
            Transport(registries.settings.transport).send(Request("GET", "http://registry.example/v2/"))
        assert [name for name, proxy in (("A", one), ("B", other)) if proxy.seen] == list(used)


@pytest.mark.parametrize("address", ["http://user:secret@", "ftp://user:secret@proxy", "http://a b"])
def test_an_option_that_is_no_proxy_is_a_mistake(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Case 39."""
    assert run(["ls", "registry.example/app", "--proxy", address]) == 2
    message = capsys.readouterr().err
    assert "--proxy: not the address of a proxy; write http://HOST:PORT, or none" in message
    assert "secret" not in message


@pytest.mark.parametrize(
    "fault",
    [with_headers(**{f"X-{number}": "x" for number in range(200)}), with_headers(X="x" * 70_000)],
    ids=["200 headers", "70 KB header"],
)
def test_too_many_or_too_long_headers_are_a_network_error(
    fault: Fault, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 41."""
    source.on("GET", "/tags/list", fault, times=ALWAYS)
    assert export(source, tmp_path, clock).exit_code == 5


@pytest.mark.parametrize("fault", [hang_up, reset])
def test_a_closed_kept_connection_costs_one_silent_retry(
    fault: Fault, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 42."""
    source.on("GET", DIGEST, fault)
    report = export(source, tmp_path, clock)
    assert (report.exit_code, report.traffic.retries) == (0, 1)
    assert sum(clock.naps) == 0
    assert PATIENT.attempts > 1
