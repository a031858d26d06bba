"""What a CUE string literal says, and where its words stand. No I/O.

Source: the CUE language specification, "String and byte sequence literals".
"""

from __future__ import annotations

import re
from typing import NamedTuple

_LITERAL = re.compile(r"(?P<hashes>#*+)(?P<quotes>\"\"\"|\")")
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "/": "/", "\\": "\\", '"': '"',
}  # fmt: skip


class Words(NamedTuple):
    """The inside of a literal: offsets from the literal's start, and the lines' common indent."""

    start: int
    end: int
    hashes: str
    indent: str = ""


def words_of(literal: str) -> Words | None:
    """Where the words of a literal without expressions stand; None if it is malformed."""
    opening = _LITERAL.match(literal)
    if opening is None:
        return None
    start, end = opening.end(), len(literal) - opening.end()
    hashes = opening["hashes"]
    if len(opening["quotes"]) == 1:
        return Words(start, end, hashes)
    first, last = literal.index("\n", start) + 1, literal.rindex("\n", start, end)
    indent = literal[last + 1 : end]
    if last < first:
        return Words(first, first, hashes, indent)
    if not literal.startswith((indent, "\n", "\r\n"), first):
        return None
    return Words(first + len(indent) * literal.startswith(indent, first), last, hashes, indent)


def text_of(literal: str) -> str | None:
    """What a double-quoted literal without expressions says; None if it is malformed."""
    words = words_of(literal)
    if words is None:
        return None
    inside = literal[words.start : words.end]
    if literal.startswith('"""', len(words.hashes)):
        lines = inside.replace("\r", "").split("\n")
        if not all(line.startswith(words.indent) or not line for line in lines[1:]):
            return None
        inside = "\n".join([lines[0], *(line.removeprefix(words.indent) for line in lines[1:])])
    return _unescaped(inside, words.hashes)


def _unescaped(inside: str, hashes: str) -> str | None:
    if "\\" not in inside:
        return inside
    escape = re.compile(rf"\\{hashes}(?:u([0-9a-fA-F]{{4}})|U([0-9a-fA-F]{{8}})|(.?))", re.DOTALL)
    try:
        text = escape.sub(_character, inside)
        # Two escapes may make one character, as in JSON.
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except (KeyError, ValueError, OverflowError):
        return None


def _character(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2]
    return chr(int(code, 16)) if code else _ESCAPES[escape[3]]
