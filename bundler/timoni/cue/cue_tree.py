"""The tree of a CUE text, as far as it can be read without evaluating it. No I/O.

Every part knows its place: offsets in characters, the end excluded. JSON and YAML make the same tree.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class Text(NamedTuple):
    """A string without expressions in it."""

    value: str
    start: int
    end: int


class CueReference(NamedTuple):
    """A name, and perhaps fields of it: `_versions.app`. Also `string`, which is a name too."""

    path: tuple[str, ...]
    start: int
    end: int


class Bound(NamedTuple):
    """A condition on strings that says nothing of their value: `=~"^oci://"`."""

    start: int
    end: int


class Disjunct(NamedTuple):
    """One side of `|`; `*` makes it the default."""

    value: Expression
    default: bool


class Disjunction(NamedTuple):
    """`*"latest" | string`."""

    options: tuple[Disjunct, ...]
    start: int
    end: int


class Both(NamedTuple):
    """`#Base & {...}`: all of it holds."""

    parts: tuple[Expression, ...]
    start: int
    end: int


class CueList(NamedTuple):
    """A list."""

    elements: tuple[Expression, ...]
    start: int
    end: int


class Opaque(NamedTuple):
    """A value that only an evaluation could tell; `what` names it for people.

    `bodies` are the structs in a comprehension: the fields that it may give.
    """

    what: str
    start: int
    end: int
    bodies: tuple[Struct, ...] = ()


class Struct(NamedTuple):
    """`{...}`, or one step of `a: b: c`, or a file."""

    declarations: tuple[Declaration, ...]
    start: int
    end: int


class Label(NamedTuple):
    """A field's name. Hidden fields and definitions (`_x`, `#X`) are not regular, unless quoted."""

    name: str
    regular: bool = True


class Field(NamedTuple):
    """`label: value @attribute(...)`.

    `names` are the identifiers by which expressions near it may mean it; `optional`: with a `?`.
    """

    label: Label
    value: Expression
    start: int
    names: tuple[str, ...] = ()
    optional: bool = False
    attributes: tuple[str, ...] = ()


class Let(NamedTuple):
    """`let name = value`."""

    name: str
    value: Expression
    start: int


class Embedded(NamedTuple):
    """An expression that stands between the fields."""

    value: Expression
    start: int


class Pattern(NamedTuple):
    """`[condition]: value`, for all fields; or `(expression): value`, a field with a computed name."""

    condition: Expression | None
    value: Expression
    start: int


Expression: TypeAlias = Text | CueReference | Bound | Disjunction | Both | CueList | Opaque | Struct

Declaration: TypeAlias = Field | Let | Embedded | Pattern


class Tree(NamedTuple):
    """A whole text; `damage` is the first place where its brackets or strings do not close.

    Files of one `package` see each other's names; those without one see only their own.
    """

    root: Struct
    package: str = ""
    damage: Opaque | None = None
