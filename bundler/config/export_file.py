"""The export file: what to carry, from where, how, and where to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from bundler.config.export_keys import (
    PLACES,
    DefaultKeys,
    ExportKeys,
    RegistryKeys,
    RuleKeys,
    SourceKeys,
    TimoniBundleKeys,
    all_rules,
)
from bundler.config.fields import Circumstances, beside_file, refuse_unless_meant
from bundler.config.file_values import ConfiguredSource, ExportFile, RegistryChoices, TimoniBundle
from bundler.config.problems import Problem, RefusedValueError, Where, refuse
from bundler.config.reading import Found, exactly_one, items, read_keys
from bundler.errors import CollectedError, UsageError
from bundler.oci.content import Digest
from bundler.oci.grammar import camel
from bundler.selection.sources import PRESETS, Include

Beside = Callable[[str | None], str | None]


def read_export_file(name: str, text: str, *, environment: Mapping[str, str], now: int) -> ExportFile:
    """The file's content as values; paths in it are relative to the folder of `name`.

    `now` is in seconds since the epoch. Raises UsageError, with every problem that the file has.
    """
    keys, document = read_keys(name, text, ExportKeys, Circumstances(environment, now), _across)
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
    return _with_settings(ExportFile(name, tuple(sources)), keys)


def _across(content: dict[str, Any]) -> Found:
    """What is wrong between the keys of a source."""
    for where, source in items(content, "sources"):
        yield from exactly_one(source, where, PLACES)
        if isinstance(source, dict):
            yield from _misplaced(source, where)


def _misplaced(source: dict[str, Any], where: Where) -> Found:
    if "excludeRepositories" in source and "namespace" not in source:
        yield (*where, "excludeRepositories"), "only a namespace has repositories to exclude", "leave it out"
    if "digests" in source and "namespace" in source:
        yield (*where, "digests"), "a digest belongs to one repository", "write a source with `repository`"


def _source(keys: SourceKeys, defaults: DefaultKeys) -> ConfiguredSource:
    own = {name: getattr(keys, name) for name in keys.model_fields_set & set(type(defaults).model_fields)}
    whole = defaults.model_copy(update=own)
    rules = None if keys.digests and not own.keys() & set(RuleKeys.model_fields) else all_rules(whole)
    if rules is not None:
        refuse_unless_meant(rules)
    pattern = keys.namespace and keys.namespace._replace(exclude=tuple(keys.exclude_repositories or ()))
    repository = PRESETS[keys.preset] if keys.preset else keys.repository
    return ConfiguredSource(repository, pattern, rules, _along(whole), tuple(keys.digests or ()))


def _along(keys: DefaultKeys) -> Include:
    return Include(
        images=keys.images or False,
        referrers=keys.referrers is not False,
        require=frozenset(keys.require or ()),
        platforms=tuple(keys.platforms or ()),
    )


def _with_settings(file: ExportFile, keys: ExportKeys) -> ExportFile:
    beside = partial(beside_file, file.name)
    return file._replace(
        timoni_bundles=tuple(_timoni_bundle(bundle, beside) for bundle in keys.timoni_bundles or ()),
        registries=_registries(keys.registries or RegistryKeys(), beside),
        output=beside(keys.output),
        store=beside(keys.store),
        force=keys.force,
        report=beside(keys.report),
        jobs=keys.jobs,
        lock=beside(keys.lock),
        on_drift=keys.on_drift,
        base=tuple(_base(text, beside) for text in keys.base) if keys.base else None,
        immutable=tuple(keys.immutable) if keys.immutable else None,
        keep=keys.keep,
        keep_days=keys.keep_days,
    )


def _base(text: str, beside: Beside) -> str:
    """A path is relative to the file; `last`, and an id, is none."""
    if text == "last" or Digest.grammar.fullmatch(text):
        return text
    return beside(text) or text


def _timoni_bundle(keys: TimoniBundleKeys, beside: Beside) -> TimoniBundle:
    files = tuple(path for file in keys.files if (path := beside(file)))
    return TimoniBundle(files, tuple((keys.set or {}).items()))


def _registries(keys: RegistryKeys, beside: Beside) -> RegistryChoices:
    return RegistryChoices(
        plain_http=tuple(keys.plain_http or ()),
        token_hosts=tuple(keys.token_hosts or ()),
        ca_file=beside(keys.ca_file),
        creds_file=beside(keys.creds_file),
        proxy=keys.proxy,
    )


_SERIES = ("base", "immutable", "keep", "keep_days")

_SETTINGS = ("output", "store", "force", "report", "jobs", "lock", "on_drift", *_SERIES)

_REGISTRY_SETTINGS = ("ca_file", "creds_file", "proxy")


def merged(files: Sequence[ExportFile]) -> ExportFile:
    """What all files say together: lists one after the other, every setting from where it is said.

    Raises UsageError when two files say different things about one setting.
    """
    settings = {key: [(file.name, getattr(file, key)) for file in files] for key in _SETTINGS}
    reaching = {
        key: [(file.name, getattr(file.registries, key)) for file in files] for key in _REGISTRY_SETTINGS
    }
    conflicts = [*_conflicts("", settings), *_conflicts("registries.", reaching)]
    if conflicts:
        raise conflicts[0] if len(conflicts) == 1 else CollectedError("export files", conflicts)
    return ExportFile(
        name=", ".join(file.name for file in files),
        sources=tuple(chain.from_iterable(file.sources for file in files)),
        timoni_bundles=tuple(chain.from_iterable(file.timoni_bundles for file in files)),
        registries=RegistryChoices(
            plain_http=tuple(dict.fromkeys(chain(*(file.registries.plain_http for file in files)))),
            token_hosts=tuple(dict.fromkeys(chain(*(file.registries.token_hosts for file in files)))),
            **_said(reaching),
        ),
        **_said(settings),
    )


def _said(settings: dict[str, list[tuple[str, Any]]]) -> dict[str, Any]:
    return {
        key: next((value for _, value in said if value is not None), None) for key, said in settings.items()
    }


def _conflicts(above: str, settings: dict[str, list[tuple[str, Any]]]) -> Iterator[UsageError]:
    for key, said in settings.items():
        (first, value), *others = [pair for pair in said if pair[1] is not None] or [("", None)]
        for name, other in others:
            if other != value:
                cause = f"{above}{camel(key)}: {_written(other)}, but {first} says {_written(value)}"
                yield UsageError(name, cause, "say it in one of them only")


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
