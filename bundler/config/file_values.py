"""What an export file and an import file say, as plain values."""

from __future__ import annotations

from typing import Literal, NamedTuple

from bundler.config.fields import RepositoryPattern
from bundler.mapping import Mapping
from bundler.oci.content import Digest
from bundler.oci.reference import Prefix, RegistryName, RepositoryName
from bundler.selection.rules import Rules
from bundler.selection.sources import Include

OnDrift = Literal["warn", "fail", "refetch"]

OnConflict = Literal["fail", "skip", "overwrite"]


class ConfiguredSource(NamedTuple):
    """A repository, or a pattern of repositories: exactly one is not None."""

    repository: RepositoryName | None
    pattern: RepositoryPattern | None
    rules: Rules | None
    """None: no tags are asked for, only the digests."""
    include: Include
    digests: tuple[Digest, ...] = ()


class TimoniBundle(NamedTuple):
    """One Timoni Bundle: paths of its files, runtime values by name (they may be secret)."""

    files: tuple[str, ...]
    values: tuple[tuple[str, str], ...] = ()


class RegistryChoices(NamedTuple):
    """How registries are reached, as the command line's options have it."""

    plain_http: tuple[RegistryName, ...] = ()
    token_hosts: tuple[RegistryName, ...] = ()
    ca_file: str | None = None
    creds_file: str | None = None
    """`-` is standard input."""
    proxy: str | None = None


class ExportFile(NamedTuple):
    """What an export file says; None for what it leaves to the command line."""

    name: str
    sources: tuple[ConfiguredSource, ...] = ()
    timoni_bundles: tuple[TimoniBundle, ...] = ()
    registries: RegistryChoices = RegistryChoices()
    output: str | None = None
    """`-` is standard output."""
    store: str | None = None
    force: bool | None = None
    report: str | None = None
    jobs: int | None = None
    lock: str | None = None
    on_drift: OnDrift | None = None
    base: tuple[str, ...] | None = None
    """Paths, ids of bundles, or `last`."""
    immutable: tuple[str, ...] | None = None
    keep: int | None = None
    keep_days: int | None = None


class ConfiguredPart(NamedTuple):
    """What to import of a bundle."""

    repositories: tuple[str, ...] = ()
    """Globs on `host/path`, the name outside (`*` is also for `/`); all without any."""
    rules: Rules = Rules()


class ImportFile(NamedTuple):
    """What an import file says; None for what it leaves to the command line."""

    name: str
    to: Prefix | None = None
    mapping: Mapping = Mapping()
    on_conflict: OnConflict | None = None
    select: ConfiguredPart = ConfiguredPart()
    image_map: str | None = None
    """Where the list of images and their new names goes."""
