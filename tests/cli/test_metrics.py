"""`--metrics`: one file for one command and job, whatever becomes of the run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bundler.__main__ import run
from tests.builders import a_bundle, a_module
from tests.doubles import ALWAYS, Answer, MemoryRegistry, Seen, Wire, says
from tests.processes import PROGRAM
from tests.server.client import writable_registry
from tests.trust.keys import a_key, line

Output = pytest.CaptureFixture[str]
Samples = dict[str, float]


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    """A module with two versions."""
    with MemoryRegistry({"app": a_module("1.0.0", "1.1.0")}) as server:
        yield server


class Night:
    """What a nightly job calls, and the metrics that it leaves."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "bundler.prom"
        self.out = folder / "b.tar.zst"

    def export(self, *arguments: str, job: str = "nightly") -> int:
        """One night."""
        return run(["export", *arguments, "-o", str(self.out), "-q", *self.options(job)])

    def options(self, job: str = "nightly") -> list[str]:
        """Those for metrics."""
        return ["--metrics", str(self.file), "--job", job]

    @property
    def samples(self) -> Samples:
        """By name, with the last label if it is one of the metric's own."""
        found: Samples = {}
        for family in text_string_to_metric_families(self.file.read_text()):
            for sample in family.samples:
                more = {k: v for k, v in sample.labels.items() if k not in ("command", "job")}
                found[" ".join([sample.name.removeprefix("timoni_bundler_"), *more.values()])] = sample.value
        return found


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """In a folder of its own."""
    return Night(tmp_path)


def test_an_export_tells_what_it_did(registry: MemoryRegistry, night: Night) -> None:
    assert night.export(f"{registry.host}/app") == 0
    found = night.samples
    assert found["last_success_timestamp_seconds"] == found["last_run_timestamp_seconds"] > 1.7e9
    assert found["last_tags exported"] == 2
    assert found["last_requests"] == len(registry.seen)
    assert found["last_bundle_size_bytes"] == night.out.stat().st_size
    assert 0 < found["last_phase_duration_seconds fetch"] <= found["last_duration_seconds"]


def test_a_night_without_news_says_so(registry: MemoryRegistry, night: Night) -> None:
    for unchanged in (0, 1):
        assert night.export(f"{registry.host}/app") == 0
        assert night.samples["last_unchanged"] == unchanged


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["{host}/missing"], 4),
        (["{host}/app", "{host}/missing"], 8),
        (["-c", "nowhere.yaml"], 2),
        (["{host}/app", "--store", "/proc/none"], 9),
    ],
)
def test_a_run_that_fails_keeps_the_last_success(
    arguments: list[str], code: int, registry: MemoryRegistry, night: Night
) -> None:
    assert night.export(f"{registry.host}/app") == 0
    before = night.samples
    assert night.export(*(text.format(host=registry.host) for text in arguments), "--force") == code
    after = night.samples
    assert after["last_exit_code"] == code
    assert after["last_success_timestamp_seconds"] == before["last_success_timestamp_seconds"]
    assert after["last_run_timestamp_seconds"] > before["last_run_timestamp_seconds"]


def test_a_report_that_can_not_be_written_is_a_failed_run(registry: MemoryRegistry, night: Night) -> None:
    gone = night.out.with_name("gone")
    gone.mkdir()

    def remove(wire: Wire, request: Seen, answer: Answer) -> bool:
        gone.rmdir()
        wire.send(request, answer())
        return True

    registry.on("GET", "tags/list", remove)
    assert night.export(f"{registry.host}/app", "--report", str(gone / "r.json")) == 9
    assert night.samples["last_exit_code"] == 9


def test_others_may_read_the_file_whatever_the_umask(registry: MemoryRegistry, night: Night) -> None:
    before = os.umask(0o077)
    try:
        assert night.export(f"{registry.host}/app") == 0
    finally:
        os.umask(before)
    assert night.file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in night.file.parent.iterdir() if path.suffix == ".tmp"] == []


def test_a_dry_run_is_not_measured(registry: MemoryRegistry, night: Night) -> None:
    assert night.export(f"{registry.host}/app", "--dry-run") == 0
    assert night.export(f"{registry.host}/missing", "--dry-run") == 4
    assert not night.file.exists()


def test_a_command_line_that_can_not_be_read_is_not_measured(night: Night) -> None:
    assert night.export("--no-such-option") == 2
    assert not night.file.exists()


@pytest.mark.parametrize("job", ["", "a b", 'x"', "ä", "a" * 65, "a\n"])
def test_a_job_is_a_plain_name(job: str, night: Night, capsys: Output) -> None:
    assert night.export("h.example/app", job=job) == 2
    assert "--job" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("metrics.txt", None, "only files that end in .prom"),
        ("none/m.prom", None, "its folder does not exist"),
        ("m.prom", "node_load1 0.5\n", "not the metrics of export of job nightly"),
    ],
)
def test_an_unusable_metrics_path_is_refused_before_any_request(
    name: str, content: str | None, cause: str, registry: MemoryRegistry, night: Night, capsys: Output
) -> None:
    night.file = night.file.parent / name
    if content:
        night.file.write_text(content)
    assert night.export(f"{registry.host}/app") == 2
    assert cause in capsys.readouterr().err
    assert (registry.seen, content and night.file.read_text()) == ([], content)


def test_another_job_gets_another_file(registry: MemoryRegistry, night: Night, capsys: Output) -> None:
    assert night.export(f"{registry.host}/app") == 0
    before = night.file.read_text()
    assert night.export(f"{registry.host}/app", job="weekly") == 2
    assert "not the metrics of export of job weekly" in capsys.readouterr().err
    assert night.file.read_text() == before


@pytest.mark.slow
def test_import_and_verify_are_measured_too(night: Night) -> None:
    bundle = str(a_bundle(night.out, {"h.example/app": a_module("1.0.0", "1.1.0")}))
    with writable_registry(night.out.parent / "inside") as inside:
        to = f"{inside.address}/mirror"
        assert run(["verify", bundle, "--against", to, "-q", *night.options()]) == 4
        assert night.samples["last_failures 4"] == 2
        assert run(["verify", bundle, "-q", *night.options()]) == 0
        assert night.samples["last_failures 4"] == 0
        night.file = night.file.with_name("import.prom")
        assert run(["import", bundle, "--to", to, "-q", *night.options()]) == 0
    assert night.samples["last_tags pushed"] == 2
    assert night.samples["last_sent_bytes"] > 0


def test_a_damaged_bundle_is_a_failed_import(night: Night) -> None:
    bundle = a_bundle(night.out, {"h.example/app": a_module("1.0.0")})
    bundle.write_bytes(bundle.read_bytes()[:-9])
    assert run(["import", str(bundle), "--to", "127.0.0.1:1/mirror", "-q", *night.options()]) == 6
    assert (night.samples["last_exit_code"], night.samples["last_failures 6"]) == (6, 1)


@pytest.mark.slow
def test_a_run_whose_result_nobody_could_read_is_a_failed_one(night: Night) -> None:
    bundle = a_bundle(night.out, {"h.example/app": a_module("1.0.0")})
    with Path("/dev/full").open("w") as full:
        words = [*PROGRAM, "verify", str(bundle), "-q", *night.options()]
        ended = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, check=False, timeout=300)
    assert ended.returncode == 9
    assert (night.samples["last_exit_code"], night.samples["last_failures 9"]) == (9, 1)


def test_a_bug_is_a_failed_run(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("bundler.cli.commands.review.verify_command.Opening", broken)
    assert run(["verify", "b.tar.zst", *night.options()]) == 1
    assert (night.samples["last_exit_code"], night.samples["last_failures 1"]) == (1, 1)


def test_an_unsigned_bundle_is_a_failed_verification(night: Night) -> None:
    bundle = a_bundle(night.out, {"h.example/app": a_module("1.0.0")})
    allowed = night.out.with_name("allowed")
    allowed.write_text(line("carrier@example.org", a_key(night.out.parent, "key")))
    assert run(["verify", str(bundle), "--allowed-signers", str(allowed), *night.options()]) == 11
    assert (night.samples["last_exit_code"], night.samples["last_failures 11"]) == (11, 1)


def test_tags_that_moved_are_counted(registry: MemoryRegistry, night: Night) -> None:
    lock = night.out.with_name("lock.json")
    source, tags = f"{registry.host}/app", registry.repositories["app"].tags
    assert night.export(source, "--lock", str(lock)) == 0
    assert night.samples["last_drifted_tags"] == 0
    tags["1.0.0"] = tags["1.1.0"]
    assert night.export(source, "--lock", str(lock)) == 0
    assert night.samples["last_drifted_tags"] == 1


@pytest.mark.slow
def test_a_target_whose_tag_is_another_is_counted(night: Night) -> None:
    old = a_bundle(night.out, {"h.example/app": a_module("1.0.0")})
    new = a_bundle(night.out.with_name("n.tar.zst"), {"h.example/app": a_module("1.0.0", name="other")})
    with writable_registry(night.out.parent / "inside") as inside:
        to = f"{inside.address}/mirror"
        assert run(["import", str(old), "--to", to, "-q"]) == 0
        assert run(["verify", str(new), "--against", to, "-q", *night.options()]) == 6
    assert night.samples["last_drifted_tags"] == 1


def test_the_end_of_a_run_is_told_when_metrics_fail(
    registry: MemoryRegistry, night: Night, capsys: Output
) -> None:
    def spoil(wire: Wire, request: Seen, answer: Answer) -> bool:
        night.file.write_text("node_load1 0.5\n")
        return says(403)(wire, request, answer)

    registry.on("GET", "tags/list", spoil, times=ALWAYS)
    assert night.export(f"{registry.host}/app") == 2
    said = capsys.readouterr().err
    assert "403" in said
    assert "these are not the metrics" in said
