"""Strings that are parsed once at the edge, and carry their grammar as a type from there on."""

import functools
import re
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field
from typing import Annotated, Any, ClassVar, Self, TypeVar, dataclass_transform

from bundler.errors import printable

Value = TypeVar("Value")


class Parsed(str):
    """A string that matches its class's grammar as a whole."""

    __slots__ = ()
    grammar: ClassVar[re.Pattern[str]]
    longest: ClassVar[int] = 255
    meaning: ClassVar[str]

    @classmethod
    def parse(cls, text: object) -> Self:
        """Raise ValueError unless `text` is a string of the grammar."""
        # fullmatch: with match() and `$`, a trailing newline would pass.
        if isinstance(text, str) and len(text) <= cls.longest and cls.grammar.fullmatch(text):
            return cls(text)
        raise ValueError(f"{printable(repr(text), 80)} is not {cls.meaning}")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        """Tell pydantic how to read one from a document, and how to describe it in a JSON Schema."""
        from pydantic_core import core_schema

        text = core_schema.str_schema(
            pattern=f"^(?:{cls.grammar.pattern})$", max_length=cls.longest, strict=True
        )
        return core_schema.no_info_after_validator_function(cls.parse, text)


_WILD = re.compile(r"\[!?\]?[^]]*\]|[*?]")


def letters_of(glob: str) -> frozenset[str]:
    """Return the letters that everything has which a glob matches: those outside `*`, `?` and `[...]`."""
    return frozenset(_WILD.sub("", glob))


@functools.cache
def expression(text: str) -> Any:
    """Compile a regular expression that is matched in time proportional to the text. Raises ValueError.

    RE2 has the syntax of Python's `re` without what needs going back: look-around and back-references.
    """
    import re2  # here, because most runs have no expressions

    options = re2.Options()
    options.log_errors = False
    try:
        re.compile(text)  # what only one of the two takes, people read in two ways
        return re2.compile(text, options)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(printable(error)) from None
    except re2.error as error:
        raise ValueError(printable(error.args[0].decode(errors="replace"))) from None


class DocumentValue:
    """A frozen dataclass that is also a document, by its fields; made by `document_value`.

    All that a dataclass has is written once: compiled for each class, it is nine tenths of the class's cost
    at every start.
    """

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __init__(self, *values: Any, **named: Any) -> None:
        parts = self.__dataclass_fields__
        given = dict(zip(parts, values, strict=False)) | named
        if len(given) != len(values) + len(named) or not given.keys() <= parts.keys():
            raise TypeError(f"{type(self).__qualname__} does not take these values: {values}, {named}")
        for name, part in parts.items():
            object.__setattr__(self, name, given[name] if name in given else _default(part))

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def _content(self) -> tuple[tuple[str, Any], ...]:
        return tuple((name, getattr(self, name)) for name in self.__dataclass_fields__)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DocumentValue) or type(self) is not type(other):
            return NotImplemented
        return self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._content())
        return f"{type(self).__qualname__}({shown})"


def _default(part: Field[Any]) -> Any:
    if part.default_factory is not MISSING:
        return part.default_factory()
    if part.default is MISSING:
        raise TypeError(f"missing: {part.name}")
    return part.default


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def document_value(cls: type[Value]) -> type[Value]:
    """Make a subclass of DocumentValue a frozen dataclass."""
    return dataclass(init=False, eq=False, repr=False, slots=True)(cls)


def camel(name: str) -> str:
    """Return `media_type` as documents spell it: `mediaType`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


class _Counted:
    """An annotation that tells pydantic what `Size` is, so that few modules import pydantic."""

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> Any:
        from pydantic_core import core_schema

        return core_schema.int_schema(ge=0, lt=LARGEST_SIZE, strict=True)


LARGEST_SIZE = 1 << 62

Size = Annotated[int, _Counted()]
"""A number of bytes: at least 0, below 2^62."""
