"""Errors are lines, alone or several at once."""

from __future__ import annotations

from bundler.errors import CollectedError, UsageError


def problems(count: int) -> list[UsageError]:
    """So many different ones."""
    return [UsageError(f"item {number}", "wrong\nhere", "do this") for number in range(count)]


def test_collected_errors_have_a_line_each() -> None:
    error = CollectedError("the file", problems(2))
    assert str(error).splitlines() == ["item 0: wrong.here; do this", "item 1: wrong.here; do this"]
    assert error.exit_code == 2


def test_ten_errors_are_told_and_the_rest_is_counted() -> None:
    told = str(CollectedError("the file", problems(10))).splitlines()
    assert len(told) == 10
    told = str(CollectedError("the file", problems(13))).splitlines()
    assert told[10:] == ["the file: and 3 more; correct these first"]


def test_a_report_that_has_room_for_one_cause_has_all_of_them() -> None:
    error = CollectedError("the file", problems(2))
    assert error.item == "the file"
    assert "item 0" in error.cause
    assert "item 1" in error.cause
    assert "\n" not in error.cause
