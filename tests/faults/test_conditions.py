"""Conditions of numbered cases that the files of their groups leave out."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from bundler.bundle.reader import open_bundle
from bundler.bundle.stream import BundleStream
from bundler.errors import BundlerError, ContentError, IntegrityError
from bundler.exporter import OnDrift
from bundler.importer import Destination, import_stream, verify_bundle
from bundler.ledger.ledger import Ledger
from bundler.oci.digest import Descriptor, sha256
from bundler.oci.manifest import OCI_MANIFEST
from bundler.oci.reference import parse_prefix
from bundler.oci.strict_json import canonical
from bundler.registry.registries import Registries, RegistrySettings
from bundler.registry.settings import HostSettings
from bundler.session import Session
from tests.builders import (
    Content,
    a_bundle,
    a_module,
    an_image,
    descriptor_of,
    document_of,
    framed,
    manifest_document,
    members_of,
    push_to,
    tar_of,
)
from tests.doubles import (
    ALWAYS,
    Answer,
    Canary,
    FakeClock,
    FaultProxy,
    MemoryRegistry,
    Reply,
    Seen,
    Wire,
    changed,
    says,
)
from tests.flows import PATIENT, exported, imported, registries_for
from tests.processes import bundler, clean_environment, strace
from tests.registries import RealRegistry

NAME = "h.example/app"


@pytest.fixture
def source() -> Iterator[MemoryRegistry]:
    with MemoryRegistry({"app": a_module("1.0.0", "1.1.0")}) as registry:
        yield registry


@pytest.fixture
def canary() -> Iterator[Canary]:
    """Somebody whom nobody should ask."""
    with Canary() as server:
        yield server


# --- A, B: source and network --------------------------------------------------------------------------


def test_a_date_in_the_near_future_is_waited_for(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 4."""
    source.on("GET", "/tags/list", says(429, Retry_After=formatdate(time.time() + 60, usegmt=True)))
    report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=registries_for(clock))
    assert report.exit_code == 0
    assert 55 < sum(clock.naps) <= 60


@pytest.mark.parametrize("body", ["", "{}", "null", '{"schemaVersion": 2', '{"schemaVersion": 2}'])
def test_a_manifest_that_is_none_is_refused_as_content(
    body: str, source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 17."""
    source.on("GET", "/manifests/", says(200, body, Content_Type=OCI_MANIFEST), times=ALWAYS)
    report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=registries_for(clock))
    assert report.exit_code == 7
    assert list(tmp_path.rglob("blobs/sha256/*")) == []


def test_a_tag_that_moved_is_carried_as_it_was_and_told(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 21."""
    content = source.repositories["app"]
    first, second = content.tags["1.0.0"], content.tags["1.1.0"]

    def moves(wire: Wire, request: Seen, answer: Answer) -> bool:
        wire.send(request, answer())
        content.tags["1.0.0"] = second
        return True

    source.on("GET", "/manifests/1.0.0", moves)
    report = exported(
        tmp_path / "b.tar.zst", f"{source.host}/app:1.0.0",
        registries=registries_for(clock), on_drift=OnDrift.WARN,
    )  # fmt: skip
    assert report.repositories[0].tags[0].digest == first
    assert second in "".join(report.warnings)


def test_a_plain_port_instead_of_tls_is_named_and_not_retried(
    source: MemoryRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    # Another name of this machine than loopback's own, which would be asked which of the two it speaks.
    """Case 36."""
    port = source.host.partition(":")[2]
    known = Registries(RegistrySettings(hosts=HostSettings(limits=PATIENT, clock=clock, sleep=clock.sleep)))
    report = exported(tmp_path / "b.tar.zst", f"127.0.0.1.nip.invalid:{port}/app", registries=known)
    assert report.exit_code == 5
    assert clock.naps == []


# --- C, D: bundles -------------------------------------------------------------------------------------


@pytest.fixture
def members() -> list[tuple[str, bytes]]:
    """What a good bundle holds."""
    return members_of({NAME: a_module("1.0.0")})


def refusal(data: bytes, folder: Path) -> BundlerError:
    (folder / "b.tar.zst").write_bytes(data)
    with pytest.raises((ContentError, IntegrityError)) as error, open_bundle(folder / "b.tar.zst") as bundle:
        verify_bundle(bundle)
    return error.value


def _damaged(path: Path, place: float) -> Path:
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 16
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, 0.999])
def test_a_damaged_file_pushes_nothing_and_asks_no_target(
    place: float, canary: Canary, tmp_path: Path
) -> None:
    """Case 44."""
    path = _damaged(a_bundle(tmp_path / "b.tar.zst", {NAME: a_module()}), place)
    with pytest.raises((ContentError, IntegrityError)):
        imported(path, canary.host)
    assert canary.seen == []


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9, 0.999])
def test_a_damaged_pipe_pushes_no_manifest_and_no_whole_blob(
    place: float, target_registry: RealRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 44."""
    path = _damaged(a_bundle(tmp_path / "b.tar.zst", {NAME: a_module()}), place)
    with FaultProxy(target_registry.host) as proxy, path.open("rb") as file:
        with pytest.raises((ContentError, IntegrityError)):
            import_stream(
                BundleStream(file, PATIENT),
                Destination(parse_prefix(f"{proxy.host}/damaged/{clock.now:.0f}")),
                Session(registries_for(clock)),
                Ledger(tmp_path / "ledger"),
            )
        digests = {digest for digest, _ in a_module().everything()}
        sent = [seen for seen in proxy.asked("PUT") if "digest=" in seen.target]
        assert proxy.asked("PUT", "/manifests/(?!sha256)") == []
    for seen in sent:
        assert sha256(seen.body) in digests


@pytest.mark.parametrize("name", ["INDEX.JSON", "Bundle.json", "blobs/SHA256/x", "OCI-LAYOUT"])
def test_members_that_collide_when_case_is_ignored_are_refused(
    name: str, members: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    """Case 58."""
    for place in range(1, len(members) + 1):
        changed_members = [*members[:place], (name, b"{}"), *members[place:]]
        assert refusal(framed(tar_of(changed_members)), tmp_path).exit_code == 7


def _index(members: list[tuple[str, bytes]], **entry: object) -> list[tuple[str, bytes]]:
    """The bundle with something else in the first entry of `index.json`."""
    document = json.loads(members[2][1])
    document["manifests"][0].update(entry)
    return [*members[:2], ("index.json", canonical(document)), *members[3:]]


def test_an_index_of_5_mb_for_one_tag_is_refused(members: list[tuple[str, bytes]], tmp_path: Path) -> None:
    """Case 65."""
    members[2] = ("index.json", members[2][1] + b" " * 5_000_000)
    error = refusal(framed(tar_of(members)), tmp_path)
    assert (error.exit_code, error.item) == (7, "index.json")


@pytest.mark.parametrize("more", [{"platform": {"os": "linux"}}, {"urls": ["https://h.example"]}])
def test_an_index_that_says_more_than_it_must_is_refused(
    more: dict[str, object], members: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    """Case 65."""
    error = refusal(framed(tar_of(_index(members, **more))), tmp_path)
    assert (error.exit_code, error.item) == (7, "index.json")


@pytest.mark.parametrize("size", [-1, "5", True, 1 << 63, 5.0, None])
def test_a_size_in_the_index_that_is_none_is_refused(
    size: object, members: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    """Case 66."""
    assert refusal(framed(tar_of(_index(members, size=size))), tmp_path).exit_code == 7


def test_a_size_that_only_looks_the_same_is_refused(members: list[tuple[str, bytes]], tmp_path: Path) -> None:
    """Case 66."""
    size = float(json.loads(members[2][1])["manifests"][0]["size"])
    assert refusal(framed(tar_of(_index(members, size=size))), tmp_path).exit_code == 7


@pytest.mark.parametrize(
    "digest",
    ["sha256:../../x", "sha256:" + "a" * 63, "SHA256:" + "a" * 64, "sha256:" + "a" * 64 + "\n", "md5:x"],
)
def test_a_digest_in_the_index_that_is_none_is_refused(
    digest: str, members: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    """Case 67."""
    assert refusal(framed(tar_of(_index(members, digest=digest))), tmp_path).exit_code == 7


def test_an_index_that_is_a_manifest_too_is_refused(members: list[tuple[str, bytes]], tmp_path: Path) -> None:
    """Case 68."""
    document = json.loads(members[2][1]) | {"layers": []}
    members[2] = ("index.json", canonical(document))
    assert refusal(framed(tar_of(members)), tmp_path).exit_code == 7


def test_wrong_data_in_the_index_is_refused(members: list[tuple[str, bytes]], tmp_path: Path) -> None:
    """Case 71."""
    assert refusal(framed(tar_of(_index(members, data="b3RoZXI="))), tmp_path).exit_code == 7


@pytest.mark.parametrize("media_type", ["", "application/vnd.oci.image.layer.nondistributable.v1.tar"])
def test_addresses_in_a_descriptor_are_never_asked(
    media_type: str,
    canary: Canary,
    target_registry: RealRegistry,
    tmp_path: Path,
    clock: FakeClock,
) -> None:
    """Case 71."""
    content = Content()
    urls = [f"{canary.base}/layer", "http://169.254.169.254/latest/meta-data"]
    layer = content.add_blob(b"layer", "application/octet-stream", urls=urls)
    absent = document_of(descriptor_of(b"elsewhere", media_type)) | {"urls": urls}
    layers = [layer, absent] if media_type else [layer]
    content.add_manifest(manifest_document(content.add_blob(b"{}"), layers), "1.0.0")
    with MemoryRegistry({"app": content}) as source:
        report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", registries=registries_for(clock))
    assert report.exit_code == 0
    imported(tmp_path / "b.tar.zst", f"{target_registry.host}/urls{len(media_type)}")
    assert canary.seen == []


# --- F: target -----------------------------------------------------------------------------------------


def test_an_upload_of_a_target_with_tls_does_not_leave_tls(
    canary: Canary, tmp_path: Path, clock: FakeClock, tls: ssl.SSLContext
) -> None:
    """Case 91."""
    bundle = a_bundle(tmp_path / "b.tar.zst", {NAME: an_image()})
    with MemoryRegistry({}, tls=tls) as target:
        target.on("POST", "", says(202, Location=f"http://{target.host}/upload"), times=ALWAYS)
        target.on("PUT", "", says(404), times=ALWAYS)
        known = registries_for(clock, ca_file=tmp_path / "ca.pem")
        report = imported(bundle, target.host, registries=known)
        assert report.exit_code == 10
        assert "plain http" in report.failures[0].cause
        assert target.asked("PUT") == []


def test_a_blob_whose_head_redirects_is_not_sent_again(
    target_registry: RealRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """As Pulp does. Case 96."""
    content, path = an_image(), "redirected/app"
    content.tags["0.9.0"] = content.tags.pop("1.0.0")
    push_to(target_registry.base, path, content)
    content = an_image()
    bundle = a_bundle(tmp_path / "b.tar.zst", {f"h.example/{path}": content})

    def elsewhere(reply: Reply) -> Reply:
        place = f"/v2/{path}/blobs/{reply.headers.get('Docker-Content-Digest', '')}?there=1"
        return Reply(302, {"Location": place}) if reply.status == 200 else reply

    with FaultProxy(target_registry.host) as proxy:
        proxy.on("HEAD", "/blobs/sha256:[a-f0-9]*$", changed(elsewhere), times=ALWAYS)
        assert imported(bundle, proxy.host, registries=registries_for(clock)).exit_code == 0
        assert proxy.asked("HEAD", "there=1")
        assert proxy.asked("PUT", "digest=") == []


@pytest.mark.parametrize("status", [400, 405, 501])
def test_a_blob_that_can_not_be_asked_for_is_sent(
    status: int, target_registry: RealRegistry, tmp_path: Path, clock: FakeClock
) -> None:
    """Case 96."""
    bundle = a_bundle(tmp_path / "b.tar.zst", {f"h.example/asked{status}": an_image()})
    with FaultProxy(target_registry.host) as proxy:
        proxy.on("HEAD", "/blobs/", says(status), times=ALWAYS)
        assert imported(bundle, proxy.host, registries=registries_for(clock)).exit_code == 0
        assert len(proxy.asked("PUT", "digest=")) == 2


# --- G: usage ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("apiVersion: v1\nsource: []\n", ":1"),
        ("jobs: many\n", ":1"),
        ("sources:\n  - {repository: [\n", ":"),
        ("jobs: 1\njobs: 2\n", ":2"),
    ],
)
def test_a_wrong_export_file_is_2_with_its_line_and_no_output(
    text: str, place: str, source: MemoryRegistry, tmp_path: Path
) -> None:
    """Case 106."""
    (tmp_path / "export.yaml").write_text(text)
    ended = bundler("export", "-c", str(tmp_path / "export.yaml"), "-o", str(tmp_path / "b.tar.zst"))
    assert ended.returncode == 2
    assert f"export.yaml{place}" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["export.yaml"]
    assert source.seen == []


@pytest.mark.parametrize(
    "rules", [("--tag", "9.*"), ("--versions", ">=9"), ("--tag-regex", "nothing"), ("--exclude", "*")]
)
def test_rules_that_match_nothing_are_4_and_no_file_appears(
    rules: tuple[str, str], source: MemoryRegistry, tmp_path: Path
) -> None:
    """Case 108."""
    out = tmp_path / "b.tar.zst"
    ended = bundler("export", f"{source.host}/app", *rules, "-o", str(out), "-q")
    assert ended.returncode == 4, ended.stderr
    assert f"{source.host}/app" in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_output_of_something_else_is_replaced_by_force_only(
    source: MemoryRegistry, tmp_path: Path
) -> None:
    """Case 109."""
    out = tmp_path / "b.tar.zst"
    out.write_text("precious")
    command = ("export", f"{source.host}/app", "-o", str(out), "-q")
    assert bundler(*command).returncode == 2
    assert (out.read_text(), source.seen) == ("precious", [])
    assert bundler(*command, "--force").returncode == 0
    assert bundler("verify", str(out), "-q").returncode == 0


@pytest.mark.slow
def test_a_bundle_is_never_extracted_over_itself(tmp_path: Path) -> None:
    """Case 109."""
    bundle = a_bundle(tmp_path / "b.tar", {NAME: a_module("1.0.0")})
    before = bundle.read_bytes()
    for more in ([], ["--force"]):
        ended = bundler("extract", str(bundle), "app:1.0.0", "-o", str(bundle), *more)
        assert ended.returncode in (2, 9), ended.stderr
        assert bundle.read_bytes() == before


# --- H: environment ------------------------------------------------------------------------------------


def test_a_clock_that_jumps_changes_neither_waits_nor_deadlines(
    source: MemoryRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forth and back by ten years, at every look at the wall clock. Case 128."""
    jumps = iter(range(1, 1_000_000))
    real = time.time()
    monkeypatch.setattr(time, "time", lambda: real + 3e8 * (-1) ** next(jumps))
    source.on("GET", "/token", says(200, '{"token": "t", "expires_in": 60}'), times=ALWAYS)
    source.on("GET", "/blobs/", says(503, Retry_After="0"), times=2)
    settings = HostSettings(limits=PATIENT, sleep=FakeClock().sleep)
    report = exported(
        tmp_path / "b.tar.zst", f"{source.host}/app", registries=Registries(RegistrySettings(hosts=settings))
    )
    assert (report.exit_code, report.traffic.retries) == (0, 2)
    assert 0 <= sum(report.seconds.values()) < 3600


@pytest.mark.slow
def test_an_open_umask_does_not_open_the_lock(source: MemoryRegistry, tmp_path: Path) -> None:
    """Case 129."""
    out, store = tmp_path / "b.tar.zst", tmp_path / "store"
    command = ("export", f"{source.host}/app", "-o", str(out), "--store", str(store), "-q")
    assert bundler(*command, umask=0).returncode == 0
    assert (store / ".lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.strace
@pytest.mark.slow
def test_nothing_is_written_but_where_the_output_is(source: MemoryRegistry, tmp_path: Path) -> None:
    """No home, no temporary folder of the system, no cache. Case 131."""
    log, folder = tmp_path / "strace.log", tmp_path / "here"
    folder.mkdir()
    before = strace(log, "-e", "trace=open,openat,creat,mkdir,mkdirat,rename,renameat2,mknodat")
    command = ("export", f"{source.host}/app", "-o", str(folder / "b.tar.zst"), "-q")
    env = clean_environment(TMPDIR="/nonexistent")
    assert bundler(*command, before=before, env=env).returncode == 0
    calls = [line for line in log.read_text().splitlines() if "O_CREAT" in line or " mk" in line]
    made = [line for line in calls if "= -1" not in line]
    assert made
    assert [line for line in made if f'"{folder}' not in line] == []


def test_a_blob_whose_size_the_manifest_denies_is_refused(tmp_path: Path) -> None:
    """Case 50."""
    content = Content()
    blob = Descriptor("x", sha256(b"layer"), 5)
    content.add_blob(b"layer")
    layer = document_of(blob)
    content.add_manifest(manifest_document(content.add_blob(b"{}"), [layer, layer | {"size": 6}]), "1.0.0")
    data = framed(tar_of(members_of({NAME: content})))
    assert refusal(data, tmp_path).exit_code in (6, 7)
