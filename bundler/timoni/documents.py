"""YAML as the tree that CUE makes, with exact places. No I/O.

Read from the parser's events, so nothing is built that the text does not spell out: an alias stays
opaque, and with it what it could multiply. Nesting and size are bounded.
"""

import json
from collections.abc import Iterator
from typing import Any, Protocol

import yaml

from bundler.errors import ContentError, printable
from bundler.timoni.cue import cue_tree
from bundler.timoni.cue.cue_parser import LONGEST, parse
from bundler.timoni.cue.merged_tree import ParsedFile
from bundler.timoni.source_text import Places, SourceText

LONGEST_YAML = 512 * 1024
"""Characters of one file: the parser needs some seconds for as many."""

DEEPEST = 64

_TEXT = "tag:yaml.org,2002:str"


def parse_yaml(file: SourceText) -> cue_tree.Tree:
    """Parse one document. Raises ContentError that names the file, with the line if there is one."""
    if len(file.text) > LONGEST_YAML:
        raise ContentError(file.name, f"larger than the limit of {LONGEST:,} characters")
    try:
        return cue_tree.Tree(_Reader(file).document())
    # The parser lets some of Python's own errors pass, for impossible escapes and numbers.
    except (yaml.YAMLError, ValueError, ArithmeticError) as error:
        raise ContentError(file.name, f"not valid YAML: {_cause(error)}") from error


def _cause(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem or error.context}"
    return printable(error)


def _start(event: yaml.Event) -> int:
    return event.start_mark.index if event.start_mark else 0


def _end(event: yaml.Event) -> int:
    return event.end_mark.index if event.end_mark else 0


class _Kinds(Protocol):
    """The rule by which a plain scalar is text, a number or something else."""

    def resolve(self, kind: type[yaml.Node], value: str, implicit: tuple[bool, bool]) -> str:
        """Return the tag."""


class _Reader:
    def __init__(self, file: SourceText) -> None:
        self._file = file
        self._places = Places(file)
        self._kinds: _Kinds = yaml.SafeLoader("")
        self._events: Iterator[yaml.Event] = yaml.parse(file.text, yaml.SafeLoader)
        self._depth = 0

    def document(self) -> cue_tree.Struct:
        """Return the one document of the file; an empty one if there is none."""
        content: cue_tree.Expression = cue_tree.Opaque("nothing", 0, 0)
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, "a second document")
            elif isinstance(event, yaml.NodeEvent):
                content = self._node(event)
        return content if isinstance(content, cue_tree.Struct) else cue_tree.Struct((), 0, 0)

    def _node(self, event: yaml.Event) -> cue_tree.Expression:
        start, end = _start(event), _end(event)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, start, end)
        if not isinstance(event, yaml.CollectionStartEvent):
            return cue_tree.Opaque("an alias", start, end)
        self._depth += 1
        if self._depth > DEEPEST:
            self._refuse(event, f"nested more than {DEEPEST} deep")
        mapping = isinstance(event, yaml.MappingStartEvent)
        node = self._mapping(start) if mapping else self._sequence(start)
        self._depth -= 1
        return node

    def _scalar(self, event: yaml.ScalarEvent, start: int, end: int) -> cue_tree.Expression:
        kind = event.tag or self._kinds.resolve(yaml.ScalarNode, event.value, event.implicit)
        if kind == _TEXT or event.tag == "!":
            return cue_tree.Text(event.value, start, end)
        return cue_tree.Opaque(f"a YAML {printable(kind.rpartition(':')[2])}: put it in quotes", start, end)

    def _sequence(self, start: int) -> cue_tree.CueList:
        elements = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            elements.append(self._node(event))
        return cue_tree.CueList(tuple(elements), start, _end(event))

    def _mapping(self, start: int) -> cue_tree.Struct:
        fields: list[cue_tree.Declaration] = []
        seen: set[str] = set()
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event)
            value = self._node(next(self._events))
            if not isinstance(key, cue_tree.Text):
                fields.append(cue_tree.Pattern(None, value, key.start))
                continue
            if key.value in seen:
                self._refuse(event, f"the key {printable(repr(key.value))} twice in one mapping")
            seen.add(key.value)
            fields.append(cue_tree.Field(cue_tree.Label(key.value), value, key.start))
        return cue_tree.Struct(tuple(fields), start, _end(event))

    def _refuse(self, event: yaml.Event, cause: str) -> None:
        raise ContentError(self._places.at(_start(event)), cause)


def parsed(file: SourceText) -> ParsedFile:
    """Return the tree of a file, by the ending of its name.

    Raises ContentError: another ending, over a limit, malformed, a key twice. Malformed CUE is no
    error: the tree says where it is damaged.
    """
    ending = ending_of(file)
    if ending == "cue":
        return ParsedFile(parse(file.name, file.text), Places(file))
    if ending == "json":
        _check_json(file)
        return ParsedFile(parse(file.name, file.text, json=True), Places(file))
    from bundler.timoni.documents import parse_yaml

    return ParsedFile(parse_yaml(file), Places(file))


def ending_of(file: SourceText) -> str:
    """Return `cue`, `json` or `yaml`. Raises ContentError for a name that Timoni takes for no Bundle file."""
    ending = file.name.rpartition(".")[2] if "." in file.name else ""
    endings = {"cue": "cue", "json": "json", "yaml": "yaml", "yml": "yaml"}
    if ending not in endings:
        raise ContentError(file.name, "not a Timoni Bundle file", "name it .cue, .yaml, .yml or .json")
    return endings[ending]


def _check_json(file: SourceText) -> None:
    """Check that a file is JSON, which is CUE as well."""

    def unique(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ContentError(file.name, f"the key {printable(repr(key))} occurs twice in one object")
            seen.add(key)

    if len(file.text) > LONGEST:
        raise ContentError(file.name, f"larger than the limit of {LONGEST:,} characters")
    try:
        json.loads(file.text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ContentError(file.name, f"not valid JSON: {error}") from error
