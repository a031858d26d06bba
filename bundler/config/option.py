"""Options declared once, as annotations of a group's fields: the command line and the files read the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

HEADINGS = (
    "Destination",
    "Choosing tags",
    "Included content",
    "Incremental bundles",
    "Reproducibility and sharding",
    "Volumes",
    "Image and module names",
    "Rollback",
    "Signatures and policy",
    "Output",
    "Registries",
)
"""Of a long help, in this order; options without one come first."""


class Circumstances(NamedTuple):
    """The surroundings in which texts are read."""

    now: int
    """Seconds since the epoch."""
    environment: Mapping[str, str] = {}
    """For `${NAME}` in a file; the command line leaves that to the shell."""
    file: str = ""
    """The file that is read: paths in it are relative to its folder."""


Reader = Callable[[str, Circumstances], Any]
"""Make a value of a text. Raises ValueError or UsageError."""


class Option:
    """What is said of one field of a group; `Argument` for what is given by its position.

    `flags` are its spellings on the command line: none for a key of files alone. `key` is its name in files,
    none for an option of the command line alone. `least` and `most` bound a number; of a list in a file,
    `least` is its shortest length. `path` marks a text that is a path in a file. `adds` marks a list to
    which the command line adds; any other it replaces.
    """

    def __init__(
        self,
        *flags: str,
        help: str,  # noqa: A002  as everywhere in command lines
        heading: str = "",
        key: str = "",
        metavar: str | None = None,
        least: int | None = None,
        most: int | None = None,
        read: Reader | None = None,
        path: bool = False,
        adds: bool = False,
    ) -> None:
        self.flags = flags
        self.help = help
        self.heading = heading
        self.key = key
        self.metavar = metavar
        self.least = least
        self.most = most
        self.read = read
        self.path = path
        self.adds = adds


class Argument:
    """A field that is given by its position; `path` completes names of files."""

    adds = False

    def __init__(self, metavar: str, *, path: bool = False) -> None:
        self.metavar = metavar
        self.path = path


class Field(NamedTuple):
    """One field of a group, as it is declared."""

    name: str
    item: Any
    """The type of a value, or of one item of a list."""
    many: bool
    optional: bool
    default: Any
    declared: Option | Argument

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a `Literal`; none for other types."""
        return get_args(self.item) if get_origin(self.item) is Literal else ()

    @property
    def reader(self) -> Reader | None:
        """The function that makes a value of a text, where the type alone does not tell."""
        if isinstance(self.declared, Option) and self.declared.read:
            return self.declared.read
        parse = getattr(self.item, "parse", None)
        return (lambda text, at: parse(text)) if parse else None


NOTHING = object()
"""The default of a field that must be given."""

Group = TypeVar("Group", bound=tuple[Any, ...])

Fields = tuple[tuple[Field | None, Any], ...]
"""In order: a field, or None and a group of them."""


@cache
def parts_of(group: type[tuple[Any, ...]]) -> Fields:
    """The fields of a NamedTuple, and the groups in it."""
    defaults = getattr(group, "_field_defaults", {})
    return tuple(
        (None, annotation)
        if hasattr(annotation, "_fields")
        else (field_of(name, annotation, defaults.get(name, NOTHING)), None)
        for name, annotation in group.__annotations__.items()
    )


def fields_of(group: type[tuple[Any, ...]]) -> Iterator[Field]:
    """Yield the declared fields of a group, and of the groups in it."""
    for field, below in parts_of(group):
        yield from (field,) if field else fields_of(below)


def field_of(name: str, annotation: Any, default: Any = NOTHING) -> Field:
    """Read one annotation: `Annotated[TYPE, Option(...)]`."""
    kind, declared = get_args(annotation)
    many = get_origin(kind) is tuple
    parts = [part for part in get_args(kind) if part not in (type(None), ...)]
    optional = not many and type(None) in get_args(kind)
    item = parts[0] if many or optional else kind
    return Field(name, item, many, optional, default, declared)


def built(group: type[Group], take: Callable[[Field], Any]) -> Group:
    """Make a group, and the groups in it, of the values that `take` has for their fields."""
    values = (take(field) if field else built(below, take) for field, below in parts_of(group))
    return group(*values)


def over(said: Group, file: Group) -> Group:
    """What the command line says, and what a file says where the command line says nothing.

    A list with `adds` is both, one after the other.
    """
    return type(said)(*map(_over, parts_of(type(said)), said, file))


def _over(part: tuple[Field | None, Any], said: Any, there: Any) -> Any:
    field, _ = part
    if field is None:
        return over(said, there)
    if field.declared.adds:
        return tuple(dict.fromkeys((*said, *there)))
    return there if said == field.default else said


def differences(group: Group, other: Group) -> Iterator[tuple[Field, Any, Any]]:
    """Yield the fields of which both say something, and not the same; lists with `adds` never differ."""
    for (field, _), value, there in zip(parts_of(type(group)), group, other, strict=True):
        if field is None:
            yield from differences(value, there)
        elif not field.declared.adds and field.default not in (value, there) and value != there:
            yield field, value, there
