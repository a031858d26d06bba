"""A file's text, its shape checked: all problems at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bundler.config.fields import Circumstances
from bundler.config.refusal import Problem, Where, refuse
from bundler.config.wording import problem_of
from bundler.config.yaml_document import Document, UnreadableError, read_document
from bundler.limits import DEFAULT_LIMITS

VERSION = 1

Model = TypeVar("Model", bound=BaseModel)
Found = Iterable[tuple[Where, str, str]]
"""Where, cause, next step."""


def read_keys(
    name: str, text: str, model: type[Model], at: Circumstances, across: Callable[[dict[str, Any]], Found]
) -> tuple[Model, Document]:
    """What the file says. `across` finds what is wrong between keys, whatever else is wrong.

    Raises UsageError.
    """
    try:
        document = read_document(text, DEFAULT_LIMITS)
    except UnreadableError as error:
        refuse(name, [Problem(error.line, (), str(error), error.next_step)])
    problems = [*document.problems, *_between(name, document, across)]
    try:
        keys = model.model_validate(document.content, context=at)
    except ValidationError as error:
        refuse(
            name,
            [*problems, *(problem_of(item, document, model) for item in error.errors(include_url=False))],
        )
    if problems:
        refuse(name, problems)
    return keys, document


def exactly_one(item: object, where: Where, choices: tuple[str, ...]) -> Found:
    """What is wrong if not exactly one of the keys is there."""
    given = [choice for choice in choices if choice in item] if isinstance(item, dict) else choices[:1]
    if len(given) != 1:
        cause = f"{' and '.join(given)} together" if given else f"none of {', '.join(choices)}"
        yield where, cause, "write exactly one of them"
    elif isinstance(item, dict) and item[given[0]] is None:
        yield (*where, given[0]), "nothing is there", "write a value"


def items(content: dict[str, Any], key: str) -> Iterator[tuple[Where, Any]]:
    """The items of a list, if it is one, and where they are."""
    value = content.get(key)
    for place, item in enumerate(value if isinstance(value, list) else ()):
        yield (key, place), item


def _between(name: str, document: Document, across: Callable[[dict[str, Any]], Found]) -> Iterator[Problem]:
    content = document.content
    if not isinstance(content, dict):
        return
    version = content.get("version")
    if type(version) is int and version > VERSION:
        # Alone: everything else may be right in that version.
        cause = f"{version}; this program reads version {VERSION}"
        refuse(
            name, [Problem(document.line(("version",)), ("version",), cause, "use a newer timoni-bundler")]
        )
    for where, cause, next_step in across(content):
        yield Problem(document.line(where), where, cause, next_step)
