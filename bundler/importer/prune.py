"""Tags that a delta says are gone, deleted at the target: only when asked for, and only so many.

What was taken by digest alone is left: nothing names it, and the registry's own garbage collection
knows better what else needs it. Source: distribution-spec 1.1, "Content Management".
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from bundler.bundle.inventory import Inventory
from bundler.errors import BundlerError, TargetRefusedError, UsageError
from bundler.importer.destination import Destination
from bundler.ledger.ledger import ImportRecord
from bundler.ledger.rollback_file import MovedTag
from bundler.mapping import map_all
from bundler.oci.content import Digest
from bundler.oci.reference import RepositoryName, Tag
from bundler.registry.registries import Registries
from bundler.registry.target_repository import TargetRepository
from bundler.reporting.json_report import Report, RepositoryReport, TagReport, failure
from bundler.session import Session


class Gone(NamedTuple):
    """One tag to delete: `repository` is the target's name."""

    source: RepositoryName
    repository: RepositoryName
    tag: Tag

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


def to_prune(inventory: Inventory, destination: Destination, most: int | None) -> tuple[Gone, ...]:
    """The tags to delete; none without a number. Raises UsageError if they are more than `most`."""
    if most is None:
        return ()
    removed = {
        entry.name: [name for name in entry.removed if isinstance(name, Tag)]
        for entry in inventory.repositories
        if entry.removed
    }
    names = map_all(removed, destination.prefix, destination.mapping)
    gone = tuple(Gone(source, names[source], tag) for source, tags in removed.items() for tag in tags)
    if len(gone) > most:
        count = f"{len(gone)} tags are gone, the first {gone[0]}"
        cause = f"the bundle says that {count}, and {most} may be deleted"
        raise UsageError("--prune", cause, "see `timoni-bundler inspect`, and allow more, or leave it out")
    return gone


def prune_tags(
    report: Report,
    gone: tuple[Gone, ...],
    session: Session,
    record: ImportRecord,
) -> Report:
    """The report of an import, and of what was deleted after it; nothing is, if anything failed before."""
    if not gone or report.exit_code:
        return report
    registries = session.registries
    asked = dict(session.each("tags to delete", gone, lambda one: _digest_of(one, registries)))
    there = {one: digest for one, digest in asked.items() if isinstance(digest, str)}
    if there:
        record.moves([MovedTag(one.repository, one.tag, digest, None) for one, digest in there.items()])
    kept = {one: error for one, error in asked.items() if isinstance(error, BundlerError)}
    absent = dict.fromkeys(one for one, digest in asked.items() if digest is None)
    found = {**absent, **kept, **_prune(there, session)}
    told = {
        one: TagReport(one.tag, "failed", None, error.cause) if error else TagReport(one.tag, "removed")
        for one, error in found.items()
    }
    return replace(
        _with_tags(report, told),
        failures=tuple(failure(error, str(one)) for one, error in found.items() if error),
        traffic=registries.traffic.report(),
        unchanged=False,
    )


def with_planned(report: Report, gone: tuple[Gone, ...]) -> Report:
    """The report of a dry run, and what would be deleted."""
    return _with_tags(report, {one: TagReport(one.tag, "planned", None, "would be deleted") for one in gone})


def _with_tags(report: Report, told: Mapping[Gone, TagReport]) -> Report:
    known = {entry.name: entry for entry in report.repositories}
    for one, tag in told.items():
        entry = known.get(one.repository, RepositoryReport(one.repository, (), one.source))
        known[one.repository] = replace(entry, tags=(*entry.tags, tag))
    return replace(report, repositories=tuple(known.values()))


def _digest_of(one: Gone, registries: Registries) -> Digest | None:
    return registries.target(one.repository).digest_of(one.tag)


def _prune(gone: Mapping[Gone, Digest], session: Session) -> dict[Gone, BundlerError | None]:
    """Delete them; the result is what kept one from being deleted."""
    # One repository after the other: whether a digest has other names changes as they go.
    homes = dict.fromkeys(one.repository for one in gone)
    found: dict[Gone, BundlerError | None] = {}

    def emptied(name: RepositoryName) -> list[tuple[Gone, BundlerError | None]]:
        own = [one for one in gone if one.repository == name]
        return [(one, _deleted(one, gone[one], own, session.registries)) for one in own]

    for name, answer in session.each("deleting tags", homes, emptied):
        if isinstance(answer, BundlerError):
            found |= {one: answer for one in gone if one.repository == name}
        else:
            found |= dict(answer)
    return found


def _deleted(one: Gone, digest: Digest, own: list[Gone], registries: Registries) -> BundlerError | None:
    target = registries.target(one.repository)
    try:
        if target.delete(one.tag):
            return None
        # Registries of the older kind delete by digest alone, and with it every tag that it has.
        if other := next(_others(one, digest, own, registries, target), None):
            cause = f"the target deletes by digest alone, and {other} needs {digest} too"
            return TargetRefusedError(str(one), cause, "delete it by the registry's own means")
        if not target.delete(digest):
            cause = "the target does not delete manifests"
            return TargetRefusedError(str(one), cause, "allow it there, or leave --prune out")
    except BundlerError as error:
        return error
    return None


def _others(
    one: Gone, digest: str, own: list[Gone], registries: Registries, target: TargetRepository
) -> Iterator[str]:
    """The tags that stay, and need this digest themselves or in their index."""
    going = {gone.tag for gone in own}
    for tag in registries.source(one.repository).tags().tags:
        manifest = None if tag in going else target.manifest_at(tag)
        if manifest and digest in (manifest.blob.digest, *(child.digest for child in manifest.children)):
            yield tag
