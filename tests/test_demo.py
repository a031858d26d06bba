"""The demo: once, and once more in the same place."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.bundle.reader import open_bundle
from bundler.demo import BUNDLE, run_demo
from bundler.errors import BundlerError

EQUAL = "12 of 12 tags have the same digest outside and inside."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo runs."""
    return tmp_path_factory.mktemp("demo")


@pytest.mark.slow
def test_the_demo_carries_every_tag_unchanged(folder: Path) -> None:
    lines: list[str] = []
    bundle = run_demo(folder, lines.append, run)
    assert bundle == folder / BUNDLE
    assert lines[-2] == EQUAL
    assert lines[-1] == f"The bundle is {bundle}: look at it with `timoni-bundler inspect {bundle}`."
    commands = [line.split()[2] for line in lines if line.startswith("$ timoni-bundler ")]
    assert commands == ["export", "verify", "inspect", "import"]
    with open_bundle(bundle) as opened:
        tags = [list(entry.tags) for entry in opened.inventory.repositories]
    assert tags == [
        ["1.0.0", "1.1.0", "1.1.1", "2.0.0", "2.0.0-rc.1", "latest"],
        ["1.0.0", "1.1.0", "1.2.0", "1.2.1", "2.0.0", "latest"],
    ]


@pytest.mark.slow
def test_the_demo_can_be_run_again(folder: Path) -> None:
    lines: list[str] = []
    run_demo(folder, lines.append, run)
    assert lines[-2] == EQUAL


@pytest.mark.slow
def test_a_command_that_fails_ends_the_demo_with_what_it_said(folder: Path) -> None:
    lines: list[str] = []

    def refuse(arguments: Sequence[str]) -> int:
        print(f"{arguments[0]}: refused")
        return run(["verify", "not-there.tar.zst"])

    with pytest.raises(BundlerError, match="timoni-bundler export: ended with exit code 4"):
        run_demo(folder, lines.append, refuse)
    assert lines[-2] == "export: refused"
    assert lines[-1].startswith("timoni-bundler: error: not-there.tar.zst")


@pytest.mark.slow
def test_the_demo_starts_no_second_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a packed form, there is no Python to start one with."""
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    assert run(["demo", "--directory", str(tmp_path / "demo")]) == 0


def test_the_example_modules_carry_no_file_twice() -> None:
    modules = Path(__file__).parents[1] / "examples" / "modules"
    bases = [
        {path.relative_to(base): path for path in base.rglob("*.cue")} for base in modules.glob("*/base")
    ]
    shared = set.intersection(*(set(base) for base in bases))
    assert len(bases) == 2
    assert [path for path in shared if len({base[path].read_bytes() for base in bases}) == 1] == []
