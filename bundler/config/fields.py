"""Single values of the files that people write: what pydantic accepts, and what it makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, ValidationInfo
from pydantic.config import JsonDict
from pydantic_core import PydanticKnownError

from bundler.config.expansion import expanded
from bundler.config.places import RepositoryPattern, namespace, repository
from bundler.config.refusal import RefusedError
from bundler.config.rules import expression, version_range
from bundler.config.times import moment, seconds_of
from bundler.errors import UsageError
from bundler.oci.content import Digest
from bundler.oci.grammar import camel
from bundler.oci.platform import Platform, parse_platform
from bundler.oci.reference import Prefix, RegistryName, RepositoryName, Tag, parse_prefix


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
        raise RefusedError("is empty")
    if text.startswith("~"):
        raise RefusedError("~ stands for nothing here", "write the whole path")
    if not text.isprintable():
        raise RefusedError("a path with control characters", "leave them out")
    return text


def _literal_path(text: str) -> str:
    if "${" in text:
        raise RefusedError("no variables are filled in here", "write the path itself")
    return _path(text)


def _prefix(text: str) -> Prefix:
    try:
        return parse_prefix(text)
    except UsageError as error:
        raise RefusedError(error.cause, error.next_step) from None


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
