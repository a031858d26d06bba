"""Documents that a program wrote, read within bounds, and ended by the first mistake.

Pydantic reads those that are long, or not as they should be; plain code reads the others.
"""

import contextlib
import functools
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple, TypeVar

from bundler.errors import ContentError, printable
from bundler.limits import MIB, Limits
from bundler.oci import strict_json
from bundler.oci.grammar import Parsed, camel
from bundler.oci.plain_reader import plain_reader

Read = TypeVar("Read")


SHORT = MIB
"""Bytes of a document up to which plain code has read it before pydantic is loaded."""


class CheckedDocument(NamedTuple):
    """The bytes of a document that are JSON, and not too much of it."""

    data: bytes
    item: str
    content: Any
    """A short document, parsed; else None."""


def checked(data: bytes, *types: type, item: str, limits: Limits) -> CheckedDocument:
    """Check a document that is to be read as these types.

    Raises ContentError that names `item`: too large, too many values, not JSON, or a key that is one of the
    types' fields in another case.
    """
    if len(data) > limits.inventory:
        raise ContentError(item, f"larger than the limit of {limits.inventory:,} bytes")
    names = frozenset(camel(field.name) for kind in types for field in fields(kind))
    depth, values = limits.json_depth, limits.json_values
    if len(data) <= SHORT:
        content = strict_json.loads(data, item=item, depth=depth, values=values, names=names)
        return CheckedDocument(data, item, content)
    strict_json.check(data, item=item, depth=depth, values=values, names=names)
    return CheckedDocument(data, item, None)


def read_document(
    of: type[Read],
    document: CheckedDocument,
    *,
    parts: tuple[type, ...] = (),
    what: str = "",
    next_step: str = "",
) -> Read:
    """Return the document as a value; `parts` are the types of what is in it. Raises ContentError.

    `what` is said before the mistake: "no receipt: ".
    """
    if document.content is not None:
        kind: Any = of
        with contextlib.suppress(ValueError):
            plain: Read = plain_reader(kind)(document.content)
            return plain
    from pydantic import ValidationError

    try:
        read: Read = _reader((of, *parts)).validate_json(document.data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "its top"
        raise ContentError(document.item, printable(f"{what}{where}: {first['msg']}"), next_step) from None
    return read


@functools.cache
def adapter_of(of: Any, *parts: type) -> Any:
    """Return pydantic's reader for these types; imported here, because most runs need none."""
    from pydantic import ConfigDict, TypeAdapter, with_config

    # Unknown fields of a newer writer are left alone.
    kinds: list[Any] = [*parts, *([of] if is_dataclass(of) else [])]
    for kind in kinds:
        with_config(ConfigDict(alias_generator=camel, extra="ignore", strict=True))(kind)
    return TypeAdapter(of)


@functools.cache
def _reader(kinds: Any) -> Any:
    """Return the same reader, stopped by the first mistake in a list: each further one takes a kilobyte."""
    from pydantic_core import SchemaValidator

    return SchemaValidator(_hasty(adapter_of(*kinds).core_schema))


def _hasty(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_hasty(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    ended = {"fail_fast": True} if schema.get("type") == "tuple" else {}
    return {name: _hasty(part) for name, part in schema.items()} | ended


class Names:
    """An annotation by which pydantic reads a mapping no further than the first mistake."""

    def __init__(self, key: type[Parsed], value: type[Parsed]) -> None:
        self._key = key
        self._value = value

    def __get_pydantic_core_schema__(self, source: object, handler: Any) -> Any:
        """Check a mapping by plain code, before pydantic reads it."""
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self._looked_at, handler(source))

    def _looked_at(self, names: object) -> object:
        if isinstance(names, Mapping):
            for key, value in names.items():
                self._key.parse(key)
                self._value.parse(value)
        return names
