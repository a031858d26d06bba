"""Runs with compact bundles that are struck, that are told lies, or that have one core: nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from bundler.__main__ import run
from bundler.bundle import bundle_format
from tests.builders import push_to
from tests.compact.layers import Night, a_night, an_image, opened
from tests.doubles import Fault, FaultProxy, changed, extra, flipped, says, short
from tests.processes import bundler, needs
from tests.registries import RealRegistry
from tests.sweeps import LoadedProgram, was_struck

pytestmark = pytest.mark.slow


class Target(NamedTuple):
    """A night, and a target that has its base."""

    night: Night
    registry: RealRegistry
    path: str

    def words(self, bundle: Path, host: str = "") -> list[str]:
        """The import of a bundle."""
        to = f"{host or self.registry.host}/{self.path}"
        return ["import", str(bundle), "--to", to, "-q", "-j", "1"]

    def tags(self) -> set[str]:
        """The tags that are there."""
        return set(self.registry.tags(f"{self.path}/app"))


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    return a_night(tmp_path_factory.mktemp("night"), an_image(0), an_image(0, 1))


@pytest.fixture
def target(night: Night, target_registry: RealRegistry, fresh: Callable[[str], str]) -> Target:
    place = Target(night, target_registry, fresh("night"))
    assert run(place.words(night.base)) == 0
    return place


# --- told lies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "codes"),
    [(says(404), {4}), (changed(flipped), {6}), (changed(extra), {6}), (changed(short), {5, 6})],
    ids=["vanished", "other bytes", "more bytes", "fewer bytes"],
)
def test_a_base_blob_that_changes_after_it_was_asked_for_is_told(
    target: Target, fault: Fault, codes: set[int]
) -> None:
    with opened(target.night.compact) as delta:
        (blob,) = delta.base_blobs()
    with FaultProxy(target.registry.host) as proxy:
        proxy.on("GET", f"blobs/{blob.digest}", fault, times=float("inf"))
        assert run(target.words(target.night.compact, proxy.host)) in codes
        assert proxy.asked("HEAD", f"blobs/{blob.digest}")
        assert not proxy.asked("POST|PUT|PATCH|DELETE")
    assert target.tags() == {"1.0.0"}
    assert run(target.words(target.night.compact)) == 0
    assert target.tags() == {"1.0.0", "1.1.0"}


def test_a_byte_changed_in_any_member_writes_nothing(target: Target, tmp_path: Path) -> None:
    data = target.night.compact.read_bytes()
    with opened(target.night.compact) as delta:
        sizes = [len(bundle_format.COMPACT_MARK), *(frame.compressed for frame in delta.frames)]
    sizes += [bundle_format.DIGEST_FRAME, len(data) - sum(sizes) - bundle_format.DIGEST_FRAME]
    damaged, start = tmp_path / "damaged.compact.zst", 0
    with FaultProxy(target.registry.host) as proxy:
        for size in sizes:
            for place in (start, start + size // 2, start + size - 1):
                damaged.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
                assert run(target.words(damaged, proxy.host)) in (6, 7), place
            damaged.write_bytes(data[:start] + data[start + size :])
            assert run(target.words(damaged, proxy.host)) in (6, 7), start
            start += size
        assert not proxy.asked("POST|PUT|PATCH|DELETE")
    assert start == len(data)
    assert target.tags() == {"1.0.0"}


# --- struck in files without a name ----------------------------------------------------------------------


@pytest.mark.strace
@pytest.mark.parametrize("fault", ["signal=KILL", "error=ENOSPC", "error=EIO"])
@pytest.mark.parametrize("command", ["compact", "import"])
def test_struck_at_any_write_of_scratch_files_it_leaves_nothing(
    command: str,
    fault: str,
    target: Target,
    program: LoadedProgram,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Cases 115 and 117."""
    out, scratch, log = tmp_path / "out", tmp_path / "scratch", tmp_path / "strace"
    out.mkdir()
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    made = out / "night.compact.zst"
    words = {
        "compact": ["compact", str(target.night.portable), "-o", str(made), "--with", str(target.night.base)],
        "import": target.words(target.night.compact),
    }[command]
    for call, least in (("pwrite64", 1), ("ftruncate", 0), ("write", 1)):
        for number in count(1):
            options = ("-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={number}")
            ended = program.traced(log, *words, options=options)
            if not was_struck(log):
                break
            # What was to be said may be what could not be written.
            codes = (-signal.SIGKILL,) if "KILL" in fault else (0, 9)
            assert ended.code in codes, (call, number, ended)
            assert "Traceback" not in ended.said
            # Python tries a folder for temporary files with a word, and may be killed before it removes that.
            assert {path.read_bytes() for path in scratch.iterdir()} <= {b"", b"blat"}
            assert "KILL" in fault or list(scratch.iterdir()) == []
            assert "1.0.0" in target.tags()
            assert not made.exists() or made.read_bytes() == target.night.compact.read_bytes()
        assert number > least, call
    assert run([*words, "--force"] if command == "compact" else words) == 0
    if command == "compact":
        assert made.read_bytes() == target.night.compact.read_bytes()
        assert sorted(path.name for path in out.iterdir()) == [made.name, f"{made.name}.sha256"]
    else:
        assert target.tags() == {"1.0.0", "1.1.0"}


# --- one core --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["3", "19"])
def test_one_core_writes_the_same_bytes_as_all(
    night: Night, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs(shutil.which("taskset") is not None, "taskset")
    all_cores, pinned, single = (tmp_path / f"{name}.compact.zst" for name in ("all", "pinned", "single"))
    words = ["compact", str(night.portable), "--with", str(night.base), "--level", level, "-q", "-o"]
    assert run([*words, str(all_cores)]) == 0
    core = str(min(os.sched_getaffinity(0)))
    assert bundler(*words, str(pinned), before=("taskset", "-c", core)).returncode == 0
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert run([*words, str(single)]) == 0
    assert all_cores.read_bytes() == pinned.read_bytes() == single.read_bytes()


# --- the base of an export -------------------------------------------------------------------------------


def test_what_is_gone_of_the_base_is_carried_whole(
    source_registry: RealRegistry, target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    old, new = fresh("app"), tmp_path / "night.compact.zst"
    base, receipt = tmp_path / "base.tar.zst", tmp_path / "receipt.json"
    source, to = f"{source_registry.host}/{old}", ["--to", f"{target_registry.host}/gone", "-q"]
    push_to(source_registry.base, old, an_image(0))
    assert run(["export", source, "-o", str(base), "-q"]) == 0
    assert run(["import", str(base), *to, "--receipt", str(receipt)]) == 0
    base.unlink()
    push_to(source_registry.base, old, an_image(0, 1))
    layer = next(digest for digest, data in an_image(0).everything() if data[:2] == b"\x1f\x8b")
    storage = source_registry.folder / "data" / "docker" / "registry" / "v2"
    (storage / "repositories" / old / "_layers/sha256" / layer.partition(":")[2] / "link").unlink()
    words = ["export", f"{source}:1.1.0", "--base", str(receipt), "--compact", "-o", str(new)]
    assert run(words) == 0
    with opened(new) as delta:
        assert delta.base_blobs() == ()
    assert run(["import", str(new), *to]) == 0


def test_several_bundles_are_the_base_of_an_export(
    source_registry: RealRegistry, target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    path, to = fresh("app"), ["--to", f"{target_registry.host}/{fresh('several')}", "-q"]
    source, nights = (
        f"{source_registry.host}/{path}",
        [tmp_path / f"{number}.compact.zst" for number in range(3)],
    )
    for number, night in enumerate(nights):
        push_to(source_registry.base, path, an_image(*range(number + 1)))
        bases = [word for before in nights[:number] for word in ("--base", str(before))]
        assert run(["export", source, *bases, "--compact", "-o", str(night), "-q"]) == 0
    with opened(nights[2]) as delta:
        assert delta.inventory.base
        assert delta.base_blobs()
    for night in nights:
        assert run(["import", str(night), *to]) == 0
    assert run(["verify", str(nights[2]), "--with", str(nights[1]), "--with", str(nights[0]), "-q"]) == 0
