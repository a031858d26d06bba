"""The meaning of one plain scalar of YAML, where YAML 1.1 and YAML 1.2 agree on it.

YAML 1.1 takes `1.10` for a number, `no` for false and `2026-01-01` for a date. What the two read
differently, or neither as a text, an integer, a boolean or null, is never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import yaml

from bundler.config.problems import Problem, RefusedValueError, Where
from bundler.limits import Limits

_INTEGER = re.compile("[-+]?(?:0|[1-9][0-9]{0,17})")

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")

_SAME_IN_BOTH: dict[str, bool | None] = {
    **dict.fromkeys(("~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

# Wider than both versions' grammars: whatever begins like a number and is none is better quoted too.
_NUMBER = re.compile(
    "[-+]?(?:[0-9][0-9_]*(?:[.][0-9_]*)?|[.][0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?"
    "|[-+]?0[xob][0-9a-fA-F_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:[.][0-9_]*)?"
    "|[-+]?[.](?:inf|Inf|INF)|[.](?:nan|NaN|NAN)"
)

_DATE = re.compile("[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t][0-9 \t:.Zz+-]*)?")

_BOOLEAN = re.compile("y|n|yes|no|on|off", re.IGNORECASE)


class Unclear(NamedTuple):
    """A scalar that some readers take for a text and others for something else."""

    text: str
    kind: str


NOTHING = "nothing"

NOT_PRINTABLE = "with a control character"

Meaning = str | int | bool | Unclear | None


def meaning(text: str, *, plain: bool) -> Meaning:
    """Return the value of a scalar; `plain` is one without quotes."""
    if _CONTROL.search(text):
        return Unclear(text, NOT_PRINTABLE)
    if not plain:
        return text
    if text in _SAME_IN_BOTH:
        return _SAME_IN_BOTH[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    kind = _kind(text)
    return Unclear(text, kind) if kind else text


def why_no_text(value: Meaning, *, secret: bool = False) -> tuple[str, str]:
    """Cause and next step where a text is wanted; what may be secret is not shown."""
    kind = value.kind if isinstance(value, Unclear) else _simple_kind(value)
    if kind == NOT_PRINTABLE:
        return "a control character", "leave it out"
    text = value.text if isinstance(value, Unclear) else str(value)
    if kind == NOTHING:
        return "nothing is there", 'write a value, or "" for an empty text'
    if secret:
        return f"without quotes it is {kind}", "write it in quotes"
    return f"{text} without quotes is {kind}", f'write it in quotes: "{text}"'


def _simple_kind(value: Meaning) -> str:
    if value is None:
        return NOTHING
    return "true or false" if isinstance(value, bool) else "a number"


def _kind(text: str) -> str | None:
    """Return what some reader takes a text for."""
    if _NUMBER.fullmatch(text):
        return "a number"
    if _DATE.fullmatch(text):
        return "a date"
    if _BOOLEAN.fullmatch(text):
        return "true or false"
    return {"": NOTHING, "<<": "a merge key", "=": "a default"}.get(text)


class Scalar(NamedTuple):
    """One value: a text, if it has quotes."""

    line: int
    text: str
    plain: bool


class YamlList(NamedTuple):
    """A list."""

    line: int
    nodes: tuple[Node, ...]


class Pairs(NamedTuple):
    """Keys and their values."""

    line: int
    nodes: tuple[tuple[Scalar, Node], ...]


Node = Scalar | YamlList | Pairs


class Document:
    """One file: what it says, and where."""

    def __init__(self, root: Node, problems: Iterable[Problem] = ()) -> None:
        self._lines: dict[Where, int] = {}
        self._key_lines: dict[Where, int] = {}
        self.problems = list(problems)
        """What was left out of the content because it can't be meant."""
        self.content: Any = self._content(root, ())
        """Dicts, lists, strings, integers, booleans, None; and `Unclear`, which is never what is wanted."""

    def line(self, where: Where) -> int:
        """Return the line of a value; of a list or an object, that of its key, or the nearest one above."""
        while where and where not in self._lines:
            where = where[:-1]
        return self._lines[where]

    def key_line(self, where: Where) -> int:
        """Return the line of the last key."""
        return self._key_lines.get(where) or self.line(where)

    def _content(self, node: Node, where: Where) -> Any:
        self._lines[where] = self._key_lines.get(where, node.line)
        if isinstance(node, YamlList):
            return [self._content(child, (*where, place)) for place, child in enumerate(node.nodes)]
        if isinstance(node, Pairs):
            return {key.text: self._content(child, here) for key, child, here in self._entries(node, where)}
        self._lines[where] = node.line
        return meaning(node.text, plain=node.plain)

    def _entries(self, pairs: Pairs, where: Where) -> Iterator[tuple[Scalar, Node, Where]]:
        """Yield each key that is a text, and new, with its value and its place."""
        for key, child in pairs.nodes:
            here = (*where, key.text)
            if not isinstance(word := meaning(key.text, plain=key.plain), str):
                cause, next_step = why_no_text(word)
                self.problems.append(Problem(key.line, where, f"this key is not text: {cause}", next_step))
            elif here in self._key_lines:
                self.problems.append(Problem(key.line, here, "the key occurs twice", "remove one of them"))
            else:
                self._key_lines[here] = key.line
                yield key, child, here


def read_document(text: str, limits: Limits) -> Document:
    """Return the one document in `text`. Raises UnreadableError when nothing can be made of it as a whole."""
    if len(text) > limits.config:
        raise UnreadableError(1, f"larger than the limit of {limits.config:,} characters")
    try:
        composer = _Composer(yaml.parse(text, Loader=yaml.SafeLoader), limits)
        root = composer.document()
    except yaml.MarkedYAMLError as error:
        raise _unreadable(error) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UnreadableError(
            line, f"a character that YAML does not allow (U+{error.character:04X})"
        ) from None
    except UnreadableError:
        raise
    except (ValueError, OverflowError):
        # What PyYAML lets through of Python: `"\U00110000"`.
        raise UnreadableError(1, "an escape sequence that is not a character") from None
    return Document(root, composer.problems)


class UnreadableError(RefusedValueError):
    """The whole file can't be read; `line` says from where on."""

    def __init__(self, line: int, cause: str, next_step: str = "") -> None:
        super().__init__(cause, next_step)
        self.line = line


def _unreadable(error: yaml.MarkedYAMLError) -> UnreadableError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    if error.context == "while scanning an alias":
        return UnreadableError(
            line, "not YAML: a value that begins with * is an alias", 'write a glob in quotes: "*"'
        )
    context = f"{error.context}: " if error.context else ""
    return UnreadableError(
        line, f"not YAML: {context}{error.problem}", "look at indentation, colons and quotes"
    )


class _Composer:
    """A maker of nodes from the parser's events, never deeper and never more than the limits."""

    def __init__(self, events: Iterable[yaml.Event], limits: Limits) -> None:
        self._events = iter(events)
        self._limits = limits
        self._anchors: dict[str, Node] = {}
        self._count = 0
        self.problems: list[Problem] = []

    def document(self) -> Node:
        """Return the only document."""
        self._next(yaml.StreamStartEvent)
        start = next(self._events)
        if not isinstance(start, yaml.DocumentStartEvent):
            raise UnreadableError(1, "the file is empty", "begin with `version: 1`")
        root = self._node(next(self._events), 1)
        self._next(yaml.DocumentEndEvent)
        if not isinstance(second := next(self._events), yaml.StreamEndEvent):
            raise UnreadableError(_line(second), "a second document", "write only one document per file")
        return root

    def _next(self, kind: type[yaml.Event]) -> None:
        event = next(self._events)
        assert isinstance(event, kind)

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        assert isinstance(event, yaml.NodeEvent)
        self._bounded(_line(event), 1, depth)
        if tag := getattr(event, "tag", None):
            self.problems.append(
                Problem(_line(event), (), f"YAML tags are not supported ({tag})", "remove it")
            )
        node = self._made(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _made(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(_line(event), event.value, plain=event.style is None)
        if isinstance(event, yaml.SequenceStartEvent):
            return YamlList(_line(event), tuple(self._until(yaml.SequenceEndEvent, depth)))
        nodes = list(self._until(yaml.MappingEndEvent, depth))
        keys, values = nodes[::2], nodes[1::2]
        return Pairs(_line(event), tuple(zip(map(_key, keys), values, strict=True)))

    def _until(self, end: type[yaml.Event], depth: int) -> Iterator[Node]:
        for event in self._events:
            if isinstance(event, end):
                return
            yield self._node(event, depth + 1)

    def _alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        if event.anchor not in self._anchors:
            cause = f"*{event.anchor} is an alias, but nothing above it has this anchor"
            raise UnreadableError(
                _line(event), cause, f'if it is a text, write it in quotes: "*{event.anchor}"'
            )
        node = self._anchors[event.anchor]
        count, height = _measured(node)
        self._bounded(_line(event), count, depth + height - 1)
        return node

    def _bounded(self, line: int, count: int, depth: int) -> None:
        self._count += count
        if depth > self._limits.json_depth:
            raise UnreadableError(line, f"nested more than {self._limits.json_depth} deep")
        if self._count > self._limits.config_nodes:
            raise UnreadableError(line, f"more than the limit of {self._limits.config_nodes:,} values")


def _line(event: yaml.Event) -> int:
    assert event.start_mark
    return event.start_mark.line + 1


def _key(node: Node) -> Scalar:
    if isinstance(node, Scalar):
        return node
    raise UnreadableError(
        node.line, "a key must be a word, not a list or a mapping", "write a word before the colon"
    )


def _measured(node: Node) -> tuple[int, int]:
    """Return the number of values of a node, itself included, and its depth."""
    if isinstance(node, Scalar):
        return 1, 1
    keys = len(node.nodes) if isinstance(node, Pairs) else 0
    children = [child for _, child in node.nodes] if isinstance(node, Pairs) else node.nodes
    below = [_measured(child) for child in children]
    return 1 + keys + sum(count for count, _ in below), 1 + max((height for _, height in below), default=0)
