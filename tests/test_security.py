"""SECURITY.md promises by tests: each that it names is there, in the file that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SECURITY = (TESTS.parent / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`(?:(tests/[a-z_/]+\.py)::)?(test_[a-z0-9_]+)`", SECURITY)))
DEFINED = {path: path.read_text() for path in TESTS.rglob("test_*.py")}


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_that_is_named_is_there(file: str, name: str) -> None:
    places = [path for path, text in DEFINED.items() if f"def {name}(" in text]
    assert places
    assert not file or TESTS.parent / file in places


def test_every_promise_names_a_test() -> None:
    rows = re.findall(r"^\| (?!promise|who|---|\*\*)(.*) \|$", SECURITY, re.MULTILINE)
    assert len(rows) >= 25
    assert [row for row in rows if "test_" not in row] == []


@pytest.mark.parametrize("who", ["source", "network", "medium", "bundle", "target", "local user"])
def test_everybody_is_in_the_threat_model(who: str) -> None:
    assert f"| **{who}**" in SECURITY
