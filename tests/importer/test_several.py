"""Several bundles, or a folder of them: the order is worked out, and a file that is missing is named."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.deltas.retention import DAY, FullEvery
from bundler.errors import NotFoundError, UsageError
from bundler.exporter import Incremental
from bundler.importer import Destination, Pruning
from bundler.importer.several.import_several import ImportTerms, import_several
from bundler.ledger.ledger import Ledger
from bundler.oci import Tag, parse_prefix
from bundler.reporting.json_report import Report
from bundler.session import Session
from bundler.trust.job import Job
from bundler.volumes.volume_writer import Cut, split
from tests.builders import a_module, add_version
from tests.doubles import FakeClock, MemoryRegistry
from tests.flows import exported, registries_for
from tests.processes import bundler
from tests.registries import RealRegistry
from tests.schema_checks import valid
from tests.trust.keys import a_key

pytestmark = pytest.mark.slow


class Week:
    """A source that changes every night, the bundles of it in one folder, and a target."""

    def __init__(self, server: MemoryRegistry, path: str, target: RealRegistry, folder: Path) -> None:
        self.server = server
        self.path = path
        self.app = server.repositories[path]
        self.target = target
        self.outside = folder / "store"
        self.usb = folder / "usb"
        self.state = folder / "state"
        self.usb.mkdir()
        self.number = 0

    def night(self, *versions: str, every: int | None = None, job: str = "nightly") -> Path:
        """A night with these new versions. Names in the folder say nothing of the order."""
        for version in versions:
            add_version(self.app, version)
        self.number += 1
        out = self.usb / f"{9 - self.number}-night-{self.number}.tar.zst"
        chosen = Incremental(Job(job), ("last",), full_every=FullEvery(every) if every else None)
        source = f"{self.server.host}/{self.path}"
        exported(out, source, incremental=chosen, store=self.outside, now=self.number * DAY)
        return out

    def morning(self, *paths: Path, dry_run: bool = False, **terms: object) -> Report:
        """What an import of the folder, or of these files, does."""
        return import_several(
            paths or [self.usb],
            Destination(parse_prefix(self.target.host)),
            Session(registries_for(FakeClock())),
            Ledger(self.state),
            ImportTerms(**terms),  # type: ignore[arg-type]
            dry_run=dry_run,
        )

    @property
    def is_mirrored(self) -> bool:
        """True if the target has every tag of the source under its digest, and no other."""
        source = registries_for(FakeClock()).source(self.target.repository(self.path))
        there = {tag: source.digest_of(Tag(tag)) for tag in self.target.tags(self.path)}
        return there == self.app.tags


@pytest.fixture
def week(fresh: Callable[[str], str], target_registry: RealRegistry, tmp_path: Path) -> Iterator[Week]:
    """A module outside."""
    path = fresh("app")
    with MemoryRegistry({path: a_module("1.0.0")}) as server:
        yield Week(server, path, target_registry, tmp_path)


def statuses(report: Report) -> list[tuple[str, str]]:
    """The number of each night, and what was done with its bundle."""
    return [(Path(item.path).name[8:].partition(".")[0][-1], item.status) for item in report.bundles]


def test_a_folder_is_imported_oldest_first_whatever_the_names(week: Week) -> None:
    for number in range(1, 5):
        week.night(f"2.{number}.0")
    report = week.morning()
    assert report.exit_code == 0, report.failures
    assert statuses(report) == [("1", "imported"), ("2", "imported"), ("3", "imported"), ("4", "imported")]
    assert week.is_mirrored


def test_files_are_imported_in_any_order_of_their_names(week: Week) -> None:
    paths = [week.night(f"2.{number}.0") for number in range(1, 4)]
    random.Random(4).shuffle(paths)
    assert week.morning(*paths).exit_code == 0
    assert week.is_mirrored


def test_what_was_imported_is_skipped(week: Week) -> None:
    week.night("2.1.0")
    week.morning()
    week.night("2.2.0")
    report = week.morning()
    assert statuses(report) == [("1", "skipped"), ("2", "imported")]
    again = week.morning()
    assert (again.exit_code, again.unchanged, again.traffic.requests) == (0, True, 0)


def test_a_gap_names_the_missing_file(week: Week) -> None:
    for number in range(1, 5):
        week.night(f"2.{number}.0")
    lost = next(week.usb.glob("*night-2.tar.zst"))
    lost.rename(week.usb.parent / lost.name)
    report = week.morning()
    (failure,) = report.failures
    assert failure.exit_code == 4
    assert f"{lost.name} is missing: bundle 2 of job nightly, 1970-01-03 00:00 UTC, sha256:" in failure.cause
    assert "or a new export with --base sha256:" in failure.next_step
    assert report.exit_code == 8
    assert set(week.target.tags(week.path)) == {"1.0.0", "2.1.0"}
    (week.usb.parent / lost.name).rename(lost)
    assert week.morning().exit_code == 0
    assert week.is_mirrored


def test_a_later_full_bundle_fills_a_gap(week: Week) -> None:
    week.night("2.1.0", every=3)
    week.morning()
    week.night("2.2.0", every=3).unlink()
    week.night("2.3.0", every=3)
    assert week.morning().exit_code == 4
    week.night("2.4.0", every=3)
    report = week.morning()
    assert report.exit_code == 0, report.failures
    assert not any("which was not imported" in line for line in report.warnings)
    assert week.is_mirrored


def test_a_later_full_bundle_knows_the_deletions_of_a_gap(week: Week) -> None:
    week.night("2.1.0", "2.2.0", "2.3.0", every=4)
    del week.app.tags["2.1.0"]
    week.night("2.4.0", every=4)
    week.morning(prune=Pruning(1))
    del week.app.tags["2.2.0"]
    week.night("2.5.0", every=4).unlink()
    del week.app.tags["2.3.0"]
    week.night("2.6.0", every=4)
    del week.app.tags["2.4.0"]
    week.night("2.7.0", every=4)
    # Not 4: what was deleted long ago is not counted.
    report = week.morning(prune=Pruning(3))
    assert report.exit_code == 0, report.failures
    assert report.gone_at_source == 3
    assert week.is_mirrored


def test_a_tag_that_two_bundles_say_is_gone_counts_once(week: Week) -> None:
    week.night("2.1.0", every=2)
    week.morning()
    del week.app.tags["2.1.0"]
    week.night("2.2.0", every=2)
    week.night("2.3.0", every=2)
    report = week.morning()
    assert [item.status for item in report.bundles] == ["skipped", "imported", "imported"]
    assert report.gone_at_source == 1


def test_of_a_lost_chain_no_deletions_are_known(week: Week) -> None:
    week.night("2.1.0", every=2)
    week.morning()
    for number in range(2, 5):
        week.night(f"2.{number}.0", every=2).unlink()
    week.night("2.5.0", every=2)
    report = week.morning()
    assert "which was not imported: tags that were deleted until then stay" in report.warnings[-1]
    assert week.is_mirrored


def test_a_new_target_begins_with_the_newest_full_bundle(week: Week) -> None:
    for number in range(1, 6):
        week.night(f"2.{number}.0", every=3)
    report = week.morning()
    assert dict(statuses(report)) == {
        "1": "skipped", "2": "skipped", "3": "skipped", "4": "imported", "5": "imported"
    }  # fmt: skip
    assert week.is_mirrored


def test_a_merged_bundle_beside_its_chain_is_not_sent(week: Week) -> None:
    chain = [week.night("2.1.0"), week.night("2.2.0")]
    merged = week.usb / "all.tar.zst"
    assert bundler("merge", *map(str, chain), "-o", str(merged), "-q").returncode == 0
    week.night("2.3.0")
    report = week.morning()
    skipped = [item.reason for item in report.bundles if item.status == "skipped"]
    assert skipped == [f"{chain[1].name} makes the same"]
    assert week.is_mirrored


def test_a_merged_bundle_stands_for_its_chain(week: Week) -> None:
    chain = [week.night("2.1.0"), week.night("2.2.0")]
    merged = week.usb / "all.tar.zst"
    assert bundler("merge", *map(str, chain), "-o", str(merged), "-q").returncode == 0
    chain[0].unlink()
    week.night("2.3.0")
    report = week.morning()
    assert report.exit_code == 0, report.failures
    assert week.is_mirrored


def test_volumes_compact_and_copies_are_bundles_too(week: Week) -> None:
    first, second, third = (week.night(f"2.{number}.0") for number in range(1, 4))
    split(first, week.usb, Cut(1 << 20))
    first.unlink()
    done = bundler("compact", str(second), "-o", str(week.usb / "second.compact.zst"), "-q")
    assert done.returncode == 0, done.stderr
    second.unlink()
    shutil.copy(third, week.usb / "copy of third")
    report = week.morning()
    assert report.exit_code == 0, report.failures
    assert [item.status for item in report.bundles].count("imported") == 3
    assert any("the same bundle as" in item.reason for item in report.bundles)
    assert week.is_mirrored


def test_leftovers_in_the_folder_are_told_and_harmless(week: Week) -> None:
    week.night("2.1.0")
    (week.usb / "report.json").write_text("{}")
    (week.usb / "night.tar.zst.tmp").write_bytes(b"\x28\xb5\x2f\xfd rest of a copy")
    (week.usb / "photos").mkdir()
    report = week.morning()
    assert report.exit_code == 0
    others, folders = report.warnings
    assert others == "not bundles, passed over: night.tar.zst.tmp, report.json"
    assert folders.startswith("folders in the folder, not looked into: photos; name them too")
    assert week.morning(week.usb, week.usb / "photos").warnings == (others,)
    assert week.is_mirrored


def test_what_should_be_a_bundle_and_is_not_there_fails(week: Week) -> None:
    """A link to nowhere, and a folder whose copy ended among its blobs."""
    week.night("2.1.0")
    (week.usb / "link.tar.zst").symlink_to("nowhere")
    (week.usb / "half" / "blobs" / "sha256").mkdir(parents=True)
    report = week.morning()
    assert report.exit_code == 8
    assert {Path(failure.item).name for failure in report.failures} == {"link.tar.zst", "half"}
    assert week.is_mirrored


def test_of_copies_the_signed_one_is_imported(week: Week, tmp_path: Path) -> None:
    signed = week.night("2.1.0")
    shutil.copy(signed, week.usb / "0-unsigned.tar.zst")
    done = bundler("sign", str(signed), "--key", str(a_key(tmp_path, "key")), "--job", "nightly", "-q")
    assert done.returncode == 0, done.stderr
    imported, copy = week.morning().bundles
    assert (Path(imported.path).name, imported.status, imported.job) == (signed.name, "imported", "nightly")
    assert (Path(copy.path).name, copy.status) == ("0-unsigned.tar.zst", "skipped")


def test_a_file_that_is_named_in_several_ways_is_read_once(week: Week) -> None:
    night = week.night("2.1.0")
    (week.usb / "0-link.tar.zst").symlink_to(night.name)
    (week.usb / "self").symlink_to(".")
    report = week.morning(night, week.usb, week.usb, week.usb / "self")
    assert [(Path(item.path).name, item.status) for item in report.bundles] == [(night.name, "imported")]
    assert report.warnings == ()


def test_of_copies_one_with_a_sidecar_is_imported(week: Week) -> None:
    night = week.night("2.1.0")
    shutil.copy(night, week.usb / "0-copy.tar.zst")
    imported, copy = week.morning().bundles
    assert (Path(imported.path).name, imported.status) == (night.name, "imported")
    assert (Path(copy.path).name, copy.status) == ("0-copy.tar.zst", "skipped")


def test_a_damaged_bundle_fails_and_the_others_are_imported(week: Week) -> None:
    week.night("2.1.0")
    newest = week.night("2.2.0")
    newest.write_bytes(newest.read_bytes()[:-1000])
    (week.usb / "empty.tar.zst").write_bytes(b"")
    report = week.morning()
    assert report.exit_code == 8
    assert {failure.exit_code for failure in report.failures} <= {6, 7}
    assert set(week.target.tags(week.path)) == {"1.0.0", "2.1.0"}


def test_an_error_in_a_part_of_a_file_names_the_file(week: Week) -> None:
    first = week.night("2.1.0")
    half = week.usb / "half"
    exported(half, f"{week.server.host}/{week.path}")
    (half / "bundle.json").write_text("{}")
    (failure,) = week.morning().failures
    assert failure.item == f"{half}: bundle.json"
    done = bundler("merge", str(first), str(half), "-o", str(week.usb / "all.tar.zst"))
    assert f"error: {half}: bundle.json: " in done.stderr


def test_two_full_bundles_without_an_order_are_refused(week: Week) -> None:
    source = f"{week.server.host}/{week.path}"
    exported(week.usb / "a.tar.zst", source)
    week.app.tags["1.0.0"] = add_version(week.app, "1.1.0")
    exported(week.usb / "b.tar.zst", source)
    with pytest.raises(UsageError, match="nothing says which is newer"):
        week.morning()
    assert week.path not in week.target.catalog()


def test_what_two_jobs_wrote_is_imported_together(week: Week) -> None:
    week.night("2.1.0", job="one")
    week.app.tags.clear()
    week.night("3.0.0", job="two")
    assert [item.status for item in week.morning().bundles] == ["imported", "imported"]
    assert {"2.1.0", "3.0.0"} <= set(week.target.tags(week.path))


def test_an_empty_folder_is_an_error(week: Week) -> None:
    with pytest.raises(NotFoundError, match="there is no bundle in it"):
        week.morning()


def test_a_dry_run_shows_the_chain_and_writes_nothing(week: Week) -> None:
    week.night("2.1.0")
    week.night("2.2.0")
    report = week.morning(dry_run=True)
    assert report.exit_code == 0, report.failures
    assert statuses(report) == [("1", "planned"), ("2", "planned")]
    assert report.dry_run
    assert week.path not in week.target.catalog()


def test_what_went_in_any_night_is_deleted_in_the_morning(week: Week) -> None:
    week.night("2.1.0", "2.2.0", every=3)
    week.morning()
    del week.app.tags["2.1.0"]
    week.night("2.3.0", every=3)
    del week.app.tags["2.2.0"]
    week.night("2.4.0", every=3)
    del week.app.tags["2.3.0"]
    week.night("2.5.0", every=3)
    assert week.morning().gone_at_source == 3
    assert not week.is_mirrored
    # Everything is imported: the same folder again, with --prune, deletes what is left.
    report = week.morning(prune=Pruning(3))
    assert report.exit_code == 0, report.failures
    assert week.is_mirrored


def test_the_summary_says_which_command_deletes(week: Week) -> None:
    week.night("2.1.0")
    command = ["import", str(week.usb), "--to", week.target.host, "--state", str(week.state), "-q"]
    assert bundler(*command).returncode == 0
    del week.app.tags["2.1.0"]
    week.night("2.2.0")
    done = bundler(*command, "--report", str(week.usb.parent / "report.json"))
    assert done.returncode == 0, done.stderr
    assert "1 tag gone at the source (deleted only with --prune)" in done.stdout
    assert (
        f"to delete them: timoni-bundler import {week.usb} --to {week.target.host} --prune 1" in done.stdout
    )
    assert "1 bundle imported before, or older" in done.stdout
    valid("report", json.loads((week.usb.parent / "report.json").read_text()))
    assert bundler(*command, "--prune", "1").returncode == 0
    assert week.is_mirrored


def test_a_bundle_that_fails_holds_back_those_behind_it(week: Week) -> None:
    week.night("2.1.0")
    week.morning()
    week.app.tags["2.1.0"] = add_version(week.app, "2.2.0")
    week.night()
    week.night("2.3.0")
    report = week.morning()
    assert [item.status for item in report.bundles] == ["skipped", "failed", "skipped"]
    assert report.bundles[-1].reason.endswith("failed")
    assert "2.3.0" not in week.target.tags(week.path)
