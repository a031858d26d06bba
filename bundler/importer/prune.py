"""Tags that a delta says are gone, deleted at the target: only when asked for, and only so many.

What was taken by digest alone is left: nothing names it, and the registry's own garbage collection
knows better what else needs it. Source: distribution-spec 1.1, "Content Management".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from bundler.attachments.referrers import is_attachment_tag
from bundler.bundle.inventory import Inventory, RepositoryEntry
from bundler.deltas.departed import departures_of
from bundler.errors import BundlerError, CollectedError, TargetRefusedError, UsageError
from bundler.importer.destination import Destination
from bundler.importer.filtered_indexes import filtered_from
from bundler.ledger.ledger import ImportRecord
from bundler.ledger.rollback_file import MovedTag
from bundler.mapping import map_all
from bundler.oci import Digest, RepositoryName, Tag
from bundler.registry.target_repository import TargetRepository
from bundler.reporting.json_report import Report, RepositoryReport, TagReport, failure
from bundler.selection.choose import EVERY_TAG, choose
from bundler.selection.rules import Rules
from bundler.session import Session


class Gone(NamedTuple):
    """One tag to delete: `repository` is the target's name."""

    source: RepositoryName
    repository: RepositoryName
    tag: Tag
    digest: Digest
    """The digest that it pointed to in the base: if it points elsewhere, somebody else set it."""

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


class Pruning(NamedTuple):
    """The limits on what may be deleted after an import."""

    most: int
    """Tags at most; what is attached to them is not counted."""
    deselected: bool = False
    """Also tags that exist at the source, and are no longer selected."""


class Departures(NamedTuple):
    """Tags that bundles say left the source, or the selection."""

    entries: tuple[RepositoryEntry, ...]
    may_be_old: bool = False
    """True where the target may have deleted them long ago: then it is asked which of them it has."""

    @classmethod
    def of(cls, *bundles: Inventory) -> Departures:
        """Return what bundles that are imported one after the other say together.

        A full bundle that begins a chain anew says all that departed in the chain before it.
        """
        entries = departures_of(inventory.repositories for inventory in bundles)
        return cls(entries, any(inventory.kind == "full" and inventory.follows for inventory in bundles))

    def gone(self, destination: Destination, session: Session, *, deselected: bool) -> tuple[Gone, ...]:
        """Return the tags of the part that is imported, with their names at the target.

        Raises: UsageError for those that have no allowed name there.
        """
        departed = {
            entry.name: tags
            for entry in self.entries
            if destination.part.has(entry.name)
            if (tags := _departed(entry, destination.part.rules, deselected=deselected))
        }
        names = map_all(departed, destination.prefix, destination.mapping)
        gone = tuple(
            Gone(source, names[source], tag, digest)
            for source, tags in departed.items()
            for tag, digest in tags.items()
        )
        return still_there(gone, session) if self.may_be_old else gone


def to_prune(
    departures: Departures, destination: Destination, pruning: Pruning | None, session: Session
) -> tuple[Gone, ...]:
    """Return the tags to delete, of the part that is imported.

    Raises: UsageError if they are more than allowed, or have no allowed name at the target.
    """
    if pruning is None:
        return ()
    gone = departures.gone(destination, session, deselected=pruning.deselected)
    number = sum(not is_attachment_tag(tag.tag) for tag in gone)
    if number > pruning.most:
        count = f"{number} tags are gone, the first {gone[0]}"
        cause = f"the bundle says that {count}, but only {pruning.most} may be deleted"
        raise UsageError("--prune", cause, "see `timoni-bundler inspect`, then allow more, or remove --prune")
    return gone


def still_there(gone: tuple[Gone, ...], session: Session) -> tuple[Gone, ...]:
    """Return those tags that the target has, or of which it does not say."""
    now = dict(session.each("departed tags", gone, lambda tag: digest_of(tag, session)))
    return tuple(tag for tag in gone if now[tag] is not None)


def with_departed(
    report: Report, departures: Departures, destination: Destination, session: Session
) -> Report:
    """Return the report with the numbers of tags that bundles say left, whether deleted or not."""
    part = destination.part
    entries = [entry for entry in departures.entries if part.has(entry.name)]
    if departures.may_be_old:
        named = tuple(entry for entry in entries if _has_place(entry, destination))
        gone = departures._replace(entries=named).gone(destination, session, deselected=True)
        present = {(tag.source, tag.tag) for tag in gone}
        entries = [_only(entry, present) for entry in entries]
    removed, deselected = (
        sum(not is_attachment_tag(tag) for names in each for tag in _chosen(names, part.rules))
        for each in ([entry.removed for entry in entries], [entry.deselected for entry in entries])
    )
    return replace(report, gone_at_source=removed, no_longer_selected=deselected)


def _has_place(entry: RepositoryEntry, destination: Destination) -> bool:
    """Return whether anything departed from a repository that has an allowed name at the target."""
    if not entry.removed and not entry.deselected:
        return False
    with suppress(UsageError, CollectedError):
        return bool(map_all([entry.name], destination.prefix, destination.mapping))
    return False


def _only(entry: RepositoryEntry, present: Collection[tuple[RepositoryName, Tag]]) -> RepositoryEntry:
    removed, deselected = (
        {name: digest for name, digest in names.items() if (entry.name, name) in present}
        for names in (entry.removed, entry.deselected)
    )
    return replace(entry, removed=removed, deselected=deselected)


def _departed(entry: RepositoryEntry, rules: Rules, *, deselected: bool) -> dict[Tag, Digest]:
    return _chosen({**entry.removed, **(entry.deselected if deselected else {})}, rules)


def _chosen(every: Mapping[Tag | Digest, Digest], rules: Rules) -> dict[Tag, Digest]:
    """Return the tags that the rules choose; attachments of a part are not known, and stay."""
    tags = {name: digest for name, digest in every.items() if isinstance(name, Tag)}
    if rules == EVERY_TAG:
        return tags
    chosen = choose([tag for tag in tags if not is_attachment_tag(tag)], rules).taken
    return {Tag(tag): tags[Tag(tag)] for tag in chosen}


def prune_tags(
    report: Report,
    gone: tuple[Gone, ...],
    session: Session,
    record: ImportRecord,
) -> Report:
    """Delete tags after an import, and report it; delete nothing if anything failed before.

    A tag that points to something else than the base had is kept.
    """
    if not gone or report.exit_code:
        return report
    now = dict(session.each("tags to delete", gone, lambda tag: digest_of(tag, session)))
    failed = {tag: error for tag, error in now.items() if isinstance(error, BundlerError)}
    others = [tag for tag, digest in now.items() if tag not in failed and digest not in (None, tag.digest)]
    filtered = dict(session.each("filtered indexes", others, lambda tag: _is_filtered(tag, session)))
    unmoved = {
        tag: digest
        for tag, digest in now.items()
        if isinstance(digest, Digest) and (digest == tag.digest or filtered.get(tag) is True)
    }
    if unmoved:
        record.moves([MovedTag(tag.repository, tag.tag, digest, None) for tag, digest in unmoved.items()])
    results: dict[Gone, BundlerError | None] = {**failed, **_prune(unmoved, session)}
    reports = {tag: _kept(tag, digest) for tag, digest in now.items() if not isinstance(digest, BundlerError)}
    reports |= {
        tag: TagReport(tag.tag, "failed", None, error.cause) if error else TagReport(tag.tag, "removed")
        for tag, error in results.items()
    }
    return replace(
        _with_tags(report, reports),
        failures=tuple(failure(error, str(tag)) for tag, error in results.items() if error),
        traffic=session.registries.traffic.report(),
        unchanged=report.unchanged and not results,
    )


def _kept(gone: Gone, now: Digest | None) -> TagReport:
    """Return the report on a tag that is not deleted."""
    if now is None:
        return TagReport(gone.tag, "absent", None, "it is not there")
    return TagReport(gone.tag, "skipped", gone.digest, f"kept: somebody else set it to {now}", now)


def with_planned(report: Report, gone: tuple[Gone, ...]) -> Report:
    """Return the report of a dry run, and what would be deleted."""
    return _with_tags(report, {tag: TagReport(tag.tag, "planned", None, "would be deleted") for tag in gone})


def _with_tags(report: Report, reports: Mapping[Gone, TagReport]) -> Report:
    entries = {entry.name: entry for entry in report.repositories}
    for departed, tag_report in reports.items():
        entry = entries.get(departed.repository, RepositoryReport(departed.repository, (), departed.source))
        entries[departed.repository] = replace(entry, tags=(*entry.tags, tag_report))
    return replace(report, repositories=tuple(entries.values()))


def _is_filtered(departed: Gone, session: Session) -> bool:
    """Return whether a tag has an index that an import filtered from the one that the base has."""
    manifest = session.registries.target(departed.repository).manifest_at(departed.tag)
    return manifest is not None and filtered_from(manifest) == departed.digest


def digest_of(departed: Gone, session: Session) -> Digest | None:
    """Return the digest that a tag to be deleted points to at the target; None if it is not there."""
    return session.registries.target(departed.repository).digest_of(departed.tag)


def _prune(gone: Mapping[Gone, Digest], session: Session) -> dict[Gone, BundlerError | None]:
    """Delete them; the result is what kept one from being deleted."""
    # One repository after the other: whether a digest has other names changes as they go.
    homes = dict.fromkeys(departed.repository for departed in gone)
    results: dict[Gone, BundlerError | None] = {}

    def emptied(name: RepositoryName) -> list[tuple[Gone, BundlerError | None]]:
        of_repository = [departed for departed in gone if departed.repository == name]
        return [
            (departed, _deleted(departed, gone[departed], of_repository, session))
            for departed in of_repository
        ]

    for name, answer in session.each("deleting tags", homes, emptied):
        if isinstance(answer, BundlerError):
            results |= {departed: answer for departed in gone if departed.repository == name}
        else:
            results |= dict(answer)
    return results


def _deleted(
    departed: Gone, digest: Digest, of_repository: list[Gone], session: Session
) -> BundlerError | None:
    target = session.registries.target(departed.repository)
    try:
        if (now := target.digest_of(departed.tag)) != digest:
            cause = f"not deleted: somebody else has just set it to {now}, it had {digest}"
            return TargetRefusedError(str(departed), cause, "find out who sets it") if now else None
        if target.delete(departed.tag):
            return None
        # Registries of the older kind delete by digest alone, and with it every tag that it has.
        if other := next(_others(departed, digest, of_repository, session, target), None):
            cause = f"the target deletes by digest alone, and {other} needs {digest} too"
            return TargetRefusedError(str(departed), cause, "delete it with the registry's own tools")
        if not target.delete(digest):
            cause = "the target does not delete manifests"
            return TargetRefusedError(
                str(departed), cause, "allow deletion at the registry, or remove --prune"
            )
    except BundlerError as error:
        return error
    return None


def _others(
    departed: Gone, digest: str, of_repository: list[Gone], session: Session, target: TargetRepository
) -> Iterator[str]:
    """Yield the tags that stay, and need this digest themselves or in their index."""
    going = {gone.tag for gone in of_repository}
    for tag in session.registries.source(departed.repository).tags().tags:
        manifest = None if tag in going else target.manifest_at(tag)
        if manifest and digest in (manifest.blob.digest, *(child.digest for child in manifest.children)):
            yield tag
