"""An export's report, as it comes together while the flow runs."""

from __future__ import annotations

from collections.abc import Mapping

from bundler.about import VERSION
from bundler.bundle.inventory import Root
from bundler.errors import BundlerError
from bundler.exporter.plan import ExportPlan, incomplete
from bundler.exporter.select import Pinned
from bundler.exporter.workplace import Workplace
from bundler.oci.content import Descriptor
from bundler.oci.reference import RepositoryName
from bundler.registry.registries import Registries
from bundler.report import (
    BlobCounts,
    BundleReport,
    Failure,
    Phases,
    Report,
    RepositoryReport,
    Status,
    TagReport,
    TrafficReport,
    failure,
)


class ExportRun(Phases):
    """Durations, and the ways in which an export can end."""

    def __init__(self, registries: Registries) -> None:
        super().__init__(registries.settings.hosts.clock)
        self._registries = registries

    def drop_incomplete(self, pinned: Pinned, missing: Mapping[Descriptor, BundlerError]) -> None:
        """Take out the roots that need a blob which could not be had: a bundle never names what it lacks."""
        lacking = incomplete(pinned.roots, pinned.manifests, missing.__contains__)
        pinned.failed += [(root, failure(missing[blob], str(root))) for root, blob in lacking.items()]
        pinned.roots = [root for root in pinned.roots if root not in lacking]

    def nothing(self, pinned: Pinned) -> Report:
        """Nothing could be exported, and nothing was written."""
        return self._report(pinned)

    def unchanged(self, pinned: Pinned, bundle: BundleReport, place: Workplace) -> Report:
        """The output holds exactly this already."""
        place.finished = not pinned.failed and not pinned.failures
        return self._report(pinned, bundle=bundle, unchanged=True)

    def planned(self, pinned: Pinned, plan: ExportPlan) -> Report:
        """A dry run."""
        return self._report(pinned, blobs=_counts(plan, {}), status="planned")

    def done(
        self,
        pinned: Pinned,
        plan: ExportPlan,
        missing: Mapping[Descriptor, BundlerError],
        bundle: BundleReport,
        place: Workplace,
    ) -> Report:
        """A bundle was written."""
        # With failures, the same command will be run again, and needs only what is missing.
        place.finished = not pinned.failed and not pinned.failures
        return self._report(pinned, bundle=bundle, blobs=_counts(plan, missing))

    def _report(
        self,
        pinned: Pinned,
        *,
        bundle: BundleReport | None = None,
        blobs: BlobCounts | None = None,
        unchanged: bool = False,
        status: Status = "exported",
    ) -> Report:
        traffic = self._registries.traffic
        return Report(
            command="export",
            tool_version=VERSION,
            repositories=_repositories(pinned, status),
            failures=(*pinned.failures, *(item for _, item in pinned.failed)),
            bundle=bundle,
            blobs=blobs or BlobCounts(),
            traffic=TrafficReport(traffic.requests, traffic.retries, traffic.received, traffic.sent),
            seconds=self.seconds,
            warnings=tuple(pinned.warnings),
            unchanged=unchanged,
            dry_run=status == "planned",
        )


def _counts(plan: ExportPlan, missing: Mapping[Descriptor, BundlerError]) -> BlobCounts:
    fetched = [task.blob for task in plan.tasks if task.blob not in missing]
    return BlobCounts(
        moved=len(fetched),
        moved_bytes=sum(blob.size for blob in fetched),
        reused=len(plan.present),
        reused_bytes=sum(blob.size for blob in plan.present),
        failed=len(missing),
    )


def _repositories(pinned: Pinned, status: Status) -> tuple[RepositoryReport, ...]:
    tags: dict[RepositoryName, list[TagReport]] = {}
    for root in pinned.roots:
        tags.setdefault(root.repository, []).append(TagReport(_name(root), status, root.digest))
    for root, item in pinned.failed:
        tags.setdefault(root.repository, []).append(
            TagReport(_name(root), "failed", root.digest or None, _why(item))
        )
    for name, skipped in pinned.skipped:
        tags.setdefault(name, []).append(TagReport(skipped.tag, "skipped", reason=skipped.reason))
    return tuple(RepositoryReport(name, tuple(own)) for name, own in sorted(tags.items()))


def _name(root: Root) -> str:
    return root.tag or root.digest


def _why(item: Failure) -> str:
    return item.cause
