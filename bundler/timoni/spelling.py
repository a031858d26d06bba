"""A url put in the place of another, in the spelling that stands there. No I/O.

A url has no quotes, escapes or spaces, so it needs no escaping in any form of string.
"""

from __future__ import annotations

from bundler.timoni.cue_strings import words_of


def as_cue(written: str, old: str, new: str) -> str:
    """In CUE and JSON: between the quotes that are there; a reference becomes a plain string."""
    words = words_of(written)
    if words is None:
        return f'"{new}"'
    return written[: words.start] + new + written[words.end :]


def as_yaml(written: str, old: str, new: str) -> str:
    """In YAML: in the style that is there, unless the old url had escapes or the new one needs quotes."""
    before, found, after = written.rpartition(old)
    bare = not after and "\n" not in before and not before.endswith(("'", '"'))
    if found and not (bare and "[" in new):
        return f"{before}{new}{after}"
    properties = before if found else written[: written.find('"')]
    return f'{properties}"{new}"'
