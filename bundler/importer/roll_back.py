"""The moves and deletions of an import, written down before they happen, and taken back.

Taking back deletes nothing: a tag that did not exist before stays, and is told.
"""

from collections.abc import Iterable
from typing import NamedTuple

from bundler.about import VERSION
from bundler.errors import BundlerError, IntegrityError, NotFoundError, TargetRefusedError
from bundler.importer.import_plan import PlannedTag
from bundler.ledger.ledger import Ledger
from bundler.ledger.rollback_file import MovedTag, RollbackFile
from bundler.oci import Digest, RepositoryName
from bundler.reporting.json_report import Report, RepositoryReport, TagReport, failure
from bundler.session import Session


def moves_of(steps: Iterable[PlannedTag]) -> tuple[MovedTag, ...]:
    """Return the moves of tags that these steps make."""
    return tuple(
        MovedTag(step.root.repository, step.root.tag, step.previous, step.manifest.blob.digest)
        for step in steps
        if step.root.tag
    )


class _Left(NamedTuple):
    """A tag that is left as it is, and why."""

    reason: str


class _Back(NamedTuple):
    """A tag that is pointed back, and what it pointed to before that."""

    previous: Digest | None


def roll_back(
    rollback: RollbackFile,
    session: Session,
    ledger: Ledger,
    *,
    overwrite: bool = False,
    may_write: bool = True,
) -> Report:
    """Point every tag back to what it pointed to, by the manifests that the target still has.

    A tag that was moved since is a failure, unless `overwrite`. One that was not there before stays.
    Without `may_write` the target is only asked, and the report says what would be done.

    Raises, before anything moves: UsageError, ContentError, LocalError for a receipt that can't be corrected.
    """
    ledger.check_rollback(rollback)
    results = dict(
        session.each(
            "tags back",
            rollback.moved,
            lambda moved: _restored(moved, session, overwrite=overwrite, may_write=may_write),
        )
    )
    tags: dict[RepositoryName, list[TagReport]] = {}
    for moved in rollback.moved:
        tags.setdefault(moved.repository, []).append(_told(moved, results[moved], may_write=may_write))
    failures = tuple(
        failure(error, str(moved)) for moved, error in results.items() if isinstance(error, BundlerError)
    )
    repositories = tuple(RepositoryReport(name, tuple(reports)) for name, reports in sorted(tags.items()))
    done = any(tag.status == "moved" for entry in repositories for tag in entry.tags)
    report = Report(
        command="import",
        tool_version=VERSION,
        repositories=repositories,
        failures=failures,
        traffic=session.registries.traffic.report(),
        unchanged=not done and not failures and may_write,
        dry_run=not may_write,
    )
    if may_write:
        ledger.rolled_back(rollback, report, session)
    return report


def _restored(moved: MovedTag, session: Session, *, overwrite: bool, may_write: bool) -> _Left | _Back:
    target = session.registries.target(moved.repository)
    now = target.digest_of(moved.tag)
    if moved.old is None:
        return _Left("newer than this file" if now else "deleted since")
    if now == moved.old:
        return _Left("")
    if now not in (moved.new, None) and not overwrite:
        change = f"moved it to {moved.new}" if moved.new else "deleted it"
        cause = f"it points to {now}, but the import had {change}"
        raise TargetRefusedError(str(moved), cause, "use --on-conflict overwrite to move it anyway")
    manifest = target.manifest_at(moved.old)
    if manifest is None:
        cause = f"the target no longer has {moved.old}"
        raise NotFoundError(str(moved), cause, "import a bundle that has it")
    if not may_write:
        return _Back(now)
    target.put_manifest(manifest, moved.tag)
    if not target.shows(moved.tag, moved.old):
        seen = target.digest_of(moved.tag)
        cause = f"when read back, it points to {seen or 'nothing'} instead of {moved.old}"
        raise IntegrityError(str(moved), cause, "run the rollback again")
    return _Back(now)


def _told(moved: MovedTag, result: _Left | _Back | BundlerError, *, may_write: bool) -> TagReport:
    if isinstance(result, BundlerError):
        return TagReport(moved.tag, "failed", moved.old, result.cause)
    if isinstance(result, _Back) and not may_write:
        return TagReport(moved.tag, "planned", moved.old, "would move back", result.previous)
    if isinstance(result, _Back):
        return TagReport(moved.tag, "moved", moved.old, previous=result.previous)
    if result.reason:
        return TagReport(moved.tag, "skipped", moved.new, result.reason)
    return TagReport(moved.tag, "present", moved.old)
