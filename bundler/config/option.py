"""Options declared once, as annotations of a group's fields: the command line and the files read the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, get_args, get_origin

if TYPE_CHECKING:
    from bundler.oci import RegistryName

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
    default_registry: RegistryName | None = None
    """The registry of a name without one; None for ghcr.io."""


Reader = Callable[[str, Circumstances], Any]
"""Make a value of a text. Raises ValueError or UsageError."""


class Option:
    """Declaration of one field of a group; `Argument` for what is given by its position.

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

    def __init__(self, metavar: str, *, path: bool = False, read: Reader | None = None) -> None:
        self.metavar = metavar
        self.path = path
        self.read = read


class OptionField(NamedTuple):
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
        """Return the values of a `Literal`; none for other types."""
        return get_args(self.item) if get_origin(self.item) is Literal else ()

    @property
    def reader(self) -> Reader | None:
        """Return the function that makes a value of a text, where the type alone does not tell."""
        if self.declared.read:
            return self.declared.read
        parse = getattr(self.item, "parse", None)
        return (lambda text, at: parse(text)) if parse else None

    @property
    def group(self) -> Any:
        """Return the group that one value is, in files; None for a plain value."""
        return self.item if hasattr(self.item, "_fields") and self.reader is None else None


NOTHING = object()
"""The default of a field that must be given."""

Group = TypeVar("Group", bound=tuple[Any, ...])


class FileSection:
    """A section of a file: the fields of a group stand below its key."""

    def __init__(self, key: str, help: str) -> None:  # noqa: A002  as of an option
        self.key = key
        self.help = help


class GroupPart(NamedTuple):
    """One field of a NamedTuple: an option, or a group of them."""

    name: str
    field: OptionField | None
    group: Any = None
    section: FileSection | None = None


@cache
def parts_of(group: type[tuple[Any, ...]]) -> tuple[GroupPart, ...]:
    """Return the fields of a NamedTuple, in order."""
    defaults = getattr(group, "_field_defaults", {})
    return tuple(
        _part(name, annotation, defaults.get(name, NOTHING))
        for name, annotation in group.__annotations__.items()
    )


def _part(name: str, annotation: Any, default: Any) -> GroupPart:
    if isinstance(annotation, type):
        return GroupPart(name, None, annotation)
    kind, declared = get_args(annotation)
    if isinstance(declared, FileSection):
        return GroupPart(name, None, kind, declared)
    return GroupPart(name, field_of(name, annotation, default))


def fields_of(group: type[tuple[Any, ...]]) -> Iterator[OptionField]:
    """Yield the declared fields of a group, and of the groups in it."""
    for part in parts_of(group):
        yield from (part.field,) if part.field else fields_of(part.group)


def field_of(name: str, annotation: Any, default: Any = NOTHING) -> OptionField:
    """Read one annotation: `Annotated[TYPE, Option(...)]`."""
    kind, declared = get_args(annotation)
    many = get_origin(kind) is tuple
    parts = [part for part in get_args(kind) if part not in (type(None), ...)]
    optional = not many and type(None) in get_args(kind)
    item = parts[0] if many or optional else kind
    return OptionField(name, item, many, optional, default, declared)


def built(group: type[Group], take: Callable[[OptionField], Any]) -> Group:
    """Make a group, and the groups in it, of the values that `take` has for their fields."""
    return group(*(take(part.field) if part.field else built(part.group, take) for part in parts_of(group)))


def defaults_of(group: type[Group]) -> Group:
    """Make a group of its defaults."""
    return built(group, lambda field: field.default)


def over(line: Group, file: Group) -> Group:
    """Return what the command line says, and what a file says where the command line says nothing.

    A list with `adds` is both, one after the other.
    """
    return type(line)(*map(_over, parts_of(type(line)), line, file))


def _over(part: GroupPart, line: Any, file: Any) -> Any:
    if part.field is None:
        return over(line, file)
    if part.field.declared.adds:
        return tuple(dict.fromkeys((*line, *file)))
    return file if line == part.field.default else line


def values_in(group: tuple[Any, ...], above: str = "") -> Iterator[tuple[str, OptionField, Any]]:
    """Yield the fields of a group with their key paths in a file (`registries.caFile`) and values."""
    for part, value in zip(parts_of(type(group)), group, strict=True):
        if part.field is None:
            below = f"{above}{part.section.key}." if part.section else above
            yield from values_in(value, below)
        elif isinstance(part.field.declared, Option) and part.field.declared.key:
            yield above + part.field.declared.key, part.field, value


def with_values(group: type[Group], values: Mapping[str, Any], above: str = "") -> Group:
    """Make a group of values by key path; what has none keeps its default."""

    def value(part: GroupPart) -> Any:
        if part.field is None:
            below = f"{above}{part.section.key}." if part.section else above
            return with_values(part.group, values, below)
        key = part.field.declared.key if isinstance(part.field.declared, Option) else ""
        return values.get(above + key, part.field.default) if key else part.field.default

    return group(*map(value, parts_of(group)))
