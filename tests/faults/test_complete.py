"""Every numbered case of faults has a test that names its number: `test_NN_a_sentence`, `test_NN_MM_...`.

Two digits at least: the tests of exit codes in `tests/cli` have one.
"""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]

CASES = {
    "A, source registry": (*range(1, 5), *range(6, 19), *range(20, 24), 25),
    "B, network": (*range(27, 32), 33, 35, 36, 38, 39, 41, 42),
    "C, damaged bundle": (*range(43, 48), 49, 50, 51, 53, 55),
    "D, hostile bundle": (*range(56, 63), *range(64, 69), 70, 71, 72, 74, 76, 78, 79),
    "E, hostile source": (80, 81, *range(83, 89)),
    "F, target": (*range(89, 94), *range(95, 103), 104, 105),
    "G, config and usage": tuple(range(106, 114)),
    "H, environment": (114, 115, 117, 118, 120, *range(122, 126), 128, 129, 131),
    "I, concurrency": (*range(132, 136), 137),
}
_NAME = re.compile(r"^def test_((?:[0-9]{2,3}_)+)[a-z]", re.MULTILINE)


def _tested() -> set[int]:
    """The numbers in the names of all tests."""
    names = (match[1] for path in TESTS.rglob("test_*.py") for match in _NAME.finditer(path.read_text()))
    return {int(number) for name in names for number in name.strip("_").split("_")}


def test_every_case_has_a_test_that_names_it() -> None:
    found = _tested()
    missing = {group: [number for number in cases if number not in found] for group, cases in CASES.items()}
    assert {group: numbers for group, numbers in missing.items() if numbers} == {}


def test_no_test_names_a_case_that_there_is_not() -> None:
    known = {number for cases in CASES.values() for number in cases}
    assert _tested() - known == set()
