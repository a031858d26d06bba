"""Tags that move while an export runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.bundle.reader import open_bundle
from bundler.exporter import OnDrift
from bundler.importer import verify_bundle
from bundler.reporting.json_report import Report
from tests.builders import a_module
from tests.doubles import ALWAYS, Answer, Fault, MemoryRegistry, Seen, Wire
from tests.flows import exported


def moving(server: MemoryRegistry, tag: str, to: str) -> Fault:
    """The tag is moved when this request comes."""

    def fault(wire: Wire, request: Seen, answer: Answer) -> bool:
        tags = server.repositories["app"].tags
        tags[tag] = tags[to]
        wire.send(request, answer())
        return True

    return fault


def run(on_drift: OnDrift, folder: Path) -> tuple[Report, MemoryRegistry]:
    """An export during whose first blob `latest` moves."""
    content = a_module("1.0.0", "1.1.0")
    content.tags["latest"] = content.tags["1.0.0"]
    with MemoryRegistry({"app": content}) as server:
        server.on("GET", "blobs", moving(server, "latest", "1.1.0"))
        return exported(folder / "b.tar.zst", f"{server.host}/app", on_drift=on_drift), server


def digests(report: Report) -> dict[str, str | None]:
    """What each tag was taken as."""
    return {tag.reference: tag.digest for tag in report.repositories[0].tags if tag.status == "exported"}


def test_nobody_is_asked_again_unless_that_is_wanted(tmp_path: Path) -> None:
    report, server = run(OnDrift.IGNORE, tmp_path)
    assert (report.exit_code, report.warnings) == (0, ())
    assert server.asked("HEAD") == []


def test_warn_says_it_and_carries_what_was_seen_first(tmp_path: Path) -> None:
    report, server = run(OnDrift.WARN, tmp_path)
    assert "app:latest: the tag moved during the export" in report.warnings[0]
    assert digests(report)["latest"] == server.repositories["app"].tags["1.0.0"]
    assert len(server.asked("HEAD")) == 3


def test_fail_leaves_the_tag_out(tmp_path: Path) -> None:
    report, _ = run(OnDrift.FAIL, tmp_path)
    assert (report.exit_code, set(digests(report))) == (8, {"1.0.0", "1.1.0"})


def test_refetch_takes_what_the_tag_points_to_in_the_end(tmp_path: Path) -> None:
    report, server = run(OnDrift.REFETCH, tmp_path)
    assert report.exit_code == 0
    assert digests(report)["latest"] == server.repositories["app"].tags["1.1.0"]


def test_a_tag_that_keeps_moving_is_left_out_others_are_whole(tmp_path: Path) -> None:
    """Every answer to HEAD says that it has moved: after the last round nothing is selected unfetched."""
    content = a_module("1.0.0", "1.1.0")
    content.tags["latest"] = content.tags["1.0.0"]
    fresh = (a_module(f"9.{number}.0", name=f"n{number}") for number in range(9))

    def move(wire: Wire, request: Seen, answer: Answer) -> bool:
        new = next(fresh)
        content.manifests.update(new.manifests)
        content.blobs.update(new.blobs)
        content.tags["latest"] = next(iter(new.tags.values()))
        wire.send(request, answer())
        return True

    with MemoryRegistry({"app": content}) as server:
        server.on("HEAD", "manifests/latest", move, times=ALWAYS)
        report = exported(tmp_path / "b.tar.zst", f"{server.host}/app", on_drift=OnDrift.REFETCH)
    assert (report.exit_code, set(digests(report))) == (8, {"1.0.0", "1.1.0"})
    with open_bundle(tmp_path / "b.tar.zst") as opened:
        verify_bundle(opened)


@pytest.mark.parametrize("on_drift", list(OnDrift))
def test_where_nothing_moves_all_are_the_same(on_drift: OnDrift, tmp_path: Path) -> None:
    with MemoryRegistry({"app": a_module("1.0.0")}) as server:
        report = exported(tmp_path / "b.tar.zst", f"{server.host}/app", on_drift=on_drift)
    assert (report.exit_code, report.warnings) == (0, ())
