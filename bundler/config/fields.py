"""`${NAME}` in a text becomes a value of the environment; `$$` is a dollar sign."""

from __future__ import annotations

import posixpath
import re
from calendar import monthrange, timegm
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, ValidationInfo
from pydantic.config import JsonDict
from pydantic_core import PydanticKnownError

from bundler.config.problems import RefusedValueError
from bundler.errors import UsageError
from bundler.oci.content import Digest
from bundler.oci.grammar import camel
from bundler.oci.platform import Platform, parse_platform
from bundler.oci.reference import (
    Prefix,
    RegistryName,
    RepositoryName,
    RepositoryPath,
    Tag,
    parse_prefix,
    parse_reference,
)
from bundler.selection.rules import Rules, check
from bundler.trust.statement import Job

_DOLLAR = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\})?")


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """The text with every variable filled in, once. Raises RefusedError, which never shows a value."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        if found[1] is None:
            raise RefusedValueError("a $ that is neither ${NAME} nor $$", "write $$ for a dollar sign")
        if found[1] not in environment:
            raise RefusedValueError(
                f"the environment has no {found[1]}", f"set {found[1]}, or write $$ for a dollar sign"
            )
        return environment[found[1]]

    return _DOLLAR.sub(value, text)


STANDARD_STREAM = "-"


def beside_file(name: str, path: str | None) -> str | None:
    """A path as the file `name` means it: relative to its own folder. `-` stays what it is."""
    if path is None or path == STANDARD_STREAM:
        return path
    return posixpath.join(posixpath.dirname(name), path)


_PATH_GLOB = re.compile(r"[a-z0-9._/*?\[\]!-]+")


class RepositoryPattern(NamedTuple):
    """Repositories of one registry, by globs on their paths; `*` is also for `/`."""

    registry: RegistryName
    glob: str
    exclude: tuple[str, ...] = ()

    def matches(self, path: RepositoryPath) -> bool:
        """Whether the repository is meant."""
        excluded = any(fnmatchcase(path, glob) for glob in self.exclude)
        return fnmatchcase(path, self.glob) and not excluded


def repository(text: str, environment: Mapping[str, str]) -> RepositoryName:
    """`[oci://]HOST/PATH`, variables filled in. Raises RefusedError."""
    filled = expanded(text, environment)
    try:
        reference = parse_reference(filled)
    except UsageError as error:
        raise RefusedValueError(_shown(text, filled, error.cause), "write HOST/REPOSITORY") from None
    if reference.digest:
        raise RefusedValueError("a digest does not belong here", 'write it below: digests: ["sha256:..."]')
    if reference.tag:
        raise RefusedValueError("a tag does not belong here", f'write it below: tags: ["{reference.tag}"]')
    return reference.repository


def namespace(text: str, environment: Mapping[str, str]) -> RepositoryPattern:
    """`[oci://]HOST/GLOB`, variables filled in. Raises RefusedError."""
    filled = expanded(text, environment)
    host, _, glob = filled.removeprefix("oci://").partition("/")
    try:
        registry = RegistryName.parse(host)
    except ValueError as error:
        raise RefusedValueError(_shown(text, filled, str(error)), "write HOST/PATH/*") from None
    if not _PATH_GLOB.fullmatch(glob):
        raise RefusedValueError("no glob for paths of repositories behind the host", "write HOST/PATH/*")
    if not any(letter in glob for letter in "*?["):
        raise RefusedValueError(
            "names one repository", "write HOST/PATH/* for all below it, or use `repository`"
        )
    return RepositoryPattern(registry, glob)


def _shown(text: str, filled: str, cause: str) -> str:
    """The cause; but a value of the environment may be secret."""
    return cause if text == filled else f"with its variables filled in, {text!r} is none"


_AGE = re.compile("([0-9]{1,6})([smhdw])")

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

_DATE = "([0-9]{4})-([0-9]{2})-([0-9]{2})"

_TIME = "[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\\.[0-9]+)?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"

_MOMENT = re.compile(f"{_DATE}(?:{_TIME})?")


def seconds_of(age: str) -> int:
    """`90d`, `72h`: one number and one unit. Raises ValueError."""
    if found := _AGE.fullmatch(age):
        return int(found[1]) * _SECONDS[found[2]]
    raise ValueError(f"{age!r} is not an age (72h, 90d, 2w; m is minutes)")


def moment(text: str, now: int) -> int:
    """An RFC 3339 date (its first second, UTC) or time (its fraction cut off), or an age before `now`.

    Raises ValueError.
    """
    if _AGE.fullmatch(text):
        return now - seconds_of(text)
    found = _MOMENT.fullmatch(text)
    if not found:
        raise ValueError(
            f"{text!r} is not a date (2026-01-31), a time (2026-01-31T09:00:00Z) or an age (90d)"
        )
    year, month, day, hour, minute, second = (int(part or 0) for part in found.group(1, 2, 3, 4, 5, 6))
    ahead = (int(found[8] or 0) * 60 + int(found[9] or 0)) * (-60 if found[7] == "-" else 60)
    if not (year > 0 and 0 < month < 13 and 0 < day <= monthrange(year, month)[1]):
        raise ValueError(f"{text!r} names a day that does not exist")
    # 60 is a leap second (RFC 3339, 5.7).
    if hour > 23 or minute > 59 or second > 60 or int(found[8] or 0) > 23 or int(found[9] or 0) > 59:
        raise ValueError(f"{text!r} names a time that does not exist")
    return timegm((year, month, day, hour, minute, second)) - ahead


__all__ = ["Rules", "expression", "refuse_unless_meant", "version_range"]


def version_range(text: str) -> str:
    """The range, if it is one. Raises RefusedError."""
    refuse_unless_meant(Rules(versions=text))
    return text


def expression(text: str) -> str:
    """The regular expression, if it is one. Raises RefusedError."""
    refuse_unless_meant(Rules(patterns=(text,)))
    return text


def refuse_unless_meant(rules: Rules) -> None:
    """Raise RefusedError for rules that can't be meant."""
    try:
        check(rules)
    except UsageError as error:
        raise RefusedValueError(error.cause, error.next_step) from None


class Circumstances(NamedTuple):
    """What a file is read with: pydantic's context."""

    environment: Mapping[str, str]
    now: int
    """Seconds since the epoch."""


class Keys(BaseModel):
    """Some keys and their values; any other key is refused."""

    model_config = ConfigDict(
        alias_generator=camel, extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


def from_text(convert: Callable[[str, Circumstances], object], written_as: Any = str) -> PlainValidator:
    """A value made of a text; `written_as` is what the schema says of the text."""

    def read(value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            raise PydanticKnownError("string_type")
        assert isinstance(info.context, Circumstances)
        return convert(value, info.context)

    return PlainValidator(read, json_schema_input_type=written_as)


def never_null(schema: JsonDict) -> None:
    """Take null out of the schema of a key that may be missing, but not be empty."""
    alternatives = schema.pop("anyOf")
    assert isinstance(alternatives, list)
    assert isinstance(alternatives[0], dict)
    schema.pop("default")
    schema.update(alternatives[0])


def _path(text: str) -> str:
    if not text:
        raise RefusedValueError("is empty")
    if text.startswith("~"):
        raise RefusedValueError("~ stands for nothing here", "write the whole path")
    if not text.isprintable():
        raise RefusedValueError("a path with control characters", "leave them out")
    return text


def _literal_path(text: str) -> str:
    if "${" in text:
        raise RefusedValueError("no variables are filled in here", "write the path itself")
    return _path(text)


def _prefix(text: str) -> Prefix:
    try:
        return parse_prefix(text)
    except UsageError as error:
        raise RefusedValueError(error.cause, error.next_step) from None


Text = Annotated[str, Field(min_length=1)]

Texts = Annotated[list[Text], Field(min_length=1)]
"""Where a missing list allows all, an empty one would too: it is refused."""

Path = Annotated[Text, AfterValidator(_literal_path)]

PathWithVariables = Annotated[
    str,
    from_text(lambda text, at: _path(expanded(text, at.environment)), Annotated[str, Field(min_length=1)]),
]

TextWithVariables = Annotated[str, from_text(lambda text, at: expanded(text, at.environment))]

Count = Annotated[int, Field(ge=1)]

TagName = Annotated[Tag, from_text(lambda text, at: Tag.parse(text), Tag)]

JobName = Annotated[Job, from_text(lambda text, at: Job.parse(text), Job)]
"""A series of signed bundles."""

DigestName = Annotated[Digest, from_text(lambda text, at: Digest.parse(text), Digest)]

Host = Annotated[RegistryName, from_text(lambda text, at: RegistryName.parse(text), RegistryName)]

Repository = Annotated[RepositoryName, from_text(lambda text, at: repository(text, at.environment))]

Namespace = Annotated[RepositoryPattern, from_text(lambda text, at: namespace(text, at.environment))]

Target = Annotated[Prefix, from_text(lambda text, at: _prefix(text))]

PlatformName = Annotated[Platform, from_text(lambda text, at: parse_platform(text))]

Expression = Annotated[str, AfterValidator(expression)]

Range = Annotated[str, AfterValidator(version_range)]

Since = Annotated[int, from_text(lambda text, at: moment(text, at.now))]

Until = Annotated[int, from_text(lambda text, at: at.now - seconds_of(text))]
