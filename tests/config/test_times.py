"""Dates, times, ages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.config.problems import RefusedValueError
from bundler.config.texts import moment, seconds_of

NOW = 1_800_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01", 0),
        ("1970-01-02T00:00:00Z", 86_400),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1970-01-01t00:00:00.999-01:30", 5_400),
        ("1970-01-01 00:00:60z", 60),
        ("2024-02-29", 1_709_164_800),
        ("90d", NOW - 90 * 86_400),
        ("72h", NOW - 72 * 3600),
        ("2w", NOW - 14 * 86_400),
    ],
)
def test_a_date_a_time_or_an_age_is_a_moment(text: str, expected: int) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "2026", "2026-1-1", "2026-13-01", "2026-02-29", "2026-00-10", "2026-01-00",
        "0000-01-01", "2026-01-01T", "2026-01-01T09:00Z", "2026-01-01T24:00:00Z", "2026-01-01T09:60:00Z",
        "2026-01-01T09:00:61Z", "2026-01-01T09:00:00", "2026-01-01T09:00:00+24:00", "2026-01-01\n",
        "\u0662026-01-01", "90", "d", "1.5d", "-1d", "1d12h", "9999999d", "90D",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a date|does not exist"):
        moment(text, NOW)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)))
def test_every_time_is_the_one_that_the_standard_library_reads(when: datetime) -> None:
    assert moment(when.isoformat(), NOW) == int(when.replace(microsecond=0).timestamp())


def test_an_age_has_one_unit() -> None:
    assert [seconds_of(text) for text in ("5s", "5m", "5h", "5d", "5w")] == [
        5,
        300,
        18_000,
        432_000,
        3_024_000,
    ]
    with pytest.raises(RefusedValueError, match="is not an age") as caught:
        seconds_of("2026-01-01")
    assert caught.value.next_step == "write 90d or 72h"
