"""Times of creation, read and written, against the standard library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundler.selection.creation_time import LAST_SECOND, created_at, rfc3339

zones = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1970, 1, 3), datetime(9999, 12, 29), timezones=zones)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.slow
@settings(max_examples=1000)
@given(moments)
def test_a_time_is_the_second_that_the_standard_library_finds(moment: datetime) -> None:
    assert created_at(moment.isoformat()) == (moment - EPOCH) // timedelta(seconds=1)


@pytest.mark.slow
@settings(max_examples=1000)
@given(st.integers(0, LAST_SECOND))
def test_a_second_is_written_as_the_standard_library_does(second: int) -> None:
    expected = (EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert rfc3339(second) == expected
    assert created_at(expected) == second


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:00:00-01:00", 0),
        ("1969-12-31T23:59:59Z", None),
        ("1970-01-01T00:00:00+00:01", None),
        ("9999-12-31T23:59:59.999999999Z", LAST_SECOND),
        ("9999-12-31T23:59:59-00:01", None),
        ("2024-02-29T00:00:00Z", 1_709_164_800),
        ("2000-02-29T12:00:00.5z", 951_825_600),
        ("2026-11-20t10:00:00-00:00", 1_795_168_800),
    ],
)
def test_the_borders_are_exact(text: str, second: int | None) -> None:
    assert created_at(text) == second


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0001-01-01T00:00:00Z",
        "2026-11-20",
        "2026-11-20T10:00:00",
        "2026-11-20 10:00:00Z",
        "2026-11-20T10:00Z",
        "2026-11-20T10:00:00+0100",
        "2026-11-20T10:00:00+01",
        "2026-11-20T10:00:00.Z",
        "2026-11-20T10:00:00,5Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-11-00T00:00:00Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T10:60:00Z",
        "2026-12-31T23:59:60Z",
        "2026-11-20T10:00:00+24:00",
        "2026-11-20T10:00:00+01:60",
        "+2026-11-20T10:00:00Z",
        "2026-11-20T10:00:00Z\n",
        " 2026-11-20T10:00:00Z",
        "20२6-11-20T10:00:00Z",
        "1795168800",
    ],
)
def test_what_is_no_rfc_3339_time_is_none(text: str) -> None:
    assert created_at(text) is None
