"""An export's report, as it comes together while the flow runs."""

from __future__ import annotations

from collections.abc import Mapping

from bundler.about import VERSION
from bundler.bundle.inventory import Inventory, Root, roots_of
from bundler.errors import BundlerError, IntegrityError
from bundler.exporter.fetch.fetch_all import Fetched
from bundler.exporter.fetch.fetch_plan import ExportPlan, incomplete
from bundler.exporter.output.finish import Finished
from bundler.exporter.resolve.resolution import Resolution
from bundler.oci.content import Descriptor
from bundler.oci.reference import RepositoryName
from bundler.reporting.json_report import (
    BlobCounts,
    BundleReport,
    Failure,
    Phases,
    Report,
    RepositoryReport,
    SignedReport,
    Status,
    TagReport,
)
from bundler.selection.sources import Selection
from bundler.session import Session


class ExportRun(Phases):
    """Durations, and the ways in which an export can end."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.registries.settings.hosts.clock)
        self._traffic = session.registries.traffic
        self.signed: tuple[SignedReport, ...] = ()
        """Who signed modules, where that was asked."""

    def drop_incomplete(self, found: Fetched) -> None:
        """Take out the roots that need a blob which could not be had: a bundle never names what it lacks."""
        pinned, missing = found.pinned, found.missing
        lacking = incomplete(pinned.roots, pinned.manifests, missing.__contains__)
        pinned.drop({root: missing[blob] for root, blob in lacking.items()})

    def check_locked(self, selection: Selection, pinned: Resolution) -> None:
        """Raise what failed where a lock file asks for all of it or nothing."""
        failures = [*pinned.failures, *(item for _, item in pinned.failed)]
        if selection.locked and failures:
            first = failures[0]
            more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
            cause = f"what the lock file pins can't be had{more}: {first.cause}"
            raise IntegrityError(first.item, cause, first.next_step)

    def has_nothing(self, selection: Selection, pinned: Resolution) -> bool:
        """Whether there is no bundle to write: a shard without repositories is one, so none is missed."""
        failed = pinned.failures or pinned.failed
        return not pinned.roots and (selection.shard is None or bool(failed))

    def nothing(self, pinned: Resolution) -> Report:
        """Nothing could be exported, and nothing was written."""
        return self._report(pinned, None)

    def unchanged(self, pinned: Resolution, there: Finished) -> Report:
        """The output holds exactly this already, or the base does."""
        return self._report(
            pinned, there.inventory, bundle=there.bundle, unchanged=True, removed=there.removed
        )

    def planned(self, pinned: Resolution, inventory: Inventory, plan: ExportPlan) -> Report:
        """A dry run."""
        return self._report(pinned, inventory, blobs=_counts(plan, {}), status="planned")

    def done(self, found: Fetched, delivered: Finished) -> Report:
        """A bundle was written."""
        return self._report(
            found.pinned,
            delivered.inventory,
            bundle=delivered.bundle,
            blobs=_counts(found.plan, found.missing),
            removed=delivered.removed,
        )

    def _report(
        self,
        pinned: Resolution,
        inventory: Inventory | None,
        *,
        bundle: BundleReport | None = None,
        blobs: BlobCounts | None = None,
        unchanged: bool = False,
        removed: tuple[str, ...] = (),
        status: Status = "exported",
    ) -> Report:
        return Report(
            command="export",
            tool_version=VERSION,
            repositories=_repositories(pinned, inventory, status),
            failures=(*pinned.failures, *(item for _, item in pinned.failed)),
            bundle=bundle,
            blobs=blobs or BlobCounts(),
            traffic=self._traffic.report(),
            seconds=self.seconds,
            warnings=tuple(pinned.warnings),
            images=tuple(pinned.images),
            drifted=tuple(pinned.drifted),
            unchanged=unchanged,
            removed=removed,
            dry_run=status == "planned",
            signed=self.signed,
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


def _repositories(
    pinned: Resolution, inventory: Inventory | None, status: Status
) -> tuple[RepositoryReport, ...]:
    tags: dict[RepositoryName, list[TagReport]] = {}
    carried = set(roots_of(inventory)) if inventory else set()
    reasons = {(name, item.tag): item.reason for name, choice in pinned.decided for item in choice.decisions}
    for root in pinned.roots:
        reason = reasons.get((root.repository, root.tag), "") if root.tag else ""
        became: Status = status if root in carried else "present"
        taken = TagReport(_name(root), became, root.digest, reason, size=pinned.size_of(root))
        tags.setdefault(root.repository, []).append(taken)
    for root, item in pinned.failed:
        tags.setdefault(root.repository, []).append(
            TagReport(_name(root), "failed", root.digest or None, _why(item))
        )
    for entry in inventory.repositories if inventory else ():
        own = tags.setdefault(entry.name, [])
        own += [TagReport(gone, "removed") for gone in entry.removed]
    for name, choice in pinned.decided:
        own = tags.setdefault(name, [])
        own += [TagReport(left.tag, "skipped", reason=left.reason) for left in choice.left_out]
    return tuple(RepositoryReport(name, tuple(own)) for name, own in sorted(tags.items()))


def _name(root: Root) -> str:
    return root.tag or root.digest


def _why(item: Failure) -> str:
    return item.cause
