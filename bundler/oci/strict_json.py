"""JSON as a peer may write it, and nothing that two readers could read in two ways.

`json.loads` takes UTF-16, NaN, duplicate keys and any depth; none of it passes here. Nor do documents of
nearly nothing but brackets: parsed, they take fifty times their size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Any, Concatenate, ParamSpec, TypeVar

from bundler.errors import BundlerError, ContentError
from bundler.limits import DEFAULT_LIMITS

Result = TypeVar("Result")

Others = ParamSpec("Others")

_one = RLock()

_BEYOND_LATIN_1 = re.compile(rb"[\xc4-\xff]")

_HALF_A_LETTER = re.compile(
    r"(?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F])*+\\u", re.DOTALL
)
"""Up to the first escape of a surrogate that is not one of a pair."""

_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]')


def alone(read: Callable[Concatenate[bytes, Others], Result]) -> Callable[Concatenate[bytes, Others], Result]:
    """Have a function that reads a document, and keeps none of it, read large ones one after the other.

    However many threads have one: parsed, hostile documents take many times their size.
    """

    @wraps(read)
    def one_at_a_time(data: bytes, /, *arguments: Others.args, **more: Others.kwargs) -> Result:
        if len(data) <= DEFAULT_LIMITS.json_beside:
            return read(data, *arguments, **more)
        with _one:
            try:
                return read(data, *arguments, **more)
            except BundlerError as error:
                # What it says is kept, and not the document that its frames and causes hold.
                error.__context__ = None
                raise error.with_traceback(None) from None

    return one_at_a_time


def check_width(data: bytes, *, item: str, most: int = DEFAULT_LIMITS.json_wide) -> None:
    """Raise ContentError for a document that takes much more room as text than on the wire."""
    if len(data) > most and _BEYOND_LATIN_1.search(data):
        raise ContentError(item, f"letters beyond Latin-1 in JSON of more than {most:,} bytes")


def loads(data: bytes, *, item: str, depth: int, values: int = DEFAULT_LIMITS.manifest_values) -> Any:
    """Parse a document. Raises ContentError that names `item`."""
    text = _text(data, item=item, depth=depth, values=values)
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ContentError(item, f"not valid JSON: {error}") from error


def check(data: bytes, *, item: str, depth: int, values: int = DEFAULT_LIMITS.json_values) -> None:
    """Make the same checks of a large document, without keeping its content."""
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
    """Return the one canonical spelling: UTF-8, sorted keys, no spaces, one newline at the end."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode() + b"\n"


def pretty(document: object) -> bytes:
    """Return one spelling for people: sorted keys, indented."""
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
    if len(pairs) > (most := DEFAULT_LIMITS.json_names):
        raise ValueError(f"an object of more than the limit of {most:,} names")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
