"""The keys of an import file."""

from collections.abc import Mapping as Variables
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bundler.config.import_options import ImportSettings
from bundler.config.keys import Count, Keys, Text, Texts, from_text, given_in, model_of, never_null, values_of
from bundler.config.option import Circumstances, defaults_of
from bundler.config.problems import Problem, RefusedValueError, Where, refuse
from bundler.config.reading import Found, exactly_one, items, read_keys
from bundler.config.selection_options import SelectOptions, TagOptions, rules_of
from bundler.config.texts import refuse_unless_meant
from bundler.errors import UsageError
from bundler.mapping import Mapping, MappingRule, Match, check_rule
from bundler.oci import DEFAULT_REGISTRY, RegistryName, RepositoryName, RepositoryPath, glob_in_full
from bundler.oci.reference import is_registry
from bundler.selection.rules import Rules


class ConfiguredPart(NamedTuple):
    """Part of a bundle to import."""

    repositories: tuple[str, ...] = ()
    """Globs on `host/path`, the name outside (`*` also matches `/`); all without any."""
    rules: Rules = Rules()


class ImportFile(NamedTuple):
    """The content of an import file."""

    name: str
    mapping: Mapping = Mapping()
    select: ConfiguredPart = ConfiguredPart()
    settings: ImportSettings = defaults_of(ImportSettings)
    given: frozenset[str] = frozenset()
    """Key paths of the settings that it gives."""


MATCHES = ("repository", "prefix", "pattern", "registry")
"""Of these a mapping rule has exactly one."""


def _prefix(text: str) -> str:
    """Read `host`, or `host/path`, perhaps with a slash behind it."""
    bare = text.rstrip("/")
    try:
        if bare and not is_registry(bare.partition("/")[0]):
            return RepositoryName.parse(f"{DEFAULT_REGISTRY}/{bare}")
        return RepositoryName.parse(bare) if "/" in bare else RegistryName.parse(bare)
    except ValueError as error:
        raise RefusedValueError(str(error), "write HOST/ or HOST/PATH/") from None


SourceName = Annotated[RepositoryName, from_text(lambda text, at: RepositoryName.parse(glob_in_full(text)))]


Host = Annotated[RegistryName, from_text(lambda text, at: RegistryName.parse(text), RegistryName)]


class MappingKeys(Keys):
    """Rule that renames some repositories."""

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


SelectKeys = model_of("SelectKeys", "What to import of a bundle.", TagOptions, SelectOptions)

ImportKeys = model_of(
    "ImportKeys",
    "An import file. Paths are relative to the file's own folder; in every path `${NAME}` is filled in.",
    ImportSettings,
    version=(Annotated[int, Field(ge=1, le=1)], Field(description="Of this format.")),
    mapping=(
        list[MappingKeys] | None,
        Field(
            default=None,
            description="The first rule that matches wins; without one, the path is kept and the host is "
            "dropped.",
        ),
    ),
    flatten=(
        Count | None,
        Field(
            default=None,
            description="Levels that a path at the target has at most, the prefix included; the rest is "
            "joined with `-`.",
        ),
    ),
    allow=(
        Texts | None,
        Field(
            default=None,
            description="Globs for paths at the target (`*` also matches `/`); for any other, nothing is "
            "written.",
        ),
    ),
    select=(SelectKeys | None, None),
)


def read_import_file(name: str, text: str, environment: Variables[str, str] | None = None) -> ImportFile:
    """Return the file's content as values; paths in it are relative to the folder of `name`.

    Raises UsageError, with every problem that the file has.
    """
    read, document = read_keys(name, text, ImportKeys, Circumstances(0, environment or {}, name), _across)
    keys: Any = read
    try:
        select = _part(keys.select)
    except RefusedValueError as refused:
        where = ("select",)
        refuse(name, [Problem(document.line(where), where, str(refused), refused.next_step)])
    rules = tuple(_rule(rule) for rule in keys.mapping or ())
    return ImportFile(
        name=name,
        mapping=Mapping(rules, keys.flatten, tuple(keys.allow or ())),
        select=select,
        settings=values_of(ImportSettings, keys),
        given=frozenset(given_in(ImportSettings, keys)),
    )


def _part(keys: BaseModel | None) -> ConfiguredPart:
    rules = rules_of(values_of(TagOptions, keys))
    refuse_unless_meant(rules)
    return ConfiguredPart(values_of(SelectOptions, keys).repositories, rules)


def _rule(keys: MappingKeys) -> MappingRule:
    if keys.pattern is not None:
        return MappingRule(Match.PATTERN, keys.pattern, keys.to)
    if keys.repository is not None:
        return MappingRule(Match.REPOSITORY, keys.repository, keys.to)
    return MappingRule(Match.PREFIX, keys.prefix or keys.registry or "", keys.to)


def _across(content: dict[str, Any]) -> Found:
    """Yield the problems between the keys of a mapping rule."""
    for where, rule in items(content, "mapping"):
        yield from exactly_one(rule, where, MATCHES)
        if isinstance(rule, dict) and isinstance(to := rule.get("to"), str):
            yield from _unmeant(rule, to, where)


def _unmeant(rule: dict[str, Any], to: str, where: Where) -> Found:
    """Yield the problem of `to`, given what it replaces."""
    try:
        if isinstance(pattern := rule.get("pattern"), str):
            check_rule(MappingRule(Match.PATTERN, pattern, to))
        elif "repository" in rule or to.rstrip("/"):
            RepositoryPath.parse(to if "repository" in rule else to.rstrip("/"))
    except UsageError as error:
        yield (*where, "pattern"), error.cause, error.next_step
    except ValueError as error:
        yield (*where, "to"), str(error), "write a path below the target, without its host"
