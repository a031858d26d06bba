"""Problems that pydantic finds, in words for the person who wrote the file."""

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bundler.config import yaml_document
from bundler.config.option import Circumstances
from bundler.config.problems import Problem, RefusedValueError, Where, refuse
from bundler.limits import DEFAULT_LIMITS

_WANTED = {
    "missing": "is missing",
    "string_too_short": "is empty",
    "too_short": "is empty",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "is not a name (letters, digits, _)",
    "list_type": "must be a list",
    "model_type": "must have keys and values",
    "dict_type": "must have keys and values",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
}


def problem_of(error: ErrorDetails, document: yaml_document.Document, model: type[BaseModel]) -> Problem:
    """One of pydantic's errors, with its line, key path, and what to write instead."""
    where = tuple(part for part in error["loc"] if part != "[key]")
    if error["type"] == "extra_forbidden":
        return Problem(
            document.key_line(where), where, "unknown key", _meant(str(where[-1]), where[:-1], model)
        )
    return Problem(document.line(where), where, *_cause(error, where))


def _cause(error: ErrorDetails, where: Where) -> tuple[str, str]:
    value = error["input"]
    reason = error.get("ctx", {}).get("error")
    if isinstance(reason, RefusedValueError):
        return str(reason), reason.next_step
    if reason is not None:
        return str(reason), ""
    if error["type"] == "string_type" and not isinstance(value, list | dict):
        return yaml_document.why_no_text(value, secret="set" in where)
    if value is None or (isinstance(value, yaml_document.Unclear) and value.kind == yaml_document.NOTHING):
        return "nothing is there", "write a value, or leave the key out"
    requirement = _WANTED.get(error["type"], error["msg"]).format_map(error.get("ctx", {}))
    return requirement, _instead(error["type"], value)


def _instead(kind: str, value: Any) -> str:
    if kind == "list_type" and isinstance(value, str):
        return f'write ["{value}"]'
    if kind == "too_short":
        return "name at least one, or leave the key out"
    if kind == "int_type" and isinstance(value, str) and value.isdecimal():
        return f"write {value}, without quotes"
    return ""


def _meant(key: str, above: Where, model: type[BaseModel]) -> str:
    """Return the key that was meant, or all that there are."""
    names = {_plain(name): name for name in _keys_at(above, model)}
    if close := get_close_matches(_plain(key), names, n=1):
        return f"did you mean {names[close[0]]}?"
    return f"there are {', '.join(names.values())}"


def _plain(key: str) -> str:
    return key.replace("-", "").replace("_", "").replace(" ", "").lower()


def _keys_at(where: Where, model: type[BaseModel]) -> list[str]:
    for part in where:
        fields = {field.alias: field.annotation for field in model.model_fields.values()}
        model = _model_in(fields[part]) if isinstance(part, str) else model
    return [str(field.alias) for field in model.model_fields.values()]


def _model_in(annotation: Any) -> Any:
    """Return the model in `list[Model] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    models = (_model_in(part) for part in get_args(annotation))
    return next((model for model in models if model), None)


VERSION = 1

Model = TypeVar("Model", bound=BaseModel)

Found = Iterable[tuple[Where, str, str]]
"""Where, cause, next step."""


def read_keys(
    name: str, text: str, model: type[Model], at: Circumstances, across: Callable[[dict[str, Any]], Found]
) -> tuple[Model, yaml_document.Document]:
    """Return what the file says. `across` finds what is wrong between keys, whatever else is wrong.

    Raises UsageError.
    """
    try:
        document = yaml_document.read_document(text, DEFAULT_LIMITS)
    except yaml_document.UnreadableError as error:
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
    """Yield a problem unless exactly one of the keys is there."""
    given = [choice for choice in choices if choice in item] if isinstance(item, dict) else choices[:1]
    if len(given) != 1:
        cause = f"{' and '.join(given)} together" if given else f"none of {', '.join(choices)}"
        yield where, cause, "write exactly one of them"
    elif isinstance(item, dict) and item[given[0]] is None:
        yield (*where, given[0]), "nothing is there", "write a value"


def items(content: dict[str, Any], key: str) -> Iterator[tuple[Where, Any]]:
    """Yield the items of a list, if it is one, and where they are."""
    value = content.get(key)
    for place, item in enumerate(value if isinstance(value, list) else ()):
        yield (key, place), item


def _between(
    name: str, document: yaml_document.Document, across: Callable[[dict[str, Any]], Found]
) -> Iterator[Problem]:
    content = document.content
    if not isinstance(content, dict):
        return
    version = content.get("version")
    if type(version) is int and version > VERSION:
        # Alone: everything else may be right in that version.
        cause = f"{version}; this program reads version {VERSION} only"
        refuse(
            name, [Problem(document.line(("version",)), ("version",), cause, "use a newer timoni-bundler")]
        )
    for where, cause, next_step in across(content):
        yield Problem(document.line(where), where, cause, next_step)
