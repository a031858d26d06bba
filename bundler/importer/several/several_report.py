"""The report of an import of several bundles, made of the reports of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from bundler.about import VERSION
from bundler.errors import BundlerError, NotFoundError
from bundler.importer.several.find_bundles import FoundBundles, told_of
from bundler.importer.several.import_order import FoundBundle, Gap, ImportOrder
from bundler.reporting.bundle_outcome import BundleOutcome, BundleStatus
from bundler.reporting.json_report import (
    BlobCounts,
    Failure,
    Report,
    RepositoryReport,
    TagReport,
    failure,
    failures_of,
)
from bundler.session import Session


class Carried(NamedTuple):
    """One bundle that was imported, or not."""

    bundle: FoundBundle
    report: Report | None = None
    error: BundlerError | None = None

    @property
    def failed(self) -> bool:
        """Return True if anything of it failed."""
        return self.error is not None or bool(self.report and self.report.exit_code)


def joined_report(
    bundles: FoundBundles, order: ImportOrder, done: Sequence[Carried], session: Session, *, dry_run: bool
) -> Report:
    """Return one report of all."""
    reports = [item.report for item in done if item.report]
    failures = [
        *(failure(error) for error in bundles.failures),
        *(part for report in reports for part in report.failures),
        *(part for item in done if item.error for part in _failures(item)),
        *(_gap_failure(gap, order) for gap in order.gaps),
    ]
    return Report(
        command="import",
        tool_version=VERSION,
        repositories=_joined(reports),
        failures=tuple(failures),
        bundle=reports[-1].bundle if reports else None,
        blobs=_sum([report.blobs for report in reports]),
        traffic=session.registries.traffic.report(),
        seconds=_seconds(reports),
        warnings=(
            *told_of(bundles.others),
            *order.warnings,
            *(line for report in reports for line in report.warnings),
        ),
        drifted=tuple(tag for report in reports for tag in report.drifted),
        unchanged=not failures and all(report.unchanged for report in reports),
        # Each tells of itself and of those before it.
        gone_at_source=reports[-1].gone_at_source if reports else 0,
        no_longer_selected=reports[-1].no_longer_selected if reports else 0,
        dry_run=dry_run,
        signed=tuple(dict.fromkeys(item for report in reports for item in report.signed)),
        bundles=tuple(_outcomes(order, done, dry_run=dry_run)),
    )


def _failures(item: Carried) -> Iterator[Failure]:
    assert item.error is not None
    for part in failures_of(item.error):
        named = item.bundle.name in part.item
        yield part if named else replace(part, item=f"{item.bundle.name}: {part.item}")


def _gap_failure(gap: Gap, order: ImportOrder) -> Failure:
    """Return what is missing, and what could fill the gap."""
    have = next((bundle for bundle in reversed(order.lineage)), None)
    full = "a merged or later full bundle"
    next_step = f"carry that file or {full}"
    if have:
        next_step = f"carry that file, {full}, or a new export with --base {have.id}"
    return failure(NotFoundError(gap.bundle.name, f"not imported: {gap.cause}", next_step))


def _outcomes(order: ImportOrder, done: Sequence[Carried], *, dry_run: bool) -> Iterator[BundleOutcome]:
    by_id = {item.bundle.id: item for item in done}
    failed = next((item.bundle for item in done if item.failed), None)
    for item in order.bundles:
        bundle = item.bundle
        if item.action == "skip":
            yield _outcome(bundle, "skipped", item.reason)
        elif bundle.id not in by_id:
            yield _outcome(bundle, "skipped", f"{failed.name} failed" if failed else "")
        elif by_id[bundle.id].failed:
            yield _outcome(bundle, "failed", "")
        else:
            yield _outcome(bundle, "planned" if dry_run else "imported", "")


def _outcome(bundle: FoundBundle, status: BundleStatus, reason: str) -> BundleOutcome:
    inventory, statement = bundle.inventory, bundle.statement
    tags = sum(len(entry.tags) for entry in inventory.repositories)
    job, number = (statement.job, statement.sequence) if statement else (None, None)
    return BundleOutcome(str(bundle.path), bundle.id, inventory.kind, status, reason, tags, job, number)


def _joined(reports: Sequence[Report]) -> tuple[RepositoryReport, ...]:
    """Return the repositories of all reports; what a later one says of a tag holds."""
    tags: dict[str, dict[str, TagReport]] = {}
    sources: dict[str, str | None] = {}
    for report in reports:
        for entry in report.repositories:
            sources[entry.name] = entry.source or sources.get(entry.name)
            tags.setdefault(entry.name, {}).update({tag.reference: tag for tag in entry.tags})
    return tuple(RepositoryReport(name, tuple(tags[name].values()), sources[name]) for name in sorted(tags))


def _sum(counts: Sequence[BlobCounts]) -> BlobCounts:
    return BlobCounts(
        sum(count.moved for count in counts),
        sum(count.moved_bytes for count in counts),
        sum(count.reused for count in counts),
        sum(count.reused_bytes for count in counts),
        sum(count.failed for count in counts),
    )


def _seconds(reports: Sequence[Report]) -> dict[str, float]:
    total: dict[str, float] = {}
    for report in reports:
        for phase, seconds in report.seconds.items():
            total[phase] = total.get(phase, 0.0) + seconds
    return total
