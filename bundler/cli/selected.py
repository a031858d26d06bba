"""The options that say what to carry, and what they become together with export files: a selection."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from bundler.attachments.referrers import KINDS
from bundler.cli.options.registry_options import RegistryOptions, gathered, with_choices
from bundler.cli.options.tag_options import NameRuleOptions, gathered_rules, name_rules, rule_options
from bundler.config.file_values import ConfiguredSource, ExportFile
from bundler.errors import CollectedError, UsageError
from bundler.named_files import text_of
from bundler.oci.platform import Platform, parse_platform
from bundler.oci.reference import SOURCE_FORM, Reference, RegistryName, address, parse_reference
from bundler.selection.rules import Rules
from bundler.selection.sources import (
    ALONE,
    PRESETS,
    Include,
    Namespace,
    PinnedReference,
    Selection,
    selection_of,
)
from bundler.selection.sources import Source as RepositorySource

if TYPE_CHECKING:
    from bundler.config.file_values import ExportFile


Command = TypeVar("Command", bound=Callable[..., Any])


class SelectionOptions(NamedTuple):
    """What a command line says of what to carry."""

    sources: tuple[str, ...]
    config: tuple[Path, ...]
    rules: NameRuleOptions
    since: str | None
    min_age: str | None
    follow_latest: bool
    preset: tuple[str, ...]
    from_timoni_bundle: tuple[Path, ...]
    settings: tuple[str, ...]
    with_images: bool
    platform: tuple[str, ...]
    no_referrers: bool
    require: tuple[str, ...]


def selection_options(command: Command) -> Command:
    """Add them to a command; they arrive as one value by `gathered_selection`."""
    options = (
        click.argument("sources", metavar="[SOURCE]...", nargs=-1),
        click.option("--config", "-c", metavar="FILE", type=click.Path(path_type=Path), multiple=True,
                     help="An export file (YAML, schemas/export-file.schema.json). Repeatable."),
        rule_options,
        click.option("--since", metavar="WHEN",
                     help="Only tags created since a date, a time or an age (90d). One request per tag."),
        click.option("--min-age", metavar="AGE",
                     help="Hold back what is younger (72h): poisoned releases are found within days."),
        click.option("--follow-latest", is_flag=True,
                     help="Take `latest`, and the version that it points to."),
        click.option("--preset", type=click.Choice(list(PRESETS)), multiple=True,
                     help="What Timoni itself fetches, for `mod vendor k8s` and `mod init`."),
        click.option("--from-timoni-bundle", metavar="FILE", type=click.Path(path_type=Path), multiple=True,
                     help="Take the modules that this Timoni Bundle file names (CUE, YAML, JSON); several "
                          "files are one Bundle. Repeatable."),
        click.option("--set", "settings", metavar="NAME=VALUE", multiple=True,
                     help="A runtime value of the Timoni Bundle; else $NAME. Repeatable."),
        click.option("--with-images", is_flag=True, help="Also the container images that the modules run."),
        click.option("--platform", metavar="OS/ARCH", multiple=True,
                     help="Of indexes, only the children for this platform: they stay sparse. Repeatable."),
        click.option("--no-referrers", is_flag=True,
                     help="Leave out signatures, attestations, SBOMs and all else that refers to a tag."),
        click.option("--require", type=click.Choice(KINDS), multiple=True,
                     help="A tag without this fails. Repeatable."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def gathered_selection(options: dict[str, Any]) -> SelectionOptions:
    """Take the selection options out of a command's arguments."""
    rules = gathered_rules(options)
    own = {name: options.pop(name) for name in SelectionOptions._fields if name != "rules"}
    return SelectionOptions(rules=rules, **own)


class Asked(NamedTuple):
    """Command line and export files, as far as they say the same in every command."""

    settings: RegistryOptions
    chosen: SelectionOptions
    file: ExportFile | None


def asked(options: dict[str, Any]) -> Asked:
    """Take both out of a command's arguments, and read the export files. Raises UsageError."""
    settings, chosen = gathered(options), gathered_selection(options)
    file = export_file(chosen.config) if chosen.config else None
    return Asked(with_choices(settings, file.registries, file.jobs) if file else settings, chosen, file)


def hosts_of(selection: Selection) -> set[RegistryName]:
    """The registries that may be asked: with images, a credential must say for which one it is."""
    return {*selection.registries, *([RegistryName("docker.io")] if selection.with_images else [])}


def export_file(paths: tuple[Path, ...]) -> ExportFile:
    """All export files as one. Raises UsageError with everything that is wrong in them."""
    from bundler.config.export_file import merged, read_export_file

    now = int(time.time())
    files: list[ExportFile] = []
    problems: list[UsageError] = []
    for path in paths:
        try:
            files.append(read_export_file(str(path), text_of(path), environment=os.environ, now=now))
        except CollectedError as error:
            problems += (one for one in error.problems if isinstance(one, UsageError))
        except UsageError as error:
            problems.append(error)
    if problems:
        raise problems[0] if len(problems) == 1 else CollectedError("export files", problems)
    return merged(files)


def selected(options: SelectionOptions, file: ExportFile | None, *, may_be_empty: bool = False) -> Selection:
    """What the command line and the export files ask for together. Raises UsageError."""
    rules, along = _rules(options), _along(options)
    references, namespaces = _sources(options, rules, along)
    parts = [
        selection_of([*references, *(Reference(PRESETS[name]) for name in options.preset)], rules, along),
        Selection(namespaces=tuple(namespaces)),
    ]
    if options.from_timoni_bundle:
        from bundler.cli.written_files import modules_of

        parts.append(modules_of(options.from_timoni_bundle, options.settings, along))
    if file:
        from bundler.cli.selected import selection_in

        parts.append(selection_in(file))
    whole = parts[0].joined(*parts[1:])
    if not may_be_empty and not (whole.pins or whole.sources or whole.namespaces or whole.problems):
        raise UsageError("selection", "nothing to carry is named", "name a SOURCE, or a file with -c")
    return whole


def _sources(
    options: SelectionOptions, rules: Rules, along: Include
) -> tuple[list[Reference], list[Namespace]]:
    references: list[Reference] = []
    namespaces: list[Namespace] = []
    for source in options.sources:
        host, _, path = address(source, SOURCE_FORM).partition("/")
        if set(path) & set("*?["):
            if ":" in path:
                raise UsageError(source, "a glob is for repositories, not for tags", "choose tags with --tag")
            namespaces.append(Namespace(_registry(host, source), path, (), rules, along))
        else:
            references.append(parse_reference(source))
    return references, namespaces


def _registry(host: str, source: str) -> RegistryName:
    try:
        return RegistryName.parse(host)
    except ValueError as error:
        raise UsageError(source, str(error), "write [oci://]HOST/GLOB") from None


def _rules(options: SelectionOptions) -> Rules:
    since, until = _moments(options)
    return name_rules(options.rules)._replace(
        created_since=since, created_until=until, follow_latest=options.follow_latest
    )


def _moments(options: SelectionOptions) -> tuple[int | None, int | None]:
    if options.since is None and options.min_age is None:
        return None, None
    from bundler.config.fields import moment, seconds_of

    now = int(time.time())
    try:
        since = None if options.since is None else moment(options.since, now)
        return since, None if options.min_age is None else now - seconds_of(options.min_age)
    except ValueError as error:
        raise UsageError("--since or --min-age", str(error), "write 90d, 72h or 2026-11-01") from None


def _along(options: SelectionOptions) -> Include:
    if options.require and options.no_referrers:
        raise UsageError("--require", "with --no-referrers nothing can be found", "leave one of them out")
    return Include(
        options.with_images,
        not options.no_referrers,
        frozenset(options.require),
        _platforms(options.platform),
    )


def _platforms(texts: tuple[str, ...]) -> tuple[Platform, ...]:
    try:
        return tuple(parse_platform(part) for text in texts for part in text.split(","))
    except ValueError as error:
        raise UsageError("--platform", str(error), "write linux/amd64 or linux/arm/v7") from None


def selection_in(file: ExportFile) -> Selection:
    """What the file asks for. Raises UsageError for a Timoni Bundle that can't be read."""
    from bundler.cli.written_files import modules_of

    parts = [_source(source) for source in file.sources]
    for bundle in file.timoni_bundles:
        settings = tuple(f"{name}={value}" for name, value in bundle.values)
        parts.append(modules_of(tuple(Path(name) for name in bundle.files), settings, ALONE))
    return Selection().joined(*parts)


def _source(source: ConfiguredSource) -> Selection:
    along = source.include
    if source.pattern is not None:
        registry, glob, exclude = source.pattern
        rules = source.rules
        assert rules is not None, "a namespace has no digests"
        return Selection(namespaces=(Namespace(registry, glob, exclude, rules, along),))
    assert source.repository is not None, "it is a repository if it is no pattern"
    pins = tuple(
        PinnedReference(Reference(source.repository, None, digest), along) for digest in source.digests
    )
    if source.rules is None:
        return Selection(pins)
    return Selection(pins, (RepositorySource(source.repository, source.rules, along),))
