"""Pydantic models of files, made of declared options: loaded only when a file is read."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator, ValidationInfo, create_model
from pydantic import Field as KeyField
from pydantic.config import JsonDict
from pydantic_core import PydanticKnownError

from bundler.config.include_options import IncludeOptions
from bundler.config.option import (
    NOTHING,
    Circumstances,
    Group,
    GroupPart,
    Option,
    OptionField,
    Reader,
    parts_of,
)
from bundler.config.problems import RefusedValueError
from bundler.config.texts import age, expanded, path_of, path_text
from bundler.errors import UsageError
from bundler.oci.grammar import Parsed, camel


class Keys(BaseModel):
    """Some keys and their values; any other key is refused."""

    model_config = ConfigDict(
        alias_generator=camel, extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


def from_text(convert: Reader, written_as: Any = str) -> PlainValidator:
    """Read a value from a text; `written_as` is what the schema says of the text."""

    def read(value: object, info: ValidationInfo) -> object:
        if not isinstance(value, str):
            raise PydanticKnownError("string_type")
        assert isinstance(info.context, Circumstances)
        try:
            return convert(value, info.context)
        except UsageError as error:
            raise RefusedValueError(error.cause, error.next_step) from None

    return PlainValidator(read, json_schema_input_type=written_as)


def never_null(schema: JsonDict) -> None:
    """Take null out of the schema of a key that may be missing, but not be empty."""
    alternatives = schema.pop("anyOf")
    assert isinstance(alternatives, list)
    assert isinstance(alternatives[0], dict)
    schema.pop("default")
    schema.update(alternatives[0])


Text = Annotated[str, KeyField(min_length=1)]

Texts = Annotated[list[Text], KeyField(min_length=1)]
"""Where a missing list allows all, an empty one would too: it is refused."""

FilePath = Annotated[Path, from_text(path_of, Text)]

PathText = Annotated[str, from_text(path_text, Text)]

TextWithVariables = Annotated[str, from_text(lambda text, at: expanded(text, at.environment))]

Count = Annotated[int, KeyField(ge=1)]


def model_of(
    name: str,
    description: str,
    *groups: type[tuple[Any, ...]],
    base: type[Keys] = Keys,
    never_null_in: frozenset[str] = frozenset(),
    **more: Any,
) -> type[Keys]:
    """Make the model of the keys that groups declare; `more` are its other keys, as pydantic takes them.

    `never_null_in` are fields that may be missing, but not be null.
    """
    keys: dict[str, Any] = {}
    for part in (part for group in groups for part in parts_of(group)):
        keys |= _keys_of(part, never_null_in)
    return create_model(name, __base__=base, __doc__=description, **keys, **more)


def _keys_of(part: GroupPart, never_null_in: frozenset[str]) -> dict[str, Any]:
    if part.field is None and part.section is None:
        keys = (_keys_of(below, never_null_in).items() for below in parts_of(part.group))
        return dict(chain.from_iterable(keys))
    if part.field is None:
        assert part.section is not None
        title = part.section.key[0].upper() + part.section.key[1:] + "Keys"
        model: Any = model_of(title, part.section.help, part.group)
        return {part.name: (model | None, KeyField(default=None, alias=part.section.key))}
    option = part.field.declared
    if not isinstance(option, Option) or not option.key:
        return {}
    kind = _item(part.field, option)
    if part.field.many:
        kind = Annotated[list[kind], KeyField(min_length=option.least or 0)]  # type: ignore[valid-type]
    extra = never_null if part.name in never_null_in else None
    key = KeyField(
        default=None,
        alias=option.key,
        description=option.help.replace(" Repeatable.", ""),
        json_schema_extra=extra,
    )
    if part.field.default is NOTHING:
        return {part.name: (kind, KeyField(alias=option.key, description=option.help))}
    return {part.name: (kind | None, key)}


def _item(field: OptionField, option: Option) -> Any:
    """Return the annotation of one value."""
    if field.group:
        return model_of(field.item.__name__.replace("Options", "Keys"), option.help, field.item)
    if field.choices:
        return Literal[field.choices]
    if field.item is Path:
        return FilePath
    if reader := path_text if option.path and not option.read else field.reader:
        written: Any = field.item if _is_parsed(field.item) and not option.read else str
        return Annotated[Any, from_text(reader, Text if option.path else written)]
    if field.item is int:
        return Annotated[int, KeyField(ge=option.least, le=option.most)]
    return Text if field.item is str else field.item


def _is_parsed(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Parsed)


def values_of(group: type[Group], keys: BaseModel | None) -> Group:
    """Make the group of what the keys say; what they leave out has its default."""

    def value(part: GroupPart) -> Any:
        key = getattr(keys, part.name, None)
        if part.field is None:
            return values_of(part.group, key if part.section else keys)
        if key is None:
            return part.field.default
        if part.field.group:
            return tuple(values_of(part.field.group, item) for item in key)
        return tuple(key) if part.field.many else key

    return group(*map(value, parts_of(group)))


def given_in(group: type[tuple[Any, ...]], keys: BaseModel | None, above: str = "") -> Iterator[str]:
    """Yield the key paths of what the keys give a value, the default's own too."""
    for part in parts_of(group):
        key = getattr(keys, part.name, None)
        if part.field is None:
            below = f"{above}{part.section.key}." if part.section else above
            yield from given_in(part.group, key if part.section else keys, below)
        elif key is not None and isinstance(part.field.declared, Option):
            yield above + part.field.declared.key


# --- the key `images` of export files ------------------------------------------------------------------


class ImageKeys(Keys):
    """Rules for the container images that the modules run. They are included: `{}` is the same as true."""

    exclude: Texts | None = None
    """Leave out images whose HOST/REPOSITORY:TAG matches one of these globs."""
    optional: Texts | None = None
    """Warn about images that match one of these globs and can't be fetched. Default: they fail."""
    minimum_age: Annotated[Any, from_text(age)] | None = None
    """Leave out images younger than this (72h), with a warning, if they say when they were made."""


def _image_keys(value: object) -> object:
    """Read true as no rule, and false as no images."""
    if isinstance(value, bool):
        return {} if value else None
    if not isinstance(value, dict | None):
        raise RefusedValueError("must be true, false, or rules", 'write images: {exclude: ["*/redis:*"]}')
    return value


IMAGES: Any = (
    Annotated[ImageKeys | None, BeforeValidator(_image_keys, json_schema_input_type=bool | ImageKeys | None)],
    KeyField(default=None, description="Include the container images that the modules run."),
)
"""Type and declaration of the key `images`."""


def with_images(include: IncludeOptions, images: ImageKeys | None) -> IncludeOptions:
    """Return the options with what a file says of images; None: none are included."""
    rules = images or ImageKeys()
    return include._replace(
        images=images is not None,
        exclude_images=tuple(rules.exclude or ()),
        optional_images=tuple(rules.optional or ()),
        image_min_age=rules.minimum_age,
    )
