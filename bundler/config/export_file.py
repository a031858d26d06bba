"""The export file: what to carry, from where, how, and where to."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import ConfigDict
from pydantic import Field as KeyField

from bundler.config.export_options import ExportSettings
from bundler.config.include_options import IncludeOptions
from bundler.config.keys import (
    IMAGES,
    FilePath,
    Keys,
    TextWithVariables,
    given_in,
    model_of,
    values_of,
    with_images,
)
from bundler.config.option import (
    Circumstances,
    Option,
    OptionField,
    defaults_of,
    fields_of,
    values_in,
    with_values,
)
from bundler.config.problems import Problem, RefusedValueError, Where, refuse
from bundler.config.reading import Found, exactly_one, items, read_keys
from bundler.config.selection_options import (
    PlaceOptions,
    SourceTagOptions,
    TagOptions,
    rules_of,
)
from bundler.config.texts import RepositoryPattern, refuse_unless_meant
from bundler.errors import CollectedError, UsageError
from bundler.oci import DEFAULT_REGISTRY, Digest, RegistryName, RepositoryName
from bundler.selection.rules import Rules
from bundler.selection.sources import PRESETS, Include


class ConfiguredSource(NamedTuple):
    """A repository, or a pattern of repositories: exactly one is not None."""

    repository: RepositoryName | None
    pattern: RepositoryPattern | None
    rules: Rules | None
    """None: no tags are asked for, only the digests."""
    include: Include
    digests: tuple[Digest, ...] = ()


class TimoniBundle(NamedTuple):
    """One Timoni Bundle: its files, runtime values by name (they may be secret), what to include."""

    files: tuple[Path, ...]
    values: tuple[tuple[str, str], ...] = ()
    include: Include = Include()
    exclude: tuple[str, ...] = ()
    """Globs for tags to leave out, though a file names them."""


class ExportFile(NamedTuple):
    """The content of an export file."""

    name: str
    sources: tuple[ConfiguredSource, ...] = ()
    timoni_bundles: tuple[TimoniBundle, ...] = ()
    settings: ExportSettings = defaults_of(ExportSettings)
    given: frozenset[str] = frozenset()
    """Key paths of the settings that it gives."""


PLACES = ("repository", "namespace", "preset")
"""Of these a source has exactly one."""

RULES = (TagOptions, SourceTagOptions)

_REFERRERS: Any = (
    bool | None,
    KeyField(default=None, description="Also what refers to the modules: signatures, SBOMs. Default: true."),
)


DefaultKeys = model_of(
    "DefaultKeys",
    "Rules, and what to include: for every source that does not say otherwise; of a Timoni Bundle, what to "
    "include.",
    *RULES,
    IncludeOptions,
    images=IMAGES,
    referrers=_REFERRERS,
)


class OnePlaceKeys(Keys):
    """A source has one place."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [place]} for place in PLACES]})


SourceKeys = model_of(
    "SourceKeys",
    "One repository or many, and what to take of it. A source's own key wins over the default; null takes a "
    "default back.",
    *RULES,
    IncludeOptions,
    PlaceOptions,
    base=OnePlaceKeys,
    never_null_in=frozenset(PLACES),
    images=IMAGES,
    referrers=_REFERRERS,
)


class TimoniBundleKeys(Keys):
    """One Timoni Bundle: the modules of all its instances."""

    files: Annotated[list[FilePath], KeyField(min_length=1)]
    """Its files (CUE, YAML, JSON)."""
    set: (
        Annotated[
            dict[Annotated[str, KeyField(pattern="^[A-Za-z_][A-Za-z0-9_]*$")], TextWithVariables],
            KeyField(json_schema_extra={"additionalProperties": False}),
        ]
        | None
    ) = None
    """Runtime values by name; `${NAME}` is filled in."""


ExportKeys = model_of(
    "ExportKeys",
    "An export file. Paths are relative to the file's own folder; in every path `${NAME}` is filled in.",
    ExportSettings,
    version=(Annotated[int, KeyField(ge=1, le=1)], KeyField(description="Of this format.")),
    defaults=(DefaultKeys | None, None),
    sources=(list[SourceKeys] | None, None),  # type: ignore[valid-type]
    timoni_bundles=(list[TimoniBundleKeys] | None, None),
)


def read_export_file(
    name: str,
    text: str,
    *,
    environment: Mapping[str, str],
    now: int,
    default_registry: RegistryName = DEFAULT_REGISTRY,
) -> ExportFile:
    """Return the file's content as values; paths in it are relative to the folder of `name`.

    `now` is in seconds since the epoch. Raises UsageError, with every problem that the file has.
    """
    at = Circumstances(now, environment, name, default_registry)
    read, document = read_keys(name, text, ExportKeys, at, _across)
    keys: Any = read
    defaults = keys.defaults or DefaultKeys()
    sources: list[ConfiguredSource] = []
    problems: list[Problem] = []
    for place, source in enumerate(keys.sources or ()):
        try:
            sources.append(_source(source, defaults))
        except RefusedValueError as refused:
            where = ("sources", place)
            problems.append(Problem(document.line(where), where, str(refused), refused.next_step))
    if problems:
        refuse(name, problems)
    exclude = values_of(TagOptions, defaults).exclude
    bundles = (
        TimoniBundle(tuple(bundle.files), tuple((bundle.set or {}).items()), _include(defaults), exclude)
        for bundle in keys.timoni_bundles or ()
    )
    settings, given = values_of(ExportSettings, keys), frozenset(given_in(ExportSettings, keys))
    return ExportFile(name, tuple(sources), tuple(bundles), settings, given)


def _across(content: dict[str, Any]) -> Found:
    """Yield what is wrong between the keys of a source, and of the defaults beside what they are for."""
    written = content.get("defaults")
    defaults = written if isinstance(written, dict) else {}
    yield from _unheard(content, defaults)
    for where, source in items(content, "sources"):
        yield from exactly_one(source, where, PLACES)
        if isinstance(source, dict):
            yield from _misplaced(source, where)
            yield from _contradictory(source, where, defaults)


AGES = ("createdSince", "minimumAge")

CHOICES = tuple(
    field.declared.key
    for group in RULES
    for field in fields_of(group)
    if isinstance(field.declared, Option) and field.declared.key not in ("exclude", *AGES)
)
"""Keys that choose among tags; what a Timoni Bundle or a digest names is not chosen."""


def _unheard(content: dict[str, Any], defaults: dict[str, Any]) -> Found:
    """Yield the defaults that nothing in the file can obey."""
    if not defaults:
        return
    sources, bundles = content.get("sources"), content.get("timoniBundles")
    if not sources and not bundles:
        cause = "this file has no sources and no Timoni Bundles, and defaults hold for their own file alone"
        yield ("defaults",), cause, "write them in the file that has the sources"
    for key in AGES if bundles else ():
        if defaults.get(key) is not None:
            cause = "a Timoni Bundle names its modules, and their creation time is not asked for"
            yield ("defaults", key), cause, "write it in each source instead"
    for key in CHOICES if bundles and not sources else ():
        if defaults.get(key) is not None:
            cause = "a Timoni Bundle names the versions of its modules, so that nothing is chosen"
            yield ("defaults", key), cause, "leave it out; `exclude` leaves out what a file names"


def _contradictory(source: dict[str, Any], where: Where, defaults: dict[str, Any]) -> Found:
    """Yield the rules of a source, its own or defaults, that can't hold for what it names."""
    for key in AGES if source.get("digests") else ():
        if source.get(key, defaults.get(key)) is not None:
            cause, step = "creation time is not asked for digests", "name them in a source of their own"
            if key not in source:
                cause, step = f"{cause}, and the default {key} asks for it", f"write {key}: null beside it"
            yield (*where, key if key in source else "digests"), cause, step
    leaves_out = source.get("referrers", defaults.get("referrers")) is False
    if leaves_out and source.get("require", defaults.get("require")):
        cause = "what is left out can't be required: `referrers` is false"
        yield (*where, "require" if "require" in source else "referrers"), cause, "leave one of them out"


def _misplaced(source: dict[str, Any], where: Where) -> Found:
    if "excludeRepositories" in source and "namespace" not in source:
        yield (*where, "excludeRepositories"), "only a namespace has repositories to exclude", "leave it out"
    if "digests" in source and "namespace" in source:
        yield (*where, "digests"), "a digest belongs to one repository", "write a source with `repository`"


_RULE_NAMES = frozenset(name for group in RULES for name in group._fields)


def _source(keys: Any, defaults: Any) -> ConfiguredSource:
    own_keys = {name: getattr(keys, name) for name in keys.model_fields_set & set(DefaultKeys.model_fields)}
    whole = defaults.model_copy(update=own_keys)
    place = values_of(PlaceOptions, keys)
    rules = None
    if not place.digests or own_keys.keys() & _RULE_NAMES:
        rules = rules_of(values_of(TagOptions, whole), values_of(SourceTagOptions, whole))
        refuse_unless_meant(rules)
    pattern = place.namespace and place.namespace._replace(exclude=place.exclude_repositories)
    repository = PRESETS[place.preset] if place.preset else place.repository
    return ConfiguredSource(repository, pattern, rules, _include(whole), place.digests)


def _include(keys: Any) -> Include:
    include = values_of(IncludeOptions, keys)._replace(no_referrers=keys.referrers is False)
    return with_images(include, keys.images).include()


def merged(files: Sequence[ExportFile]) -> ExportFile:
    """Join what all files say: lists one after the other, every setting from where it is said.

    Raises UsageError when two files say different things about one setting.
    """
    conflicts: list[UsageError] = []
    values: dict[str, Any] = {}
    for path, field, default in values_in(defaults_of(ExportSettings)):
        stated = [(file.name, _value(file, path)) for file in files if path in file.given]
        conflicts += _conflicts(path, field, stated)
        values[path] = _joined(field, [value for _, value in stated], default)
    if conflicts:
        raise conflicts[0] if len(conflicts) == 1 else CollectedError("export files", conflicts)
    return ExportFile(
        name=", ".join(file.name for file in files),
        sources=tuple(chain.from_iterable(file.sources for file in files)),
        timoni_bundles=tuple(chain.from_iterable(file.timoni_bundles for file in files)),
        settings=with_values(ExportSettings, values),
        given=frozenset(chain.from_iterable(file.given for file in files)),
    )


def _value(file: ExportFile, path: str) -> Any:
    return next(value for key, _, value in values_in(file.settings) if key == path)


def _joined(field: OptionField, values: list[Any], default: Any) -> Any:
    if field.declared.adds:
        return tuple(dict.fromkeys(chain(*values)))
    return values[0] if values else default


def _conflicts(path: str, field: OptionField, values: list[tuple[str, Any]]) -> Iterator[UsageError]:
    if field.declared.adds or not values:
        return
    (first, value), *others = values
    for name, other in others:
        if other != value:
            cause = f"{path}: {_written(other)}, but {first} says {_written(value)}"
            yield UsageError(name, cause, "set it in only one of them")


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
