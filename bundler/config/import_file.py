"""The keys of an import file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field

from bundler.config.export_keys import NameRuleKeys, name_rules
from bundler.config.fields import (
    Circumstances,
    Count,
    Host,
    JobName,
    Keys,
    Path,
    Target,
    Text,
    Texts,
    beside_file,
    from_text,
    never_null,
    refuse_unless_meant,
)
from bundler.config.file_values import ConfiguredPart, ImportFile
from bundler.config.problems import Problem, RefusedValueError, Where, refuse
from bundler.config.reading import Found, exactly_one, items, read_keys
from bundler.errors import UsageError
from bundler.mapping import Mapping, MappingRule, Match, check_rule
from bundler.oci.reference import RegistryName, RepositoryName, RepositoryPath

MATCHES = ("repository", "prefix", "pattern", "registry")
"""Of these a mapping rule has exactly one."""


def _prefix(text: str) -> str:
    """`host`, or `host/path`, perhaps with a slash behind it."""
    bare = text.rstrip("/")
    try:
        RepositoryName.parse(bare) if "/" in bare else RegistryName.parse(bare)
    except ValueError as error:
        raise RefusedValueError(str(error), "write HOST/ or HOST/PATH/") from None
    return bare


SourceName = Annotated[
    RepositoryName, from_text(lambda text, at: RepositoryName.parse(text.removeprefix("oci://")))
]


class MappingKeys(Keys):
    """What becomes of some repositories."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [match]} for match in MATCHES]})

    repository: SourceName | None = Field(default=None, json_schema_extra=never_null)
    """This one: HOST/REPOSITORY."""
    prefix: Annotated[str, AfterValidator(_prefix)] | None = Field(default=None, json_schema_extra=never_null)
    """All whose HOST/REPOSITORY begins so, up to a `/`."""
    pattern: Text | None = Field(default=None, json_schema_extra=never_null)
    """All whose HOST/REPOSITORY matches this regular expression as a whole."""
    registry: Host | None = Field(default=None, json_schema_extra=never_null)
    """All of this registry."""
    to: str
    """Below the target: a path, what replaces the prefix or the registry, or a template with `\\1`."""


class SelectKeys(NameRuleKeys):
    """What to import of a bundle."""

    repositories: list[Text] | None = None
    """Repositories whose HOST/REPOSITORY matches one of these globs; `*` is also for `/`."""


class ImportKeys(Keys):
    """An import file. Paths are relative to the file's own folder."""

    version: Annotated[int, Field(ge=1, le=1)]
    """Of this format."""
    to: Target | None = None
    """oci://HOST[/PREFIX]"""
    mapping: list[MappingKeys] | None = None
    """The first rule that matches wins; without one, the path is kept and the host is dropped."""
    flatten: Count | None = None
    """Levels that a path at the target has at most, the prefix included; the rest is joined with `-`."""
    allow: Texts | None = None
    """Globs for paths at the target (`*` is also for `/`); for any other, nothing is written."""
    on_conflict: Literal["fail", "skip", "overwrite"] | None = None
    """A tag that exists with another digest. If it is not said, `latest` moves and any other fails."""
    job: JobName | None = None
    """The job that the bundle must be signed for; needs allowed signers."""
    select: SelectKeys | None = None
    image_map: Path | None = None
    """Write a list of images and their new names."""


def read_import_file(name: str, text: str) -> ImportFile:
    """The file's content as values; paths in it are relative to the folder of `name`.

    Raises UsageError, with every problem that the file has.
    """
    keys, document = read_keys(name, text, ImportKeys, Circumstances({}, 0), _across)
    try:
        select = _part(keys.select or SelectKeys())
    except RefusedValueError as refused:
        where = ("select",)
        refuse(name, [Problem(document.line(where), where, str(refused), refused.next_step)])
    rules = tuple(_rule(rule) for rule in keys.mapping or ())
    return ImportFile(
        name=name,
        to=keys.to,
        mapping=Mapping(rules, keys.flatten, tuple(keys.allow or ())),
        on_conflict=keys.on_conflict,
        job=keys.job,
        select=select,
        image_map=beside_file(name, keys.image_map),
    )


def _part(keys: SelectKeys) -> ConfiguredPart:
    rules = name_rules(keys)
    refuse_unless_meant(rules)
    return ConfiguredPart(tuple(keys.repositories or ()), rules)


def _rule(keys: MappingKeys) -> MappingRule:
    if keys.pattern is not None:
        return MappingRule(Match.PATTERN, keys.pattern, keys.to)
    if keys.repository is not None:
        return MappingRule(Match.REPOSITORY, keys.repository, keys.to)
    return MappingRule(Match.PREFIX, keys.prefix or keys.registry or "", keys.to)


def _across(content: dict[str, Any]) -> Found:
    """What is wrong between the keys of a mapping rule."""
    for where, rule in items(content, "mapping"):
        yield from exactly_one(rule, where, MATCHES)
        if isinstance(rule, dict) and isinstance(to := rule.get("to"), str):
            yield from _unmeant(rule, to, where)


def _unmeant(rule: dict[str, Any], to: str, where: Where) -> Found:
    """What is wrong with `to`, given what it replaces."""
    try:
        if isinstance(pattern := rule.get("pattern"), str):
            check_rule(MappingRule(Match.PATTERN, pattern, to))
        elif "repository" in rule or to.rstrip("/"):
            RepositoryPath.parse(to if "repository" in rule else to.rstrip("/"))
    except UsageError as error:
        yield (*where, "pattern"), error.cause, error.next_step
    except ValueError as error:
        yield (*where, "to"), str(error), "write a path below the target, without its host"
