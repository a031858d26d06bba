"""What an import moves and deletes, written down before it does; and taken back.

Taking back deletes nothing: a tag that did not exist before stays, and is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from bundler.about import VERSION
from bundler.errors import (
    BundlerError,
    IntegrityError,
    NotFoundError,
    TargetRefusedError,
)
from bundler.importer.plan import Step
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import strict_json
from bundler.oci.content import Digest
from bundler.oci.document import checked, read_document
from bundler.oci.reference import RepositoryName, Tag
from bundler.progress import SILENCE, Progress, each_shown
from bundler.registry.registries import Registries
from bundler.report import Report, RepositoryReport, TagReport, failure
from bundler.workers import DEFAULT_JOBS


@dataclass(frozen=True, slots=True)
class Moved:
    """One tag that an import moves or deletes."""

    repository: RepositoryName
    """At the target."""
    tag: Tag
    old: Digest | None
    """What it pointed to; null if it was not there."""
    new: Digest | None
    """What it points to then; null if it is deleted."""

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True, slots=True)
class Rollback:
    """The way back from one import."""

    rollback_version: Literal[1]
    bundle: Digest
    """Which was imported."""
    target: str
    """Where the import went: the registry, and the path below which everything stands."""
    moved: tuple[Moved, ...]
    done: bool = False
    """Whether the import came to its end. Before that, its next run adds to this file."""

    def is_of(self, bundle: Digest, target: str) -> bool:
        """Whether it is that of the same import."""
        return (self.bundle, self.target) == (bundle, target)

    def joined(self, moved: Iterable[Moved]) -> Rollback:
        """With what the next run moves: what this one had moved already, that one finds moved."""
        every = {str(one): one for one in (*self.moved, *moved)}
        return replace(self, moved=tuple(every.values()), done=False)


BeforeTags = Callable[[Sequence[Moved]], None]
"""Called with what is to be moved or deleted, when nothing is left to do but that."""


def moves_of(steps: Iterable[Step]) -> tuple[Moved, ...]:
    """What these steps do to tags."""
    return tuple(
        Moved(step.root.repository, step.root.tag, step.previous, step.manifest.blob.digest)
        for step in steps
        if step.root.tag
    )


def encode_rollback(rollback: Rollback) -> bytes:
    """The bytes of the file."""
    moved = [
        {"repository": one.repository, "tag": one.tag, "old": one.old, "new": one.new}
        for one in rollback.moved
    ]
    return strict_json.pretty(
        {
            "rollbackVersion": rollback.rollback_version,
            "bundle": rollback.bundle,
            "target": rollback.target,
            "done": rollback.done,
            "moved": moved,
        }
    )


def decode_rollback(data: bytes, name: str, limits: Limits = DEFAULT_LIMITS) -> Rollback:
    """Read one. Raises ContentError that names the file."""
    document = checked(data, item=name, limits=limits)
    return read_document(Rollback, document, parts=(Moved,), what="no rollback file: ")


class _Left(NamedTuple):
    """A tag that is left as it is, and why."""

    reason: str


class _Back(NamedTuple):
    """A tag that is pointed back, and what it pointed to before that."""

    previous: Digest | None


def roll_back(
    rollback: Rollback,
    registries: Registries,
    *,
    overwrite: bool = False,
    may_write: bool = True,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = SILENCE,
) -> Report:
    """Point every tag back to what it pointed to, by the manifests that the target still has.

    A tag that was moved since is a failure, unless `overwrite`. One that was not there before stays.
    Without `may_write` the target is only asked, and the report says what would be done.
    """
    found = dict(
        each_shown(
            progress,
            "tags back",
            rollback.moved,
            lambda moved: _restored(moved, registries, overwrite=overwrite, may_write=may_write),
            jobs=jobs,
        )
    )
    tags: dict[RepositoryName, list[TagReport]] = {}
    for moved in rollback.moved:
        tags.setdefault(moved.repository, []).append(_told(moved, found[moved], may_write=may_write))
    failures = tuple(
        failure(error, str(moved)) for moved, error in found.items() if isinstance(error, BundlerError)
    )
    repositories = tuple(RepositoryReport(name, tuple(own)) for name, own in sorted(tags.items()))
    done = any(tag.status == "moved" for entry in repositories for tag in entry.tags)
    return Report(
        command="import",
        tool_version=VERSION,
        repositories=repositories,
        failures=failures,
        traffic=registries.traffic.report(),
        unchanged=not done and not failures and may_write,
        dry_run=not may_write,
    )


def _restored(moved: Moved, registries: Registries, *, overwrite: bool, may_write: bool) -> _Left | _Back:
    target = registries.target(moved.repository)
    now = target.digest_of(moved.tag)
    if moved.old is None:
        return _Left("it was not there before; it is not deleted" if now else "it is not there")
    if now == moved.old:
        return _Left("")
    if now not in (moved.new, None) and not overwrite:
        deed = f"moved it to {moved.new}" if moved.new else "deleted it"
        cause = f"it points to {now}, and the import had {deed}"
        raise TargetRefusedError(str(moved), cause, "--on-conflict overwrite moves it all the same")
    manifest = target.manifest_at(moved.old)
    if manifest is None:
        cause = f"the target does not have {moved.old} any more"
        raise NotFoundError(str(moved), cause, "import a bundle that holds it")
    if not may_write:
        return _Back(now)
    target.put_manifest(manifest, moved.tag)
    if (seen := target.digest_of(moved.tag)) != moved.old:
        cause = f"read back, it points to {seen or 'nothing'} instead of {moved.old}"
        raise IntegrityError(str(moved), cause, "roll back again")
    return _Back(now)


def _told(moved: Moved, result: _Left | _Back | BundlerError, *, may_write: bool) -> TagReport:
    if isinstance(result, BundlerError):
        return TagReport(moved.tag, "failed", moved.old, result.cause)
    if isinstance(result, _Back) and not may_write:
        return TagReport(moved.tag, "planned", moved.old, "would move back", result.previous)
    if isinstance(result, _Back):
        return TagReport(moved.tag, "moved", moved.old, previous=result.previous)
    if result.reason:
        return TagReport(moved.tag, "skipped", moved.new, result.reason)
    return TagReport(moved.tag, "present", moved.old)
