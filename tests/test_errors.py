"""Errors are lines, alone or several at once."""

from __future__ import annotations

import pytest

from bundler.errors import CollectedError, NetworkError, UsageError, printable
from bundler.reporting.json_report import failure


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


def test_a_failure_of_a_tag_does_not_name_its_repository_twice() -> None:
    closed = NetworkError("h.example/app", "it takes no uploads", "create it")
    assert failure(closed, "h.example/app:1.0.0").cause == "it takes no uploads"
    assert failure(closed, "h.example/other:1.0.0").cause == "h.example/app: it takes no uploads"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("oci://me:horse@h.io/a", "oci://h.io/a"),
        ("me:horse@h.io/a", "h.io/a"),
        ("'me:horse@h.io:5000' is no host", "'h.io:5000' is no host"),
        ("app:1.0@sha256:00", "app:1.0@sha256:00"),
        ("h.io/app:1.0@sha256:00", "h.io/app:1.0@sha256:00"),
        ("signed by me@example.org", "signed by me@example.org"),
    ],
)
def test_users_and_passwords_are_not_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
