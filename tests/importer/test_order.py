"""A delta that was left out is missed: the next one is not imported over the gap."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.bundle.inventory import Inventory
from bundler.bundle.reader import open_bundle
from bundler.ledger.import_log import ImportLog
from bundler.oci.digest import Digest, sha256
from tests.builders import Content, a_module, add_version
from tests.doubles import MemoryRegistry
from tests.processes import bundler, clean_environment
from tests.registries import RealRegistry

pytestmark = pytest.mark.slow

AT = "2026-11-24T02:39:17Z"


class Nights:
    """Three nights, in each of which a version is new that has nothing to do with the others."""

    def __init__(self, folder: Path, target: RealRegistry, path: str, content: Content, host: str) -> None:
        self._folder = folder
        self._target = target
        self._path = path
        self.bundles = []
        for number in range(3):
            add_version(content, f"2.{number}.0")
            self.bundles.append(folder / f"{number}.tar.zst")
            job = ["--store", str(folder / "store"), "--base", "last"]
            assert run(["export", f"{host}/{path}", *job, "-o", str(self.bundles[-1]), "-q"]) == 0

    def imported(self, bundle: Path, *options: str, state: str = "state") -> subprocess.CompletedProcess[str]:
        """Import one, with what is remembered on one machine."""
        environment = clean_environment(XDG_STATE_HOME=str(self._folder / state))
        return bundler("import", str(bundle), "--to", self._target.host, "-q", *options, env=environment)

    def rolled_back(self, file: Path) -> int:
        """Take an import back."""
        environment = clean_environment(XDG_STATE_HOME=str(self._folder / "state"))
        return bundler("import", "--rollback", str(file), "-q", env=environment).returncode

    def tags(self) -> set[str]:
        """What has come of the three nights."""
        return {tag for tag in self._target.tags(self._path) if tag.startswith("2.")}

    def log(self) -> Path:
        """Where the machine remembers it."""
        (file,) = (self._folder / "state" / "timoni-bundler").glob("target-*.log")
        return file


@pytest.fixture
def nights(target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path) -> Iterator[Nights]:
    """What was exported in three nights."""
    path, content = fresh("app"), a_module("1.0.0")
    with MemoryRegistry({path: content}) as registry:
        yield Nights(tmp_path, target_registry, path, content, registry.host)


def test_a_missing_night_is_named_and_nothing_is_imported(nights: Nights) -> None:
    first, second, third = nights.bundles
    nights.imported(first)
    for options in ([], ["--dry-run"], ["--with", str(second)]):
        refused = nights.imported(third, *options)
        with open_bundle(second) as lost:
            assert f"builds on bundle {lost.id}, which was not imported" in refused.stderr
        assert refused.returncode == 4
    assert nights.tags() == {"2.0.0"}
    for bundle in (second, third, second):
        assert nights.imported(bundle).returncode == 0
    assert nights.tags() == {"2.0.0", "2.1.0", "2.2.0"}


def test_a_gap_can_be_allowed(nights: Nights) -> None:
    first, _, third = nights.bundles
    nights.imported(first)
    assert nights.imported(third, "--allow-gap").returncode == 0
    assert nights.tags() == {"2.0.0", "2.2.0"}


def test_a_machine_without_memory_asks_the_target_alone(nights: Nights) -> None:
    first, _, third = nights.bundles
    nights.imported(first)
    assert nights.imported(third, state="elsewhere").returncode == 0


def test_a_merged_bundle_is_as_good_as_its_chain(nights: Nights, tmp_path: Path) -> None:
    first, second, third = nights.bundles
    merged = tmp_path / "merged.tar.zst"
    assert run(["merge", str(first), str(second), "-o", str(merged), "-q"]) == 0
    assert nights.imported(merged).returncode == 0
    assert nights.imported(third).returncode == 0


def test_an_import_that_was_taken_back_did_not_come(nights: Nights, tmp_path: Path) -> None:
    first, second, third = nights.bundles
    way_back = tmp_path / "back.json"
    nights.imported(first)
    nights.imported(second, "--rollback-file", str(way_back))
    assert nights.rolled_back(way_back) == 0
    assert nights.imported(third).returncode == 4
    assert nights.imported(second).returncode == 0
    assert nights.imported(third).returncode == 0


def test_after_an_older_bundle_the_later_ones_must_come_again(nights: Nights) -> None:
    """It may have moved tags back, and the next night would not move them on."""
    first, second, third = nights.bundles
    for bundle in (first, second, first):
        assert nights.imported(bundle).returncode == 0
    refused = nights.imported(third)
    with open_bundle(second) as lost:
        assert f"builds on bundle {lost.id}" in refused.stderr
    assert refused.returncode == 4
    for bundle in (second, third):
        assert nights.imported(bundle).returncode == 0


def test_everything_can_come_again_from_the_start(nights: Nights) -> None:
    for bundle in (*nights.bundles, *nights.bundles, nights.bundles[-1]):
        assert nights.imported(bundle).returncode == 0


def test_a_substitute_counts_no_more_once_the_lost_night_came(tmp_path: Path) -> None:
    """Both build on the same; whichever comes last has the last word, and only that may be built upon."""
    log = ImportLog(tmp_path, "registry.internal")
    sunday, lost, instead = (a_delta(None), "0"), (a_delta("0"), "1"), (a_delta("0"), "2")
    for inventory, name in (sunday, instead, lost):
        log.ends(an_id(name), inventory, AT)
    assert log.scopes().keys() == {an_id("0"), an_id("1")}


def test_an_interrupted_older_bundle_counts_as_imported_again(tmp_path: Path) -> None:
    log = ImportLog(tmp_path, "registry.internal")
    for number in range(3):
        log.ends(an_id(str(number)), a_delta(str(number - 1) if number else None), AT)
    log.moves(an_id("1"), a_delta("0"), AT)
    assert log.scopes().keys() == {an_id("0")}


def an_id(text: str) -> Digest:
    return sha256(text.encode())


def a_delta(base: str | None) -> Inventory:
    """Of a delta, what it builds on is all that counts here."""
    return Inventory(1, "delta" if base else "full", (), (), (), (), (an_id(base),) if base else ())


def test_a_torn_line_is_passed_over(nights: Nights) -> None:
    first, second, third = nights.bundles
    nights.imported(first)
    with nights.log().open("a") as log:
        log.write("2026-11-24T02:39:17Z imported sha256:d4ae587c")
    assert nights.imported(second).returncode == 0
    assert nights.imported(third).returncode == 0


def test_a_memory_that_can_not_be_kept_up_is_9(nights: Nights, tmp_path: Path) -> None:
    """A line that was lost would make the next night look as if it had a gap before it."""
    first, second, _ = nights.bundles
    nights.imported(first)
    log = nights.log()
    (tmp_path / "elsewhere").write_bytes(log.read_bytes())
    log.unlink()
    log.symlink_to(tmp_path / "elsewhere")
    refused = nights.imported(second)
    assert refused.returncode == 9
    assert str(log) in refused.stderr
