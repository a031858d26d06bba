"""The keys by which tags are chosen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from bundler.config.fields import (
    Count,
    DigestName,
    Expression,
    Host,
    Keys,
    Namespace,
    Path,
    PathWithVariables,
    PlatformName,
    Range,
    Repository,
    Since,
    TagName,
    Text,
    TextWithVariables,
    Until,
    never_null,
)
from bundler.selection.rules import Rules


class NameRuleKeys(Keys):
    """Rules that need no more than the tags' names."""

    tags: list[TagName] | None = None
    """These tags."""
    globs: list[Text] | None = None
    """Tags that match one of these globs."""
    patterns: list[Expression] | None = None
    """Tags that match one of these regular expressions as a whole."""
    versions: Range | None = None
    """Versions in this range: `>=6.10 <7`."""
    prereleases: bool | None = None
    """Whether pre-releases count as versions."""
    newest_per_minor: Count | None = None
    """Of every minor version, only so many of the newest."""
    newest_per_major: Count | None = None
    """Of every major version, only so many of the newest."""
    newest: Count | None = None
    """Only so many of the newest versions."""
    exclude: list[Text] | None = None
    """No tag that matches one of these globs."""


class RuleKeys(NameRuleKeys):
    """All rules. A source's own key wins over the default; null takes a default back."""

    created_since: Since | None = None
    """Only what was created since then: a date or time (RFC 3339), or an age: `90d`."""
    minimum_age: Until | None = None
    """Only what is that old at least: `72h`, `14d`."""
    follow_latest: bool | None = None
    """Also the version that `latest` points to."""


def name_rules(keys: NameRuleKeys) -> Rules:
    """The keys as rules."""
    return Rules(
        tags=tuple(keys.tags or ()),
        globs=tuple(keys.globs or ()),
        patterns=tuple(keys.patterns or ()),
        versions=keys.versions,
        prereleases=keys.prereleases or False,
        newest_per_minor=keys.newest_per_minor,
        newest_per_major=keys.newest_per_major,
        newest=keys.newest,
        exclude=tuple(keys.exclude or ()),
    )


def all_rules(keys: RuleKeys) -> Rules:
    """The keys as rules."""
    return name_rules(keys)._replace(
        created_since=keys.created_since,
        created_until=keys.minimum_age,
        follow_latest=keys.follow_latest or False,
    )


PLACES = ("repository", "namespace", "preset")
"""Of these a source has exactly one."""


class DefaultKeys(RuleKeys):
    """Rules, and what goes along: for every source that does not say otherwise."""

    images: bool | None = None
    """Also the container images that the modules run."""
    referrers: bool | None = None
    """Also what refers to the modules: signatures, SBOMs, attestations. True if it is not said."""
    require: list[Literal["signature", "sbom", "attestation"]] | None = None
    """What every module must have along."""
    platforms: list[PlatformName] | None = None
    """Of images for several platforms, only these: `linux/amd64`. All if it is not said."""


class SourceKeys(DefaultKeys):
    """One repository or many, and what to take of it."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [place]} for place in PLACES]})

    repository: Repository | None = Field(default=None, json_schema_extra=never_null)
    """[oci://][HOST/]REPOSITORY, without tag or digest; `${NAME}` is filled in."""
    namespace: Namespace | None = Field(default=None, json_schema_extra=never_null)
    """[oci://]HOST/GLOB: every repository of the registry's catalog whose path matches; `*` is also for `/`.
    `${NAME}` is filled in."""
    preset: Literal["kubernetes-schema", "minimal"] | None = Field(default=None, json_schema_extra=never_null)
    """What Timoni itself fetches: for `timoni mod vendor k8s`, for `timoni mod init`."""
    digests: list[DigestName] | None = None
    """These manifests. Without any rule of the source's own, only these."""
    exclude_repositories: list[Text] | None = None
    """Of a namespace, no repository whose path matches one of these globs."""


RuntimeValues = Annotated[
    dict[Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")], TextWithVariables],
    Field(json_schema_extra={"additionalProperties": False}),
]


class TimoniBundleKeys(Keys):
    """One Timoni Bundle: the modules of all its instances."""

    files: Annotated[list[Path], Field(min_length=1)]
    """Its files (CUE, YAML, JSON)."""
    set: RuntimeValues | None = None
    """Runtime values by name; `${NAME}` is filled in."""


class RegistryKeys(Keys):
    """How registries are reached."""

    plain_http: list[Host] | None = None
    """Hosts to speak plain http to."""
    ca_file: Path | None = None
    """Trust these PEM certificates besides the system's."""
    creds_file: Path | None = None
    """Lines of [HOST] USER:PASSWORD or [HOST] TOKEN; `-` reads standard input."""
    token_hosts: list[Host] | None = None
    """Token servers elsewhere that may see a registry's credentials."""
    proxy: Text | None = None
    """Reach registries through this proxy; `none` for none."""


class ExportKeys(Keys):
    """An export file. Paths are relative to the file's own folder."""

    version: Annotated[int, Field(ge=1, le=1)]
    """Of this format."""
    output: PathWithVariables | None = None
    """NAME.tar.zst for a bundle, `-` for standard output, else a directory; `${NAME}` is filled in."""
    store: PathWithVariables | None = None
    """Keep blobs here for the next run; `${NAME}` is filled in."""
    force: bool | None = None
    """Replace the output, even if that loses what it holds."""
    report: Path | None = None
    """Write a JSON report of what was done."""
    jobs: Annotated[int, Field(ge=1, le=128)] | None = None
    """Requests under way at a time."""
    defaults: DefaultKeys | None = None
    sources: list[SourceKeys] | None = None
    timoni_bundles: list[TimoniBundleKeys] | None = None
    registries: RegistryKeys | None = None
    lock: Path | None = None
    """The file that keeps the digest of every tag."""
    on_drift: Literal["warn", "fail", "refetch"] | None = None
    """What to do when a tag is not what the lock says."""
    base: Annotated[list[PathWithVariables], Field(min_length=1)] | None = None
    """Leave out what these bundles, ids of bundles or receipts have; `last` is what the job made last."""
    immutable: list[Text] | None = None
    """Tags that never move: `semver`, or globs."""
    keep: Annotated[int, Field(ge=1)] | None = None
    """Afterwards, remove the job's older bundles but so many."""
    keep_days: Annotated[int, Field(ge=1)] | None = None
    """The same by age, in days."""
