"""JSON as a peer may write it, and nothing that two readers could read in two ways.

`json.loads` takes UTF-16, NaN, duplicate keys and any depth; none of it passes here. Nor do documents of
nearly nothing but brackets: parsed, they take fifty times their size. Go's encoding/json finds the fields of
a struct whatever their case, the last one wins; so keys that differ only by case are refused, too, except
in the maps of users, which Go reads exactly. Readers of protobuf messages take `mediaType` and `media_type`
for one field; so the second is refused where the first is known. Sources: Go, encoding/json, fold.go;
protobuf.dev, ProtoJSON.
"""

import json
import re
from collections.abc import Callable
from functools import cache, partial, wraps
from threading import RLock
from typing import Any, Concatenate, ParamSpec, TypeVar

from bundler.errors import BundlerError, ContentError, printable
from bundler.limits import DEFAULT_LIMITS

Result = TypeVar("Result")

Others = ParamSpec("Others")

NO_NAMES: frozenset[str] = frozenset()

MAPS = frozenset({"annotations", "tags", "removed", "deselected", "optional", "predicate"})
"""Names of fields whose value is a map: its keys are users' own, and may differ only by case."""

_reading = RLock()

_BEYOND_LATIN_1 = re.compile(rb"[\xc4-\xff]")

# No possessive repeat of a group: Python 3.11 before 3.11.5 goes wrong where one fails half way.
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F]|(u[dD][89a-fA-F])|.)", re.DOTALL)
"""An escape, or two that make one letter; the group has a surrogate that is not one of a pair."""

_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"|[\[{]|[\]}]')


def alone(read: Callable[Concatenate[bytes, Others], Result]) -> Callable[Concatenate[bytes, Others], Result]:
    """Have a function that reads a document, and keeps none of it, read large ones one after the other.

    However many threads have one: parsed, hostile documents take many times their size.
    """

    @wraps(read)
    def one_at_a_time(data: bytes, /, *arguments: Others.args, **more: Others.kwargs) -> Result:
        if len(data) <= DEFAULT_LIMITS.json_beside:
            return read(data, *arguments, **more)
        with _reading:
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


def loads(
    data: bytes,
    *,
    item: str,
    depth: int,
    values: int = DEFAULT_LIMITS.manifest_values,
    names: frozenset[str] = NO_NAMES,
) -> Any:
    """Parse a document; `names` are the names that somebody looks for in it.

    Raises ContentError that names `item`.
    """
    text = _text(data, item=item, depth=depth, values=values)
    return _parsed(text, item, partial(_object, names, str))


def check(
    data: bytes,
    *,
    item: str,
    depth: int,
    values: int = DEFAULT_LIMITS.json_values,
    names: frozenset[str] = NO_NAMES,
) -> None:
    """Make the same checks of a large document, without keeping its content."""
    text = _text(data, item=item, depth=depth, values=values)
    if text.isascii():
        spelled: Callable[[str], str] = str
    else:
        # One letter beyond the others makes a text take four times its bytes; what is not ASCII matters
        # here only in keys.
        text, spelled = data.decode("latin-1"), _from_latin_1
    _parsed(text, item, lambda pairs: _forgotten(_object(names, spelled, pairs)))


def folded(name: str) -> str:
    """Return a name as Go compares the names of fields: by Unicode simple case folding, letter by letter."""
    return name.lower() if name.isascii() else "".join(map(_folded_letter, name))


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
    if ("\\ud" in text or "\\uD" in text) and any(escape[1] for escape in _ESCAPE.finditer(text)):
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


class _Doubtful(dict[str, Any]):
    """An object of which two readers may read different fields, unless it is a map of users."""

    cause = ""


def _parsed(text: str, item: str, hook: Callable[[list[tuple[str, Any]]], Any]) -> Any:
    try:
        document = json.loads(text, object_pairs_hook=hook, parse_constant=_refuse)
        _refuse_doubtful(document)
    except (ValueError, RecursionError) as error:
        raise ContentError(item, f"not valid JSON: {error}") from error
    return document


def _object(
    names: frozenset[str], spelled: Callable[[str], str], pairs: list[tuple[str, Any]]
) -> dict[str, Any]:
    """Return an object; a doubtful one is refused later, unless it turns out to be a map."""
    if len(pairs) > (most := DEFAULT_LIMITS.json_names):
        raise ValueError(f"an object of more than the limit of {most:,} names")
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("duplicate key")
    for name, value in pairs:
        if isinstance(value, _Doubtful) and name in MAPS:
            fields[name] = dict(value)
        else:
            _refuse_doubtful(value)
    cause = _two_readings([spelled(name) for name in fields], names)
    if not cause:
        return fields
    doubtful = _Doubtful(fields)
    doubtful.cause = cause
    return doubtful


def _two_readings(names: list[str], fields: frozenset[str]) -> str:
    """Return why Go may read other fields than we do; empty if it does not."""
    spellings: dict[str, str] = {}
    by_folding = _by_folding(fields)
    for name in names:
        key = folded(name)
        other = spellings.get(key) or by_folding.get(key, name)
        if other != name:
            both = f"{printable(repr(other), 60)} and {printable(repr(name), 60)}"
            who = "readers that ignore case" if folded(other) == key else "readers of protobuf"
            return f"the keys {both} are one key to {who}"
        spellings[key] = name
    return ""


@cache
def _by_folding(names: frozenset[str]) -> dict[str, str]:
    """Return each known name by its folding, and by that of its name in protobuf."""
    in_protobuf = {folded(_in_protobuf(name)): name for name in names}
    return in_protobuf | {folded(name): name for name in names}


def _in_protobuf(name: str) -> str:
    """Return `media_type` for `mediaType`."""
    return re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name)


def _refuse_doubtful(value: Any) -> None:
    for part in value if isinstance(value, list) else (value,):
        if isinstance(part, list):
            _refuse_doubtful(part)
        elif isinstance(part, _Doubtful):
            raise ValueError(part.cause)


def _forgotten(fields: dict[str, Any]) -> _Doubtful | None:
    """Return nothing of an object but the doubt about it."""
    if not isinstance(fields, _Doubtful):
        return None
    fields.clear()
    return fields


def _from_latin_1(name: str) -> str:
    """Return a key of a text that was decoded as Latin-1, in which escapes may stand."""
    data = b"".join(letter.encode("latin-1" if letter <= "\xff" else "utf-8") for letter in name)
    return data.decode("utf-8", "replace")


def _folded_letter(letter: str) -> str:
    # Full folding makes several letters of some; of these, lower case is what simple folding gives.
    full, lower = letter.casefold(), letter.lower()
    return full if len(full) == 1 else lower if len(lower) == 1 else letter


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
