"""Lists of a registry: its repositories, and the tags of one of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from bundler.errors import BundlerError, ContentError
from bundler.oci import RegistryName, RepositoryName, Tag
from bundler.oci.manifest import CREATED, VERSION
from bundler.reporting.json_report import Failure, exit_code_of, failure
from bundler.selection.semver import version_order
from bundler.session import Session

if TYPE_CHECKING:
    from bundler.registry.repository import Repository


@dataclass(frozen=True, slots=True)
class DescribedTag:
    """One tag of a repository; all but its name is null where only names are asked for."""

    tag: str
    digest: str | None = None
    media_type: str | None = None
    version: str | None = None
    """`org.opencontainers.image.version`."""
    created: str | None = None
    """`org.opencontainers.image.created`."""


@dataclass(frozen=True, slots=True)
class RepositoryTags:
    """The tags of one repository: versions by precedence, then other tags by name."""

    repository: str
    tags: tuple[DescribedTag, ...]
    failures: tuple[Failure, ...] = ()
    """Tags that could not be read."""

    @property
    def exit_code(self) -> int:
        """Return 0; the failures' own code if no tag could be read and they agree, else 8."""
        return exit_code_of(self.failures, done=bool(self.tags))


@dataclass(frozen=True, slots=True)
class RegistryCatalog:
    """The repositories that a registry lists."""

    registry: str
    repositories: tuple[str, ...]
    """Paths inside the registry, by name."""


def list_tags(name: RepositoryName, session: Session, *, digests: bool = False) -> RepositoryTags:
    """Return the tags of a repository, by one request per page of the list; with `digests`, one more per tag.

    What fails for single tags is in the result.

    Raises: NotFoundError for no such repository. AuthError, NetworkError, ContentError.
    """
    repository = session.registries.source(name)
    listed = repository.tags()
    failures = [_no_tag(name, text) for text in listed.invalid]
    tags = sorted(listed.tags, key=version_order)
    if not digests:
        return RepositoryTags(name, tuple(map(DescribedTag, tags)), tuple(failures))
    read: dict[Tag, DescribedTag] = {}
    for tag, result in session.each("tags", tags, partial(_read, repository)):
        if isinstance(result, BundlerError):
            failures.append(failure(result, f"{name}:{tag}"))
            if len(failures) > session.limits.failures:
                raise result
        else:
            read[tag] = result
    failures.sort(key=lambda problem: problem.item)
    return RepositoryTags(name, tuple(read[tag] for tag in tags if tag in read), tuple(failures))


def list_repositories(name: RegistryName, session: Session) -> RegistryCatalog:
    """Return the repositories of a registry. Raises NotFoundError where it has no catalog; AuthError."""
    return RegistryCatalog(name, tuple(name_listed.path for name_listed in session.registries.catalog(name)))


def _read(repository: Repository, tag: Tag) -> DescribedTag:
    manifest = repository.manifest(tag).manifest
    notes = manifest.annotations
    blob, version, created = manifest.blob, notes.get(VERSION), notes.get(CREATED)
    return DescribedTag(tag, blob.digest, blob.media_type, version, created)


def _no_tag(name: RepositoryName, text: str) -> Failure:
    return failure(ContentError(name, f"the registry lists {text!r}, which can't be a tag"))
