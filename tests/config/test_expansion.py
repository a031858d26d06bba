"""Variables in texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.config.problems import RefusedValueError
from bundler.config.texts import expanded

ENVIRONMENT = {"A": "alpha", "B_2": "${A}$$", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${A}/x-${A}", "alpha/x-alpha"),
        ("${B_2}", "${A}$$"),
        ("[${EMPTY}]", "[]"),
        ("$$5", "$5"),
        ("$${A}", "${A}"),
        ("$$${A}", "$alpha"),
    ],
)
def test_variables_are_filled_in_once_and_two_dollars_are_one(text: str, expected: str) -> None:
    assert expanded(text, ENVIRONMENT) == expected


@pytest.mark.parametrize("text", ["$", "$A", "${", "${}", "${A", "${A:-x}", "${ A }", "$(A)", "${1}"])
def test_any_other_dollar_is_refused(text: str) -> None:
    with pytest.raises(RefusedValueError, match="must be part"):
        expanded(text, ENVIRONMENT)


def test_a_variable_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(RefusedValueError, match="C is not set") as error:
        expanded("${A}${C}", ENVIRONMENT)
    assert "set C" in error.value.next_step
    assert "alpha" not in str(error.value)


@given(st.text())
def test_a_text_whose_dollars_are_doubled_stays_itself(text: str) -> None:
    assert expanded(text.replace("$", "$$"), {}) == text
