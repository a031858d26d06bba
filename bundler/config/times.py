"""Points in time as people write them: a date, a time, an age. Seconds since the epoch, UTC."""

from __future__ import annotations

import re
from calendar import monthrange, timegm

_AGE = re.compile("([0-9]{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DATE = "([0-9]{4})-([0-9]{2})-([0-9]{2})"
_TIME = "[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\\.[0-9]+)?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
_MOMENT = re.compile(f"{_DATE}(?:{_TIME})?")


def seconds_of(age: str) -> int:
    """`90d`, `72h`: one number and one unit. Raises ValueError."""
    if found := _AGE.fullmatch(age):
        return int(found[1]) * _SECONDS[found[2]]
    raise ValueError(f"{age!r} is not an age (72h, 90d, 2w; m is minutes)")


def moment(text: str, now: int) -> int:
    """An RFC 3339 date (its first second, UTC) or time (its fraction cut off), or an age before `now`.

    Raises ValueError.
    """
    if _AGE.fullmatch(text):
        return now - seconds_of(text)
    found = _MOMENT.fullmatch(text)
    if not found:
        raise ValueError(
            f"{text!r} is not a date (2026-01-31), a time (2026-01-31T09:00:00Z) or an age (90d)"
        )
    year, month, day, hour, minute, second = (int(part or 0) for part in found.group(1, 2, 3, 4, 5, 6))
    ahead = (int(found[8] or 0) * 60 + int(found[9] or 0)) * (-60 if found[7] == "-" else 60)
    if not (year > 0 and 0 < month < 13 and 0 < day <= monthrange(year, month)[1]):
        raise ValueError(f"{text!r} names a day that does not exist")
    # 60 is a leap second (RFC 3339, 5.7).
    if hour > 23 or minute > 59 or second > 60 or int(found[8] or 0) > 23 or int(found[9] or 0) > 59:
        raise ValueError(f"{text!r} names a time that does not exist")
    return timegm((year, month, day, hour, minute, second)) - ahead
