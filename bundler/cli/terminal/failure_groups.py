"""Equal failures as one line: 20,000 tags that fail for one cause are one thing to know."""

import re
from collections.abc import Iterable, Sequence

from bundler.errors import UsageError
from bundler.reporting.json_report import Failure

SHOWN = 100
"""Causes that get a line; the report has every failure."""

NAMED = 3
"""Items that the line of a group names."""

_VARYING = (
    (re.compile(r"\b(sha256|sha512):[0-9a-f]{12,}"), r"\1:..."),
    (re.compile(r"(https?://[^/\s]+)/\S*"), r"\1/..."),
)
"""The parts that differ from item to item in one cause: digests, and the paths of URLs."""


def grouped(failures: Iterable[Failure]) -> list[Failure]:
    """Return a failure per cause, in the order of appearance; the item of a group names its first items.

    Mistakes of usage stay apart: each one has its own place to be corrected.
    """
    groups: dict[tuple[str, str, int], list[Failure]] = {}
    for item in failures:
        alone = item.item if item.exit_code == UsageError.exit_code else ""
        key = (alone + _without_varying(item.cause), _without_varying(item.next_step), item.exit_code)
        groups.setdefault(key, []).append(item)
    return [_joined(group) for group in groups.values()]


def _joined(group: Sequence[Failure]) -> Failure:
    first, names = group[0], list(dict.fromkeys(item.item for item in group))
    if len(names) == 1:
        return first
    shown = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
    return Failure(
        f"{len(names):,} {_noun(names)} ({shown})",
        _common([item.cause for item in group]),
        first.exit_code,
        _common([item.next_step for item in group]),
    )


def _noun(names: Iterable[str]) -> str:
    """Return `tags` if each is a reference with a tag, else `items`."""
    return "tags" if all(":" in name.rpartition("/")[2] and "/" in name for name in names) else "items"


def _common(texts: Sequence[str]) -> str:
    """Return the text if all are equal, else what they have in common."""
    return texts[0] if len(set(texts)) == 1 else _without_varying(texts[0])


def _without_varying(text: str) -> str:
    for pattern, stand_in in _VARYING:
        text = pattern.sub(stand_in, text)
    return text
