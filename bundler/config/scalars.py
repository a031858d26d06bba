"""What one plain scalar of YAML means, where YAML 1.1 and YAML 1.2 agree on it.

YAML 1.1 takes `1.10` for a number, `no` for false and `2026-01-01` for a date. What the two read
differently, or neither as a text, an integer, a boolean or null, is never guessed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_INTEGER = re.compile("[-+]?(?:0|[1-9][0-9]{0,17})")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_SAME_IN_BOTH: dict[str, bool | None] = {
    **dict.fromkeys(("~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# Wider than both versions' grammars: whatever begins like a number and is none is better quoted too.
_NUMBER = re.compile(
    "[-+]?(?:[0-9][0-9_]*(?:[.][0-9_]*)?|[.][0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
    "|[-+]?0[xob][0-9a-fA-F_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:[.][0-9_]*)?"
    "|[-+]?[.](?:inf|Inf|INF)|[.](?:nan|NaN|NAN)"
)
_DATE = re.compile("[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t][0-9 \t:.Zz+-]*)?")
_BOOLEAN = re.compile("y|n|yes|no|on|off", re.IGNORECASE)


class Unclear(NamedTuple):
    """A scalar that some readers take for a text and others for something else."""

    text: str
    kind: str


NOTHING = "nothing"
NOT_PRINTABLE = "with a control character"

Meaning = str | int | bool | Unclear | None


def meaning(text: str, *, plain: bool) -> Meaning:
    """What the scalar says; `plain` is one without quotes."""
    if _CONTROL.search(text):
        return Unclear(text, NOT_PRINTABLE)
    if not plain:
        return text
    if text in _SAME_IN_BOTH:
        return _SAME_IN_BOTH[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    kind = _kind(text)
    return Unclear(text, kind) if kind else text


def why_no_text(value: Meaning, *, secret: bool = False) -> tuple[str, str]:
    """Cause and next step where a text is wanted; what may be secret is not shown."""
    kind = value.kind if isinstance(value, Unclear) else _simple_kind(value)
    if kind == NOT_PRINTABLE:
        return "a control character", "leave it out"
    text = value.text if isinstance(value, Unclear) else str(value)
    if kind == NOTHING:
        return "nothing is there", 'write a value, or "" for an empty text'
    if secret:
        return f"without quotes it is {kind}", "write it in quotes"
    return f"{text} without quotes is {kind}", f'write it in quotes: "{text}"'


def _simple_kind(value: Meaning) -> str:
    if value is None:
        return NOTHING
    return "true or false" if isinstance(value, bool) else "a number"


def _kind(text: str) -> str | None:
    """What some reader takes a text for."""
    if _NUMBER.fullmatch(text):
        return "a number"
    if _DATE.fullmatch(text):
        return "a date"
    if _BOOLEAN.fullmatch(text):
        return "true or false"
    return {"": NOTHING, "<<": "a merge key", "=": "a default"}.get(text)
