"""A lock file makes the same bundle on another day, or the run names what moved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.bundle.inventory import RepositoryEntry
from bundler.errors import BundlerError, ContentError, IntegrityError, UsageError
from bundler.exporter import OnDrift, export_bundle, output_to, store_location_of
from bundler.exporter.resolve.lock_file import Lock, fingerprint_of, locked_selection, read_lock
from bundler.oci.reference import Reference, parse_reference
from bundler.reporting.json_report import Report
from bundler.selection.creation_time import AgedSecond
from bundler.selection.rules import Rules
from bundler.selection.sources import Include, Selection, selection_of
from bundler.session import Session
from tests.builders import a_module, a_signed_module, sign_by_tag
from tests.doubles import ALWAYS, FakeClock, MemoryRegistry, says
from tests.flows import exported, registries_for


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    """A registry that a test changes between two runs."""
    with MemoryRegistry({"app": a_signed_module()}) as server:
        yield server


def exported_from(lock: Path, out: Path, on_drift: OnDrift = OnDrift.IGNORE) -> Report:
    """Export what a lock file pins."""
    target = output_to(str(out))
    selection = locked_selection(read_lock(lock), Selection(), lock)
    session = Session(registries_for(FakeClock()))
    return export_bundle(selection, target, store_location_of(target), session, on_drift=on_drift)


@pytest.mark.slow
def test_the_same_bundle_comes_of_it_though_there_are_new_tags(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    lock = tmp_path / "export.lock"
    exported(tmp_path / "a.tar.zst", f"{registry.host}/app", lock=lock)
    registry.repositories["app"].tags["2.0.0"] = registry.repositories["app"].tags["1.0.0"]
    registry.seen.clear()
    assert exported_from(lock, tmp_path / "b.tar.zst").exit_code == 0
    assert (tmp_path / "a.tar.zst").read_bytes() == (tmp_path / "b.tar.zst").read_bytes()
    assert registry.asked("GET", "tags/list") == []


@pytest.mark.slow
def test_a_tag_that_moved_is_taken_by_its_digest_and_said(registry: MemoryRegistry, tmp_path: Path) -> None:
    lock, tags = tmp_path / "export.lock", registry.repositories["app"].tags
    exported(tmp_path / "a.tar.zst", f"{registry.host}/app", lock=lock)
    tags["1.3.0"] = tags["1.0.0"]
    report = exported_from(lock, tmp_path / "b.tar.zst")
    assert (tmp_path / "a.tar.zst").read_bytes() == (tmp_path / "b.tar.zst").read_bytes()
    assert any("app:1.3.0: the tag points to sha256:" in warning for warning in report.warnings)


def test_what_is_gone_ends_the_run_with_its_name_and_no_bundle(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    lock, content = tmp_path / "export.lock", registry.repositories["app"]
    exported(tmp_path / "a.tar.zst", f"{registry.host}/app", lock=lock)
    del content.manifests[content.tags["1.3.0"]]
    content.tags["1.3.0"] = content.tags["1.0.0"]
    with pytest.raises(IntegrityError, match=r"app:1\.3\.0.*a tag of the lock file.*the tag points to"):
        exported_from(lock, tmp_path / "b.tar.zst")
    assert not (tmp_path / "b.tar.zst").exists()


@pytest.mark.slow
def test_a_blob_that_is_gone_ends_the_run_too(registry: MemoryRegistry, tmp_path: Path) -> None:
    lock, content = tmp_path / "export.lock", registry.repositories["app"]
    exported(tmp_path / "a.tar.zst", f"{registry.host}/app", lock=lock)
    registry.on("GET", f"blobs/{next(iter(content.blobs))}", says(404), times=ALWAYS)
    with pytest.raises(BundlerError, match="a tag of the lock file"):
        exported_from(lock, tmp_path / "b.tar.zst")


def test_an_unchanged_bundle_is_locked_as_well(registry: MemoryRegistry, tmp_path: Path) -> None:
    for name in ("one", "two"):
        exported(tmp_path / "a.tar.zst", f"{registry.host}/app", lock=tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_repository_missing_from_the_lock_is_a_usage_error(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    lock = tmp_path / "export.lock"
    exported(tmp_path / "a.tar.zst", f"{registry.host}/app", lock=lock)
    with pytest.raises(UsageError, match="other is not in it"):
        locked_selection(read_lock(lock), selection_of([Reference(registry.repository("other"))]), lock)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"lockVersion": 2, "repositories": []}', "\0", "{" * 99])
def test_rubbish_is_no_lock_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(text)
    with pytest.raises(ContentError):
        read_lock(tmp_path / "lock")


def test_a_module_of_another_repository_stays_out_of_it(tmp_path: Path) -> None:
    with MemoryRegistry({"app": a_module("1.0.0"), "other": a_module("1.0.0")}) as server:
        exported(tmp_path / "a.tar.zst", f"{server.host}/app", lock=tmp_path / "lock")
    assert [entry.name.path for entry in read_lock(tmp_path / "lock").repositories] == ["app"]


def test_a_lock_is_whole_or_not_there(registry: MemoryRegistry, tmp_path: Path) -> None:
    lock = tmp_path / "export.lock"
    registry.on("GET", "manifests/1.3.0", says(404))
    report = exported(tmp_path / "a.tar.zst", f"{registry.host}/app", lock=lock)
    assert report.exit_code == 8
    assert not lock.exists()
    assert any("export.lock: not written: 1 item failed" in warning for warning in report.warnings)
    assert exported(tmp_path / "a.tar.zst", f"{registry.host}/app", lock=lock).exit_code == 0
    assert "1.3.0" in lock.read_text()


RULES = Rules(exclude=("1.3.*",), created_until=AgedSecond.before(1000, 500))
CHANGED = [
    (Rules(), Include()),
    (RULES._replace(exclude=("1.2.*",)), Include()),
    (RULES._replace(created_until=None), Include()),
    (RULES._replace(created_until=AgedSecond.before(1000, 400)), Include()),
    (RULES._replace(created_until=500), Include()),
    (RULES, Include(require=frozenset({"signature"}))),
]


@pytest.mark.parametrize(("rules", "include"), CHANGED)
def test_rules_that_changed_since_the_lock_are_refused(rules: Rules, include: Include) -> None:
    source = [parse_reference("h.example/app")]
    entry = RepositoryEntry(source[0].repository, {})
    lock = Lock(1, (entry,), fingerprint_of(selection_of(source, RULES)))
    path = Path("export.lock")
    later = RULES._replace(created_until=AgedSecond.before(2000, 500))
    assert locked_selection(lock, selection_of(source, later), path).locked
    with pytest.raises(UsageError, match="rules have changed since it was written"):
        locked_selection(lock, selection_of(source, rules, include), path)


HELD_BACK = [
    (["--exclude", "1.2.*"], 2, "app:1.2.0: excluded by '1.2.*', though named by export.lock"),
    (["--min-age", "3d"], 2, "app:1.0.0: the lock file pins it, but created "),
    (["--since", "2099-01-01"], 2, "app:1.0.0: the lock file pins it, but created "),
    (["--require", "sbom"], 7, "app:1.0.0: the lock file pins it (and 2 more), but it has no sbom"),
    (["--platform", "linux/amd64"], 2, "--platform: the lock file names everything"),
    (["--with-images"], 2, "--with-images: the lock file names everything"),
    (["--no-referrers"], 2, "--no-referrers: the lock file names everything"),
    (["--newest", "1"], 2, "--newest: the lock file names everything"),
    (["--follow-latest"], 2, "--follow-latest: the lock file names everything"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("options", "code", "said"), HELD_BACK, ids=lambda value: str(value)[:20])
def test_a_lock_alone_lifts_no_demand(
    options: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, out = tmp_path / "export.lock", str(tmp_path / "b.tar.zst")
    content = a_module("1.0.0", "1.1.0", "1.2.0", created="2098-01-01T00:00:00Z")
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        sign_by_tag(content, content.tags[version])
    with MemoryRegistry({"app": content}) as server:
        exported(tmp_path / "a.tar.zst", f"{server.host}/app", lock=lock)
        command = ["export", "--lock", str(lock), "-o", out, "-q"]
        for dry in (["--dry-run"], []):
            assert run([*command, *options, *dry]) == code
            assert said in capsys.readouterr().err
            assert not Path(out).exists()
        assert run([*command, "--require", "signature", "--exclude", "2.*", "--since", "2097-01-01"]) == 0


def test_rules_that_changed_on_the_command_line_are_said(
    registry: MemoryRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.repositories["app"] = a_module("1.0.0", created="2098-01-01T00:00:00Z")
    command = ["export", f"{registry.host}/app", "--lock", str(tmp_path / "lock"), "-q", "-o"]
    for name in ("a", "b"):
        assert run([*command, str(tmp_path / f"{name}.tar.zst"), "--since", "90d"]) == 0
    for changed in ([], ["--since", "91d"], ["--since", "2020-01-01"], ["--since", "90d", "--exclude", "x"]):
        assert run([*command, str(tmp_path / "c.tar.zst"), *changed]) == 2
        assert "rules have changed since it was written" in capsys.readouterr().err


@pytest.mark.slow
def test_a_tag_that_moved_since_the_lock_is_no_drift(registry: MemoryRegistry, tmp_path: Path) -> None:
    lock, tags = tmp_path / "export.lock", registry.repositories["app"].tags
    exported(tmp_path / "a.tar.zst", f"{registry.host}/app", lock=lock)
    tags["1.3.0"] = tags["1.0.0"]
    for drift in (OnDrift.FAIL, OnDrift.REFETCH, OnDrift.WARN):
        report = exported_from(lock, tmp_path / f"{drift.value}.tar.zst", drift)
        assert report.exit_code == 0
        assert report.drifted == (f"{registry.host}/app:1.3.0",)
