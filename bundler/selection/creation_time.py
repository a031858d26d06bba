"""Times of creation: RFC 3339 to seconds since the epoch, and back. Arithmetic only, no clock."""

import re
from typing import Self

_TIME = (
    "([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.[0-9]+)?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)

_DAY = 24 * 60 * 60

_EPOCH_YEAR = 1970

LAST_SECOND = 253_402_300_799
"""9999-12-31T23:59:59Z."""


class AgedSecond(int):
    """A second since the epoch that was given as an age: in each run another second, and the same age."""

    age: int
    """In seconds."""

    @classmethod
    def before(cls, now: int, age: int) -> Self:
        """Return the second that is so many seconds before `now`."""
        second = cls(now - age)
        second.age = age
        return second


def created_at(text: str) -> int | None:
    """Return the second that an `org.opencontainers.image.created` names; None for any other text.

    Strict RFC 3339, fractions cut off, the years 1970 to 9999 in UTC: Go writes the year 1 for a time that
    it doesn't know. Leap seconds are none of ours. Source: RFC 3339, section 5.6.
    """
    match = re.fullmatch(_TIME, text)
    if not match:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    sign, hours, minutes = match[7], int(match[8] or 0), int(match[9] or 0)
    if not (1 <= month <= 12 and 1 <= day <= _months(year)[month - 1]):
        return None
    if max(hour, hours) > 23 or max(minute, minutes, second) > 59:
        return None
    days = _days_before(year) + sum(_months(year)[: month - 1]) + day - 1
    ahead = (hours * 60 + minutes) * (-60 if sign == "-" else 60)
    seconds = days * _DAY + (hour * 60 + minute) * 60 + second - ahead
    return seconds if 0 <= seconds <= LAST_SECOND else None


def rfc3339(seconds: int) -> str:
    """Return `2026-11-20T10:00:00Z`, for the years 1970 to 9999."""
    days, seconds = divmod(seconds, _DAY)
    year = _EPOCH_YEAR + days // 366
    while _days_before(year + 1) <= days:
        year += 1
    days -= _days_before(year)
    month = 1
    while days >= _months(year)[month - 1]:
        days -= _months(year)[month - 1]
        month += 1
    minutes, second = divmod(seconds, 60)
    return f"{year:04}-{month:02}-{days + 1:02}T{minutes // 60:02}:{minutes % 60:02}:{second:02}Z"


def _days_before(year: int) -> int:
    """Return the days from the epoch to the first of January."""
    return 365 * (year - _EPOCH_YEAR) + _leap_days(year - 1) - _leap_days(_EPOCH_YEAR - 1)


def _leap_days(year: int) -> int:
    """Return the number of leap days up to the end of that year."""
    return year // 4 - year // 100 + year // 400


def _months(year: int) -> tuple[int, ...]:
    """Return the days of each month."""
    february = 28 + _leap_days(year) - _leap_days(year - 1)
    return (31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
