"""YAML as a person writes it, and nothing that two readers could read in two ways.

Every value keeps its line. No tag, no second document and no key twice passes. Nesting and the
number of values are bounded, each use of an alias counted in full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import yaml

from bundler.config.refusal import Problem, RefusedError, Where
from bundler.config.scalars import meaning, why_no_text
from bundler.limits import Limits


class Scalar(NamedTuple):
    """One value: a text, if it has quotes."""

    line: int
    text: str
    plain: bool


class Items(NamedTuple):
    """A list."""

    line: int
    nodes: tuple[Node, ...]


class Pairs(NamedTuple):
    """Keys and their values."""

    line: int
    nodes: tuple[tuple[Scalar, Node], ...]


Node = Scalar | Items | Pairs


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
        """Where a value stands; of a list or an object its key. Or the nearest that there is above it."""
        while where and where not in self._lines:
            where = where[:-1]
        return self._lines[where]

    def key_line(self, where: Where) -> int:
        """Where the last key stands."""
        return self._key_lines.get(where) or self.line(where)

    def _content(self, node: Node, where: Where) -> Any:
        self._lines[where] = self._key_lines.get(where, node.line)
        if isinstance(node, Items):
            return [self._content(child, (*where, place)) for place, child in enumerate(node.nodes)]
        if isinstance(node, Pairs):
            return {key.text: self._content(child, here) for key, child, here in self._entries(node, where)}
        self._lines[where] = node.line
        return meaning(node.text, plain=node.plain)

    def _entries(self, pairs: Pairs, where: Where) -> Iterator[tuple[Scalar, Node, Where]]:
        """What has a key that is a text, and new."""
        for key, child in pairs.nodes:
            here = (*where, key.text)
            if not isinstance(word := meaning(key.text, plain=key.plain), str):
                cause, next_step = why_no_text(word)
                self.problems.append(Problem(key.line, where, f"a key that is no text: {cause}", next_step))
            elif here in self._key_lines:
                self.problems.append(
                    Problem(key.line, here, "the key is there twice", "leave one of them out")
                )
            else:
                self._key_lines[here] = key.line
                yield key, child, here


def read_document(text: str, limits: Limits) -> Document:
    """The one document in `text`. Raises UnreadableError when nothing can be made of it as a whole."""
    if len(text) > limits.config:
        raise UnreadableError(1, f"larger than the limit of {limits.config:,} characters")
    try:
        composer = _Composer(yaml.parse(text, Loader=yaml.SafeLoader), limits)
        root = composer.document()
    except yaml.MarkedYAMLError as error:
        raise _unreadable(error) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UnreadableError(line, f"a character that YAML has not (U+{error.character:04X})") from None
    except UnreadableError:
        raise
    except (ValueError, OverflowError):
        # What PyYAML lets through of Python: `"\U00110000"`.
        raise UnreadableError(1, "an escape that stands for no character") from None
    return Document(root, composer.problems)


class UnreadableError(RefusedError):
    """The whole file can't be read; `line` says from where on."""

    def __init__(self, line: int, cause: str, next_step: str = "") -> None:
        super().__init__(cause, next_step)
        self.line = line


def _unreadable(error: yaml.MarkedYAMLError) -> UnreadableError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    if error.context == "while scanning an alias":
        return UnreadableError(
            line, "not YAML: what begins with * is an alias", 'write a glob in quotes: "*"'
        )
    context = f"{error.context}: " if error.context else ""
    return UnreadableError(
        line, f"not YAML: {context}{error.problem}", "look at indentation, colons and quotes"
    )


class _Composer:
    """Makes nodes of the parser's events, never deeper and never more than the limits."""

    def __init__(self, events: Iterable[yaml.Event], limits: Limits) -> None:
        self._events = iter(events)
        self._limits = limits
        self._anchors: dict[str, Node] = {}
        self._count = 0
        self.problems: list[Problem] = []

    def document(self) -> Node:
        """The only document."""
        self._next(yaml.StreamStartEvent)
        start = next(self._events)
        if not isinstance(start, yaml.DocumentStartEvent):
            raise UnreadableError(1, "the file is empty", "begin with `version: 1`")
        root = self._node(next(self._events), 1)
        self._next(yaml.DocumentEndEvent)
        if not isinstance(second := next(self._events), yaml.StreamEndEvent):
            raise UnreadableError(_line(second), "a second document", "write one document to a file")
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
            self.problems.append(Problem(_line(event), (), f"a tag ({tag})", "leave it out"))
        node = self._made(event, depth)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _made(self, event: yaml.Event, depth: int) -> Node:
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(_line(event), event.value, plain=event.style is None)
        if isinstance(event, yaml.SequenceStartEvent):
            return Items(_line(event), tuple(self._until(yaml.SequenceEndEvent, depth)))
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
            cause = f"*{event.anchor} is an alias of nothing above it"
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
        node.line, "a key that is a list or has keys itself", "write a word before the colon"
    )


def _measured(node: Node) -> tuple[int, int]:
    """How many values a node is, itself included, and how deep it goes."""
    if isinstance(node, Scalar):
        return 1, 1
    keys = len(node.nodes) if isinstance(node, Pairs) else 0
    children = [child for _, child in node.nodes] if isinstance(node, Pairs) else node.nodes
    below = [_measured(child) for child in children]
    return 1 + keys + sum(count for count, _ in below), 1 + max((height for _, height in below), default=0)
