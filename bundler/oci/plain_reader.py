"""Short documents, read by plain code as their types say.

Loading pydantic takes longer than all that a usual import reads. What is not exactly as declared is left to
pydantic, which says what is wrong with it; a test holds both against each other.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from bundler.oci.grammar import LARGEST_SIZE, Parsed, Size, camel

Make = Callable[[Any], Any]
"""Make a value of what stands in a document. Raises ValueError."""


@cache
def plain_reader(kind: Any) -> Make:
    """Return what makes a value of this type. Raises TypeError for a type that it does not know."""
    arguments = get_args(kind)
    match get_origin(kind):
        case None:
            return _simple(kind)
        case origin if origin is Annotated:
            return _size if kind == Size else plain_reader(arguments[0])
        case origin if origin is tuple:
            return partial(_tuple, plain_reader(arguments[0]))
        case origin if origin is Mapping:
            return partial(_mapping, plain_reader(arguments[0]), plain_reader(arguments[1]))
        case origin if origin is Literal:
            return partial(_one_of, arguments)
        case origin if origin in (Union, UnionType):
            return partial(_first_that_fits, tuple(map(plain_reader, arguments)))
    raise TypeError(f"{kind} is read by pydantic only")


def _simple(kind: Any) -> Make:
    if kind is Any:
        return _as_it_is
    if is_dataclass(kind):
        return _record(kind)
    if isinstance(kind, type) and issubclass(kind, Parsed):
        return kind.parse
    if kind in (str, int, bool, NoneType):
        return partial(_exactly, kind)
    raise TypeError(f"{kind} is read by pydantic only")


def _record(kind: Any) -> Make:
    hints = get_type_hints(kind, include_extras=True)
    parts = [(part.name, camel(part.name), plain_reader(hints[part.name])) for part in fields(kind)]
    needed = {part.name for part in fields(kind) if part.default is part.default_factory is MISSING}

    def make(value: Any) -> Any:
        read = _exactly(dict, value)
        named = {name: part(read[key]) for name, key, part in parts if key in read}
        if not needed <= named.keys():
            raise ValueError("a field is missing")
        return kind(**named)

    return make


def _as_it_is(value: Any) -> Any:
    return value


def _exactly(kind: type, value: Any) -> Any:
    """Return it; True is no number here."""
    if type(value) is not kind:
        raise ValueError("of another type")
    return value


def _size(value: Any) -> Any:
    if type(value) is not int or not 0 <= value < LARGEST_SIZE:
        raise ValueError("no size")
    return value


def _tuple(item: Make, value: Any) -> Any:
    return tuple(map(item, _exactly(list, value)))


def _mapping(key: Make, item: Make, value: Any) -> Any:
    return {key(name): item(part) for name, part in _exactly(dict, value).items()}


def _one_of(values: tuple[Any, ...], value: Any) -> Any:
    if not any(type(value) is type(allowed) and value == allowed for allowed in values):
        raise ValueError("none of the values")
    return value


def _first_that_fits(readers: tuple[Make, ...], value: Any) -> Any:
    for reader in readers:
        try:
            return reader(value)
        except ValueError:
            continue
    raise ValueError("nothing fits")
