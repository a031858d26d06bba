"""The selection of what to carry, as the command line and export files state it together.

Restrictions of the command line (exclude, require, age, platform) are added to every source of the files;
choices (tags, versions, newest, ...) replace those of the files. Nothing is passed over.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bundler.cli.option_combinations import given_flags, refuse_combination, refuse_unused
from bundler.config import selection_options
from bundler.config.export_options import ExportSettings
from bundler.config.include_options import IncludeOptions
from bundler.config.option import over
from bundler.config.texts import STANDARD_STREAM, references_in
from bundler.errors import CollectedError, UsageError
from bundler.named_files import LONGEST, text_of
from bundler.oci import DEFAULT_REGISTRY, Reference, RegistryName, parse_reference
from bundler.oci.reference import DOCKER_HUB, SOURCE_FORM, address, split_registry
from bundler.selection import sources
from bundler.selection.rules import Rules, check

if TYPE_CHECKING:
    from bundler.config.export_file import ConfiguredSource, ExportFile


class Asked(NamedTuple):
    """Command line and export files together."""

    settings: ExportSettings
    selection: sources.Selection


def asked(
    command: str,
    options: selection_options.SelectionOptions,
    settings: ExportSettings,
    *more: tuple[Any, ...],
) -> Asked:
    """Read the export files, and join them with the command line. Raises UsageError.

    `more` are groups of options that only have to go together with the others.
    """
    place = options.place
    file = export_file(place.config, place.default_registry) if place.config else None
    joined = over(settings, file.settings) if file else settings
    flags = given_flags(options, joined, *more).union(_said_in(file))
    refuse_combination(command, flags)
    _check_stdin(options.place.lists, joined.registries.reach.creds_file)
    selection = selected(options, file)._replace(shard=joined.shard.shard)
    lock = joined.lock.lock
    if not selection.names_anything and lock and lock.exists():
        _refuse_beside_lock(options)
    else:
        _refuse_unheard(options, selection)
    return Asked(joined, selection)


def _check_stdin(lists: tuple[Path, ...], creds_file: Path | None) -> None:
    """Raise UsageError where standard input would have to be two things."""
    read = [path for path in (*lists, creds_file) if str(path) == STANDARD_STREAM]
    if len(read) > 1:
        cause = "standard input can't be two things at once"
        raise UsageError("--from-file -", cause, "use a file for one of them")


def _said_in(file: ExportFile | None) -> Iterator[str]:
    """Yield the options that the sources of a file stand for, as far as others depend on them."""
    if file is None:
        return
    if file.timoni_bundles:
        yield "--from-timoni-bundle"
    includes = [source.include for source in file.sources]
    includes += [bundle.include for bundle in file.timoni_bundles]
    if not all(include.referrers for include in includes):
        yield "--no-referrers"


def _refuse_beside_lock(options: selection_options.SelectionOptions) -> None:
    """Raise UsageError for choices beside a lock file alone, which names all that is carried."""
    choosing = options.tags._replace(exclude=())
    following = options.more._replace(created_since=None, created_until=None)
    including = options.include._replace(require=())
    flags = given_flags(choosing, following, including, options.runtime)
    refuse_unused(flags, sorted(flags), "the lock file names everything that is exported")


def _refuse_unheard(options: selection_options.SelectionOptions, selection: sources.Selection) -> None:
    """Raise UsageError for rules of the command line that nothing obeys: what is named is not chosen."""
    if selection.pins:
        cause = f"{selection.pins[0].reference} is named explicitly, so its creation time is not checked"
        refuse_unused(given_flags(options.more), ("--since", "--min-age"), cause)
    if not (selection.sources or selection.namespaces):
        choices = given_flags(options.tags, options.more) - {"--exclude"}
        refuse_unused(choices, sorted(choices), "every source names its tag, so there is nothing to choose")
    _refuse_idle(options, selection)


def _refuse_idle(options: selection_options.SelectionOptions, selection: sources.Selection) -> None:
    """Raise UsageError for what changes no source at all, be it an option or a key of a file."""
    counting = [rules for rules in selection.rules if rules.prereleases]
    if counting and not any(rules.ranks_versions for rules in counting):
        item = "--prereleases" if options.tags.prereleases else "prereleases"
        raise UsageError(item, "no source has a range or a --newest to leave them out", "leave it out")
    of_images = {
        "--exclude-image": "exclude_images", "--optional-image": "optional_images",
        "--image-min-age": "image_min_age",
    }  # fmt: skip
    for option, field in of_images.items():
        if not selection.with_images and any(getattr(include, field) for include in selection.includes):
            raise UsageError(option, "no images are included", "add `images: true` or --with-images")


def refuse_nothing(selection: sources.Selection) -> None:
    """Raise UsageError for a selection that names nothing."""
    if not selection.names_anything:
        raise UsageError("selection", "no source given", "name a SOURCE, or an export file with -c")


def hosts_of(selection: sources.Selection) -> set[RegistryName]:
    """Return the registries that may be asked: with images, a credential must say for which one it is."""
    return {*selection.registries, *([RegistryName("docker.io")] if selection.with_images else [])}


def export_file(paths: tuple[Path, ...], default_registry: RegistryName = DEFAULT_REGISTRY) -> ExportFile:
    """Read all export files as one. Raises UsageError with everything that is wrong in them."""
    from bundler.config.export_file import merged, read_export_file

    at: Any = {"environment": os.environ, "now": int(time.time()), "default_registry": default_registry}
    files: list[ExportFile] = []
    problems: list[UsageError] = []
    for path in paths:
        try:
            files.append(read_export_file(str(path), text_of(path), **at))
        except CollectedError as error:
            problems += (problem for problem in error.problems if isinstance(problem, UsageError))
        except UsageError as error:
            problems.append(error)
    if problems:
        raise problems[0] if len(problems) == 1 else CollectedError("export files", problems)
    return merged(files)


def selected(options: selection_options.SelectionOptions, file: ExportFile | None) -> sources.Selection:
    """Return what the command line and the export files ask for together. Raises UsageError."""
    rules, include = selection_options.rules_of(options.tags, options.more), _include(options.include)
    check(rules)
    references, namespaces = _sources(options.place, rules, include)
    presets = (Reference(sources.PRESETS[name]) for name in options.place.presets)
    parts = [
        sources.selection_of([*references, *presets], rules, include, named_by="on the command line"),
        sources.Selection(namespaces=tuple(namespaces)),
    ]
    parts += (_listed(path, options.place, rules, include) for path in options.place.lists)
    if options.place.timoni_bundles:
        from bundler.cli.timoni_files import modules_of, runtime_values

        values = runtime_values(options.runtime)
        parts.append(modules_of(options.place.timoni_bundles, values, include, rules.exclude))
    if file:
        parts.append(selection_in(file, rules, options.include, options.runtime))
    return parts[0].joined(*parts[1:])


def _listed(
    path: Path, place: selection_options.SourceOptions, rules: Rules, include: sources.Include
) -> sources.Selection:
    """Return what a list of references names. Raises UsageError with everything that is wrong in it."""
    name = "standard input" if str(path) == STANDARD_STREAM else str(path)
    default = place.default_registry if place.default_registry != DEFAULT_REGISTRY else DOCKER_HUB
    references = references_in(_list_text(path), name, default)
    return sources.selection_of(references, rules, include, named_by=f"by {name}")


def _list_text(path: Path) -> str:
    """Read a list that a person or a tool wrote. Raises UsageError."""
    if str(path) != STANDARD_STREAM:
        return text_of(path)
    if sys.stdin.isatty():
        raise UsageError("--from-file -", "standard input is a terminal", "pipe a list into this command")
    data = sys.stdin.buffer.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise UsageError("standard input", f"more than the limit of {LONGEST:,} bytes", "use a shorter list")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError("standard input", "not a text", "pipe a list of references into it") from None


def _sources(
    place: selection_options.SourceOptions, rules: Rules, include: sources.Include
) -> tuple[list[Reference], list[sources.Namespace]]:
    references: list[Reference] = []
    namespaces: list[sources.Namespace] = []
    for source in place.sources:
        host, path = split_registry(address(source, SOURCE_FORM), place.default_registry)
        if set(path) & set("*?["):
            if ":" in path:
                raise UsageError(
                    source, "only repositories can be chosen by a glob here", "choose tags with --tag"
                )
            namespaces.append(sources.Namespace(_registry(host, source), path, (), rules, include))
        else:
            references.append(parse_reference(source, place.default_registry))
    return references, namespaces


def _registry(host: str, source: str) -> RegistryName:
    try:
        return RegistryName.parse(host)
    except ValueError as error:
        raise UsageError(source, str(error), "write [oci://]HOST/GLOB") from None


def _include(options: IncludeOptions) -> sources.Include:
    if options.require and options.no_referrers:
        raise UsageError(
            "--require",
            "it conflicts with --no-referrers, which leaves attachments out",
            "remove one of them",
        )
    return options.include()


def selection_in(
    file: ExportFile, line: Rules, include: IncludeOptions, runtime: selection_options.RuntimeOptions
) -> sources.Selection:
    """Return what the file asks for, under what the command line says.

    Raises UsageError for a Timoni Bundle that can't be read.
    """
    from bundler.cli.timoni_files import modules_of, runtime_values

    parts = [_source(source, line, include) for source in file.sources]
    for bundle in file.timoni_bundles:
        values = {**dict(bundle.values), **runtime_values(runtime)}
        exclude = (*bundle.exclude, *line.exclude)
        parts.append(modules_of(bundle.files, values, include.narrowing(bundle.include), exclude))
    return sources.Selection().joined(*parts)


def _source(source: ConfiguredSource, line: Rules, options: IncludeOptions) -> sources.Selection:
    include = options.narrowing(source.include)
    if source.pattern is not None:
        registry, glob, exclude = source.pattern
        rules = selection_options.narrowed(source.rules or Rules(), line)
        return sources.Selection(namespaces=(sources.Namespace(registry, glob, exclude, rules, include),))
    assert source.repository is not None, "it is a repository if it is no pattern"
    pins = tuple(
        sources.PinnedReference(
            Reference(source.repository, None, digest), include, named_by="by the export file"
        )
        for digest in source.digests
    )
    if source.rules is None:
        return sources.Selection(pins)
    return sources.Selection(
        pins, (sources.Source(source.repository, selection_options.narrowed(source.rules, line), include),)
    )
