"""A second of search for each target, and their inputs to begin with; `make fuzz` searches longer."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS, run

ROOT = Path(__file__).parents[2]


def test_the_search_is_led_by_coverage_where_that_can_be_had() -> None:
    wheels = sys.platform == "linux" and platform.machine() == "x86_64" and sys.version_info < (3, 14)
    assert find_spec("atheris") or not wheels


@pytest.mark.parametrize("name", TARGETS)
def test_the_inputs_to_begin_with_do_no_harm(name: str) -> None:
    target = TARGETS[name]
    for seed in target.seeds():
        run(target.attempt, seed)


@pytest.mark.parametrize("part", [0, 1])
def test_no_input_does_harm_that_is_found_within_a_second(part: int, tmp_path: Path) -> None:
    names = list(TARGETS)[part::2]
    # Patient, because a busy machine is no harm: an input that takes for ever is what is looked for.
    times = ["--seconds", "1", "--patience", "300"]
    command = [sys.executable, "-m", "tests.fuzz.run", *names, *times, "--keep", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=3000)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("nothing found") == len(names)
    assert ("unled" in ended.stdout) == (find_spec("atheris") is None)
    assert list(tmp_path.iterdir()) == []
