"""Options of what to carry: sources, rules for tags, and what is included with a tag.

Annotations are values here, not texts (no `from __future__ import annotations`): `fields_of` reads them.
"""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from bundler.config import texts
from bundler.config.include_options import IncludeOptions
from bundler.config.option import Argument, Option
from bundler.oci import DEFAULT_REGISTRY, Digest, RegistryName, RepositoryName, Tag
from bundler.selection.rules import Rules
from bundler.selection.sources import Shard

TAGS = "Choosing tags"


class SourceOptions(NamedTuple):
    """Repositories, files that name them, and Timoni Bundles."""

    sources: Annotated[tuple[str, ...], Argument("[SOURCE]...")] = ()
    config: Annotated[
        tuple[Path, ...],
        Option(
            "--config", "-c", metavar="FILE",
            help="Read an export file (YAML; `timoni-bundler schema export-file`). Repeatable.",
        ),
    ] = ()  # fmt: skip
    default_registry: Annotated[
        RegistryName,
        Option(
            "--default-registry", metavar="HOST", heading="Registries",
            help="Registry for repositories named without one (stefanprodan/modules/podinfo). Default: "
            f"{DEFAULT_REGISTRY}.",
        ),
    ] = DEFAULT_REGISTRY  # fmt: skip
    presets: Annotated[
        tuple[Literal["kubernetes-schema", "minimal"], ...],
        Option(
            "--preset",
            heading=TAGS,
            help="Take what Timoni itself fetches for `mod vendor k8s` (kubernetes-schema) or `mod init` "
            "(minimal). Repeatable.",
        ),
    ] = ()
    timoni_bundles: Annotated[
        tuple[Path, ...],
        Option(
            "--from-timoni-bundle", metavar="FILE", heading=TAGS,
            help="Take the modules that this Timoni Bundle file names (CUE, YAML, JSON). Several files make "
            "one Bundle. Repeatable.",
        ),
    ] = ()  # fmt: skip
    lists: Annotated[
        tuple[Path, ...],
        Option(
            "--from-file", metavar="FILE", heading=TAGS,
            help="Take the references in this list: one or several in a line, `#` begins a comment, `-` is "
            "standard input. As in Kubernetes, a name without a host is on Docker Hub, and one without tag "
            "and digest is `latest`. Repeatable.",
        ),
    ] = ()  # fmt: skip


class RuntimeOptions(NamedTuple):
    """Values for the `@timoni(runtime:...)` attributes of Timoni Bundle files."""

    settings: Annotated[
        tuple[str, ...],
        Option(
            "--set", metavar="NAME=VALUE", heading=TAGS, read=texts.setting,
            help="Set a runtime value of the Timoni Bundle files. Repeatable.",
        ),
    ] = ()  # fmt: skip
    from_environment: Annotated[
        bool,
        Option(
            "--runtime-from-env", heading=TAGS,
            help="Take runtime values from the environment too, as Timoni does; --set wins. Default: use "
            "--set only.",
        ),
    ] = False  # fmt: skip


class TagOptions(NamedTuple):
    """Rules that need no more than the tags' names: fields of `Rules`."""

    tags: Annotated[tuple[Tag, ...], Option(key="tags", help="Take these tags.")] = ()
    globs: Annotated[
        tuple[str, ...],
        Option(
            "--tag", "-t", key="globs", metavar="GLOB", heading=TAGS,
            help="Take tags that match this glob. Repeatable.",
        ),
    ] = ()  # fmt: skip
    patterns: Annotated[
        tuple[str, ...],
        Option(
            "--tag-regex", key="patterns", metavar="REGEX", heading=TAGS, read=texts.expression,
            help="Take tags that match this regular expression as a whole. Repeatable.",
        ),
    ] = ()  # fmt: skip
    versions: Annotated[
        str | None,
        Option(
            "--versions", key="versions", metavar="RANGE", heading=TAGS, read=texts.version_range,
            help="Take versions in this range: '>=6.10 <7', '^1.2', '~1.4'.",
        ),
    ] = None  # fmt: skip
    prereleases: Annotated[
        bool,
        Option(
            "--prereleases", key="prereleases", heading=TAGS,
            help="Include pre-releases in ranges and --newest. Default: leave them out.",
        ),
    ] = False  # fmt: skip
    newest: Annotated[
        int | None,
        Option(
            "--newest", key="newest", metavar="N", heading=TAGS, least=1,
            help="Of the versions taken, keep the newest N.",
        ),
    ] = None  # fmt: skip
    newest_per_major: Annotated[
        int | None,
        Option(
            "--newest-per-major", key="newestPerMajor", metavar="N", heading=TAGS, least=1,
            help="Keep the newest N of each major version.",
        ),
    ] = None  # fmt: skip
    newest_per_minor: Annotated[
        int | None,
        Option(
            "--newest-per-minor", key="newestPerMinor", metavar="N", heading=TAGS, least=1,
            help="Keep the newest N of each minor version.",
        ),
    ] = None  # fmt: skip
    exclude: Annotated[
        tuple[str, ...],
        Option(
            "--exclude", key="exclude", metavar="GLOB", heading=TAGS,
            help="Leave out tags that match this glob, even if another option takes them. Repeatable.",
        ),
    ] = ()  # fmt: skip


class SourceTagOptions(NamedTuple):
    """Rules for which the source registry is asked more than tag lists: fields of `Rules`."""

    created_since: Annotated[
        int | None,
        Option(
            "--since", key="createdSince", metavar="WHEN", heading=TAGS, read=texts.since,
            help="Take only tags created since a date, a time or an age (90d). Costs one request per tag.",
        ),
    ] = None  # fmt: skip
    created_until: Annotated[
        int | None,
        Option(
            "--min-age", key="minimumAge", metavar="AGE", heading=TAGS, read=texts.until,
            help="Leave out tags younger than this (72h): malicious releases are often found within days. "
            "Costs one request per tag.",
        ),
    ] = None  # fmt: skip
    follow_latest: Annotated[
        bool,
        Option(
            "--follow-latest", key="followLatest", heading=TAGS,
            help="Take `latest`, and the version that it points to.",
        ),
    ] = False  # fmt: skip


def rules_of(tags: TagOptions, more: SourceTagOptions | None = None) -> Rules:
    """Make rules of the options: fields of the same names."""
    return Rules(**tags._asdict(), **(more or SourceTagOptions())._asdict())


def narrowed(rules: Rules, line: Rules) -> Rules:
    """Return a file's rules under those of the command line: restrictions add, choices replace.

    Pre-releases alone only widen what the file chooses.
    """
    chosen = line._replace(exclude=(), created_since=None, created_until=None)
    if chosen == Rules(prereleases=True):
        chosen = rules._replace(prereleases=True)
    elif chosen == Rules():
        chosen = rules
    since = [second for second in (rules.created_since, line.created_since) if second is not None]
    until = [second for second in (rules.created_until, line.created_until) if second is not None]
    return chosen._replace(
        exclude=tuple(dict.fromkeys((*rules.exclude, *line.exclude))),
        created_since=max(since, default=None),
        created_until=min(until, default=None),
    )


class ShardOptions(NamedTuple):
    """One part of an export that several machines share."""

    shard: Annotated[
        Shard | None,
        Option(
            "--shard", key="shard", metavar="I/N", heading="Reproducibility and sharding",
            help="Export only part I of N, counted from 0 to N-1. Repositories are assigned by a hash of "
            "their names, the same on every machine. `merge` joins the parts.",
        ),
    ] = None  # fmt: skip


class PlaceOptions(NamedTuple):
    """One source of an export file: its place, and what of it is named."""

    repository: Annotated[
        RepositoryName | None,
        Option(
            key="repository", read=texts.repository,
            help="[oci://][HOST/]REPOSITORY, without tag or digest; `${NAME}` is filled in.",
        ),
    ] = None  # fmt: skip
    namespace: Annotated[
        texts.RepositoryPattern | None,
        Option(
            key="namespace", read=texts.namespace,
            help="[oci://]HOST/GLOB: every repository of the registry's catalog whose path matches; `*` also "
            "matches `/`. `${NAME}` is filled in.",
        ),
    ] = None  # fmt: skip
    preset: Annotated[
        Literal["kubernetes-schema", "minimal"] | None,
        Option(
            key="preset",
            help="What Timoni itself fetches: for `timoni mod vendor k8s`, for `timoni mod init`.",
        ),
    ] = None
    digests: Annotated[
        tuple[Digest, ...],
        Option(key="digests", help="These manifests. Without any rule of the source's own, only these."),
    ] = ()
    exclude_repositories: Annotated[
        tuple[str, ...],
        Option(
            key="excludeRepositories",
            help="Of a namespace, no repository whose path matches one of these globs.",
        ),
    ] = ()


class SelectOptions(NamedTuple):
    """Repositories of a bundle."""

    repositories: Annotated[
        tuple[str, ...],
        Option(
            "--repository", key="repositories", metavar="GLOB", heading=TAGS,
            help="Take only repositories whose HOST/PATH outside matches this glob. Repeatable.",
        ),
    ] = ()  # fmt: skip


class SelectionOptions(NamedTuple):
    """Selection as a command line states it."""

    place: SourceOptions
    runtime: RuntimeOptions
    tags: TagOptions
    more: SourceTagOptions
    include: IncludeOptions
