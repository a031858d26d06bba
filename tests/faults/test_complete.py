"""Each numbered case of docs/faults.md has a test whose docstring names it: "Case 23.", "Cases 115, 117."."""

from __future__ import annotations

import ast
import re

from tests.source_code import ROOT, source_files

PAGE = (ROOT / "docs" / "faults.md").read_text()
CASES = [int(number) for number in re.findall(r"^\| ([0-9]+) \|", PAGE, re.MULTILINE)]
_NAMED = re.compile(r"\bCases? ((?:[0-9]+, )*[0-9]+)\.")


def _tested() -> set[int]:
    """Collect the numbers in the docstrings of all tests."""
    tests = (
        node
        for file in source_files(ROOT / "tests", "test_*.py")
        for node in file.definitions()
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )
    named = (match[1] for test in tests for match in _NAMED.finditer(ast.get_docstring(test) or ""))
    return {int(number) for numbers in named for number in numbers.split(", ")}


def test_every_case_is_listed_once() -> None:
    assert sorted(set(CASES)) == CASES
    assert len(CASES) > 100


def test_every_case_has_a_test_that_names_it() -> None:
    assert set(CASES) - _tested() == set()


def test_no_test_names_an_unknown_case() -> None:
    assert _tested() - set(CASES) == set()
