"""An import's report, made from its plan and what came of it."""

from __future__ import annotations

from bundler import __version__
from bundler.bundle.reader import Bundle
from bundler.bundle.stream import BundleStream
from bundler.importer.plan import Action, ImportPlan, Step
from bundler.importer.push import Outcome
from bundler.oci.reference import RepositoryName
from bundler.registry.registries import Registries
from bundler.report import BlobCounts, BundleReport, Failure, Report, RepositoryReport, TagReport, TrafficReport, failure
from bundler.errors import BundlerError, TargetRefusedError


def import_report(
    bundle: Bundle | BundleStream, plan: ImportPlan, outcome: Outcome, registries: Registries, warnings: tuple[str, ...]
) -> Report:
    """What became of every root."""
    failures = {**{step.root: conflict(step) for step in plan.steps if step.action is Action.CONFLICT}, **outcome.failed}
    tags: dict[RepositoryName, list[TagReport]] = {}
    for step in plan.steps:
        tags.setdefault(step.root.repository, []).append(_tag(step, failures.get(step.root)))
    traffic = registries.traffic
    return Report(
        command="import",
        tool_version=__version__,
        repositories=tuple(RepositoryReport(name, tuple(own)) for name, own in sorted(tags.items())),
        failures=tuple(failure(error, str(root)) for root, error in failures.items()),
        bundle=BundleReport(str(getattr(bundle, "path", "-")), bundle.id, bundle.sha256),
        blobs=BlobCounts(
            moved=len(outcome.sent),
            moved_bytes=sum(blob.size for blob in outcome.sent),
            reused=len(outcome.reused.keys() - outcome.sent.keys()),
            reused_bytes=sum(blob.size for blob in outcome.reused.keys() - outcome.sent.keys()),
        ),
        traffic=TrafficReport(traffic.requests, traffic.retries, traffic.received, traffic.sent),
        warnings=warnings,
        unchanged=not failures and all(step.action is Action.PRESENT for step in plan.steps),
    )


def conflict(step: Step) -> BundlerError:
    """A tag that exists with another digest, and may not be moved."""
    cause = f"the tag exists with another digest: there {step.previous}, in the bundle {step.root.digest}"
    return TargetRefusedError(str(step.root), cause, "--on-conflict skip or overwrite decides otherwise")


def _tag(step: Step, error: BundlerError | None) -> TagReport:
    moved = step.previous if step.previous != step.root.digest else None
    reference = step.root.tag or step.root.digest
    if error is not None:
        return TagReport(reference, "failed", step.root.digest, error.cause, moved)
    reason = "the tag exists with another digest" if step.action is Action.SKIP else ""
    return TagReport(reference, step.action.value, step.root.digest, reason, moved)
