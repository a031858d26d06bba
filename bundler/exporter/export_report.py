"""The reports of an export, and the durations of its phases."""

from collections.abc import Mapping
from dataclasses import replace

from bundler.about import VERSION
from bundler.bundle.inventory import Root, roots_of
from bundler.errors import BundlerError
from bundler.exporter.export_content import ExportContent
from bundler.exporter.fetch.fetch_all import Fetched
from bundler.exporter.fetch.fetch_plan import ExportPlan
from bundler.exporter.output.finish import Finished
from bundler.oci import Descriptor, RepositoryName
from bundler.reporting import json_report
from bundler.reporting.bundle_outcome import CompactReport
from bundler.selection.sources import Selection
from bundler.session import Session


class ExportRun(json_report.Phases):
    """Durations of an export's phases, and the reports with which it can end."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.registries.settings.hosts.clock)
        self._traffic = session.registries.traffic

    def has_nothing(self, selection: Selection, content: ExportContent) -> bool:
        """Return whether there is no bundle to write: a shard without repositories is one."""
        return not content.resolution.chosen and (selection.shard is None or not content.findings.complete)

    def nothing(self, content: ExportContent, *, dry_run: bool = False) -> json_report.Report:
        """Report that nothing can be exported, and nothing was written."""
        return replace(self._report(content, "failed", carried=False), dry_run=dry_run)

    def unchanged(self, finished: Finished) -> json_report.Report:
        """Report that the output holds exactly this already, or that the base does."""
        return replace(self._finished(finished), unchanged=True)

    def planned_unchanged(self, planned: Finished) -> json_report.Report:
        """Report on a dry run that found everything in its place."""
        return replace(self._finished(planned, "present"), unchanged=True, dry_run=True)

    def planned(
        self, planned: Finished, plan: ExportPlan, compact: CompactReport | None
    ) -> json_report.Report:
        """Report on a dry run."""
        report = self._finished(planned, "planned")
        return replace(report, blobs=_counts(plan, {}), compact=compact, dry_run=True)

    def done(self, fetched: Fetched, finished: Finished) -> json_report.Report:
        """Report on a bundle that was written."""
        return replace(self._finished(finished), blobs=_counts(fetched.plan, fetched.missing))

    def _finished(self, finished: Finished, status: json_report.Status = "exported") -> json_report.Report:
        report = self._report(finished.content, status)
        return replace(report, bundle=finished.bundle, removed=finished.removed)

    def _report(
        self, content: ExportContent, status: json_report.Status, *, carried: bool = True
    ) -> json_report.Report:
        findings = content.findings
        return json_report.Report(
            command="export",
            tool_version=VERSION,
            repositories=_repositories(content, status, carried=carried),
            failures=findings.all_failures,
            traffic=self._traffic.report(),
            seconds=self.seconds,
            warnings=findings.warnings,
            images=findings.images,
            drifted=tuple(dict.fromkeys(findings.drifted)),
            signed=findings.signed,
        )


def _counts(plan: ExportPlan, missing: Mapping[Descriptor, BundlerError]) -> json_report.BlobCounts:
    fetched = [task.blob for task in plan.tasks if task.blob not in missing]
    return json_report.BlobCounts(
        moved=len(fetched),
        moved_bytes=sum(blob.size for blob in fetched),
        reused=len(plan.present),
        reused_bytes=sum(blob.size for blob in plan.present),
        failed=len(missing),
    )


def _repositories(
    content: ExportContent, status: json_report.Status, *, carried: bool
) -> tuple[json_report.RepositoryReport, ...]:
    tags: dict[RepositoryName, list[json_report.TagReport]] = {}
    resolution, findings = content.resolution, content.findings
    in_bundle = set(roots_of(content.inventory)) if carried else set()
    decided, roots = findings.decided(), dict[RepositoryName, list[Root]]()
    for root in resolution.roots:
        decision = decided.get(root.repository, {}).pop(_name(root), None)
        became: json_report.Status = status if root in in_bundle else "present"
        reason = decision.reason if decision else ""
        taken = json_report.TagReport(_name(root), became, root.digest, reason, size=resolution.size_of(root))
        tags.setdefault(root.repository, []).append(taken)
        roots.setdefault(root.repository, []).append(root)
    for root, item in findings.failed:
        failed = json_report.TagReport(_name(root), "failed", root.digest or None, item.cause)
        tags.setdefault(root.repository, []).append(failed)
    for entry in content.news if carried else ():
        departed = tags.setdefault(entry.name, [])
        departed += [
            json_report.TagReport(str(gone), "removed", digest) for gone, digest in entry.removed.items()
        ]
        for reference, digest in entry.deselected.items():
            decision = decided.get(entry.name, {}).pop(reference, None)
            reason = decision.reason if decision else ""
            departed.append(json_report.TagReport(str(reference), "deselected", digest, reason))
    for name, decisions in decided.items():
        left_out = (item for item in decisions.values() if not item.taken)
        skipped = (json_report.TagReport(item.tag, "skipped", reason=item.reason) for item in left_out)
        tags.setdefault(name, []).extend(skipped)
    return tuple(
        json_report.RepositoryReport(name, tuple(reports), size=resolution.size_of(*roots.get(name, ())))
        for name, reports in sorted(tags.items())
    )


def _name(root: Root) -> str:
    return root.tag or root.digest
