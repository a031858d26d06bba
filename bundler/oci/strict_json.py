"""JSON as a peer may write it, and nothing that two readers could read in two ways.

`json.loads` takes UTF-16, NaN, duplicate keys and any depth; none of it passes here.
"""

from __future__ import annotations

import json
import re
from typing import Any

from bundler.errors import ContentError
from bundler.limits import DEFAULT_LIMITS

_HALF_A_LETTER = re.compile(
    r"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F])*+\\u", re.DOTALL
)
"""Up to the first escape of a surrogate that is not one of a pair."""
NAMES = DEFAULT_LIMITS.tags
"""Names in one object, at most: tags of a repository are the longest list of names."""
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]')


def loads(data: bytes, *, item: str, depth: int, values: int = DEFAULT_LIMITS.manifest_values) -> Any:
    """The document. Raises ContentError that names `item`."""
    text = _text(data, item=item, depth=depth, values=values)
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ContentError(item, f"not valid JSON: {error}") from error


def check(data: bytes, *, item: str, depth: int, values: int = DEFAULT_LIMITS.json_values) -> None:
    """The same checks for a large document, without keeping what it says."""
    text = _text(data, item=item, depth=depth, values=values)
    if not text.isascii():
        # One letter beyond the others makes a text take four times its bytes; what is not ASCII matters
        # here only to tell one key from another.
        text = data.decode("latin-1")
    try:
        json.loads(text, object_pairs_hook=_forget, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ContentError(item, f"not valid JSON: {error}") from error


def canonical(document: object) -> bytes:
    """One spelling for one content: UTF-8, sorted keys, no spaces, one newline at the end."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode() + b"\n"


def pretty(document: object) -> bytes:
    """One spelling for one content, for people: sorted keys, indented."""
    return json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False).encode() + b"\n"


def _text(data: bytes, *, item: str, depth: int, values: int) -> str:
    # Each value has a comma or a bracket before it, and takes 50 to 250 bytes of memory. Those in strings are
    # counted too: nothing that is right comes near the limit.
    if sum(data.count(letter) for letter in (b",", b"[", b"{")) > values:
        raise ContentError(item, f"JSON of more than the limit of {values:,} values")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ContentError(item, "not UTF-8 text") from error
    if ("\\ud" in text or "\\uD" in text) and _HALF_A_LETTER.match(text):
        # Some readers put another letter there, some refuse it, and it can't be written again.
        raise ContentError(item, "not valid JSON: half a letter (a surrogate without the other)")
    level = 0
    # Counted before parsing: the parser would go as deep as its stack allows.
    for token in _STRING_OR_BRACKET.finditer(text) if text.count("[") + text.count("{") > depth else ():
        character = token[0][0]
        level += (character in "[{") - (character in "]}")
        if level > depth:
            raise ContentError(item, f"JSON nested more than {depth} deep")
    return text


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _few(pairs)
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key")
    return result


def _forget(pairs: list[tuple[str, Any]]) -> None:
    _few(pairs)
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("duplicate key")


def _few(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > NAMES:
        raise ValueError(f"an object of more than the limit of {NAMES:,} names")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
