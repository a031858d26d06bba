"""An import's report, made from its plan and what came of it."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace

from bundler.about import VERSION
from bundler.bundle.inventory import Root
from bundler.bundle.reader import Bundle
from bundler.bundle.stream import BundleStream
from bundler.errors import BundlerError, IntegrityError, NotFoundError, TargetRefusedError
from bundler.importer.destination import Destination
from bundler.importer.filtered_indexes import lost_attachments
from bundler.importer.import_plan import SENT, Action, ImportPlan, OnConflict, PlannedTag
from bundler.importer.prepare import arrange
from bundler.importer.push import ContentPush
from bundler.importer.resume import serves_other_bytes
from bundler.oci import Descriptor, Manifests, RepositoryName, bottom_up
from bundler.oci.graph import is_sparse
from bundler.reporting import json_report
from bundler.reporting.progress import counted
from bundler.session import Session
from bundler.verify import Verified

STATUS: dict[Action, json_report.Status] = {
    Action.PUSH: "pushed",
    Action.MOVE: "moved",
    Action.MERGE: "merged",
    Action.PRESENT: "present",
    Action.SKIP: "skipped",
    Action.CONFLICT: "failed",
    Action.REFUSED: "failed",
}


def import_report(
    bundle: Bundle | BundleStream, push: ContentPush, warnings: tuple[str, ...]
) -> json_report.Report:
    """Return the report of an import, with the outcome of every root."""
    outcome, plan = push.outcome, push.plan
    steps = tuple(outcome.changed.get(step.root, step) for step in plan.steps)
    lists = {root.digest: step.manifest for root, step in outcome.extended.items()}
    plan = plan._replace(steps=(*steps, *outcome.extended.values()), manifests={**plan.manifests, **lists})
    failures = {**_conflicts(plan), **outcome.failed}
    reused = outcome.reused.keys() - outcome.sent.keys()
    blobs = json_report.BlobCounts(
        moved=len(outcome.sent),
        moved_bytes=sum(blob.size for blob in outcome.sent),
        reused=len(reused),
        reused_bytes=sum(blob.size for blob in reused),
    )
    return replace(
        _report(bundle, plan, push.session, failures, warnings),
        blobs=blobs,
        seconds=push.seconds,
        unchanged=not failures and all(step.action is Action.PRESENT for step in plan.steps),
    )


def planned_report(
    bundle: Bundle, plan: ImportPlan, session: Session, warnings: tuple[str, ...]
) -> json_report.Report:
    """Report what an import would do: tags to push are `planned`, with the digest that each replaces."""
    return replace(
        _report(bundle, plan, session, _conflicts(plan), (*warnings, *_sparse_warnings(plan)), planned=True),
        blobs=json_report.BlobCounts(moved=len(plan.uploads), moved_bytes=plan.upload_bytes),
        dry_run=True,
    )


def compared_report(
    bundle: Bundle,
    plan: ImportPlan,
    session: Session,
    failures: Mapping[Root, BundlerError],
    warnings: tuple[str, ...],
) -> json_report.Report:
    """Compare a target with a bundle: what is there is `present`, all else has failed."""
    report = _report(bundle, plan, session, failures, warnings)
    return replace(report, command="verify", unchanged=not failures)


def _report(
    bundle: Bundle | BundleStream,
    plan: ImportPlan,
    session: Session,
    failures: Mapping[Root, BundlerError],
    warnings: tuple[str, ...],
    *,
    planned: bool = False,
) -> json_report.Report:
    """Return a report with the fields that all reports about a target share."""
    return json_report.Report(
        command="import",
        tool_version=VERSION,
        repositories=_repositories(plan, failures, planned=planned),
        failures=tuple(json_report.failure(error, str(root)) for root, error in failures.items()),
        bundle=json_report.BundleReport(_place(bundle), bundle.id, bundle.sha256),
        traffic=session.registries.traffic.report(),
        warnings=(*warnings, *_filtered_warnings(plan), *_empty_warnings(bundle, plan)),
        drifted=tuple(str(step.root) for step in plan.steps if _drifted(step)),
    )


def _drifted(step: PlannedTag) -> bool:
    """Return True if the target's tag has another digest; a list of referrers that grew does not count."""
    return step.action is not Action.MERGE and step.previous not in (None, step.root.digest)


def _place(bundle: Bundle | BundleStream) -> str:
    return "-" if isinstance(bundle, BundleStream) else str(bundle.path)


def _conflicts(plan: ImportPlan) -> dict[Root, BundlerError]:
    """Return the tags that exist with another digest, and may not be moved."""
    conflicts: dict[Root, BundlerError] = dict(plan.refused)
    for step in plan.steps:
        if step.action is Action.CONFLICT:
            cause = (
                f"the tag exists with another digest: there {step.previous}, in the bundle {step.root.digest}"
            )
            conflicts[step.root] = TargetRefusedError(
                str(step.root), cause, "kept as it is; use --on-conflict overwrite to replace it"
            )
    return conflicts


def _repositories(
    plan: ImportPlan, failures: Mapping[Root, BundlerError], *, planned: bool
) -> tuple[json_report.RepositoryReport, ...]:
    tags: dict[RepositoryName, list[json_report.TagReport]] = {}
    for step in plan.steps:
        tag = _tag(step, failures.get(step.root), planned=planned)
        if whole := plan.wholes.get(step.root.digest):
            tag = replace(tag, filtered_from=whole)
        tags.setdefault(step.root.repository, []).append(tag)
    for name, decision in plan.left_out:
        tags.setdefault(name, []).append(
            json_report.TagReport(decision.tag, "skipped", reason=decision.reason)
        )
    sources = {target: source for source, target in plan.names.items()}
    return tuple(
        json_report.RepositoryReport(name, tuple(reports), sources.get(name))
        for name, reports in sorted(tags.items())
    )


def _filtered_warnings(plan: ImportPlan) -> Iterator[str]:
    """Yield what filtering changed: the digests of tags, and the signatures that they lose."""
    filtered = [step.root for step in plan.steps if step.root.digest in plan.wholes]
    if filtered:
        number = counted(len(filtered), "filtered index has", "filtered indexes have")
        first, whole = filtered[0], plan.wholes[filtered[0].digest]
        yield f"{number} another digest than outside, as {first}: {first.digest} instead of {whole}"
    roots = [step.root for step in plan.steps]
    for root, lost in lost_attachments(roots, plan.manifests, plan.wholes):
        names = ", ".join(sorted({item.tag or item.digest for item in lost}))
        yield f"{root}: what is attached to the whole index is lost for the filtered one: {names}"


def _empty_warnings(bundle: Bundle | BundleStream, plan: ImportPlan) -> Iterator[str]:
    """Yield a line for a delta that brings nothing of the part; a full bundle of that kind is refused."""
    if bundle.inventory.repositories and not plan.steps:
        yield f"{_place(bundle)}: nothing of this delta is selected"


def _sparse_warnings(plan: ImportPlan) -> Iterator[str]:
    """Yield what most registries would refuse."""
    sparse = [step.root for step in plan.to_push if is_sparse(step.manifest)]
    if sparse:
        number = counted(len(sparse), "index lacks", "indexes lack")
        yield (
            f"{number} children that the bundle does not carry, as {sparse[0]}; most registries refuse that: "
            "use --filter-indexes, or export all platforms"
        )


def _tag(step: PlannedTag, error: BundlerError | None, *, planned: bool) -> json_report.TagReport:
    moved = step.previous if step.previous != step.root.digest else None
    reference = step.root.tag or step.root.digest
    if error is not None:
        return json_report.TagReport(reference, "failed", step.root.digest, error.cause, moved)
    if planned and step.action in SENT:
        return json_report.TagReport(
            reference, "planned", step.root.digest, "would move" if moved else "new", moved
        )
    reason = "the tag exists with another digest" if step.action is Action.SKIP else ""
    return json_report.TagReport(reference, STATUS[step.action], step.manifest.blob.digest, reason, moved)


def compare_with_target(
    verified: Verified,
    destination: Destination,
    session: Session,
    *,
    deep: bool = False,
) -> json_report.Report:
    """Report whether the target has everything that an import would bring, under the same digests.

    One HEAD for each tag, and for each manifest without one; a GET for a list of referrers that has
    another digest, as it may have been merged. Every manifest is read and hashed, by its digest and by its
    tag; with `deep`, every blob too. Every tag that is missing, another or damaged has failed.
    """
    plan = arrange(
        verified.bundle.inventory,
        verified.manifests,
        destination,
        session,
        on_conflict=OnConflict.FAIL,
        content=None,
    )
    failures = {**_damaged(plan, session, deep=deep), **_differences(plan)}
    return compared_report(verified.bundle, plan, session, failures, verified.warnings)


PartAtTarget = tuple[RepositoryName, Descriptor]
"""A manifest or blob, and the repository at the target that it must be in."""


def _damaged(plan: ImportPlan, session: Session, *, deep: bool) -> dict[Root, BundlerError]:
    """Return the roots of which the target serves something else than it says, or not at all."""
    manifests = plan.manifests
    present = [step for step in plan.steps if step.action is Action.PRESENT]
    parts = dict.fromkeys(part for step in present for part in _parts(step, manifests, deep=deep))

    def read(part: PartAtTarget) -> None:
        name, blob = part
        source = session.registries.source(name)
        if blob.digest in manifests:
            source.manifest(blob.digest)
        else:
            deque(source.chunks(blob), maxlen=0)

    def read_by_tag(step: PlannedTag) -> None:
        root = step.root
        if not session.registries.target(root.repository).shows(root.tag or root.digest, root.digest):
            cause = serves_other_bytes(root.digest)
            raise IntegrityError(str(root), cause, "find out what is wrong with the target")

    answers = session.each("reading what is there", parts, read)
    wrong = {part: error for part, error in answers if isinstance(error, BundlerError)}
    tagged = [step for step in present if step.root.tag and step.previous == step.root.digest]
    by_tag = session.each("reading tags", tagged, read_by_tag)
    lying = {step.root: error for step, error in by_tag if isinstance(error, BundlerError)}
    return lying | {
        step.root: wrong[part]
        for step in (present if wrong else ())
        for part in _parts(step, manifests, deep=deep)
        if part in wrong
    }


def _parts(step: PlannedTag, manifests: Manifests, *, deep: bool) -> Iterator[PartAtTarget]:
    root = step.root
    for manifest in bottom_up([root.digest], manifests):
        # A list that has all of ours, and more, was read when it was compared.
        if manifest.blob.digest != root.digest or step.previous == root.digest:
            yield root.repository, manifest.blob
        for blob in manifest.blobs if deep else ():
            yield root.repository, Descriptor("", blob.digest, blob.size)


def _differences(plan: ImportPlan) -> dict[Root, BundlerError]:
    return {step.root: _difference(step) for step in plan.steps if step.action is not Action.PRESENT}


def _difference(step: PlannedTag) -> BundlerError:
    if step.previous is None:
        return NotFoundError(str(step.root), "the target does not have it", "run the import again")
    cause = f"the target has {step.previous}, the bundle {step.root.digest}"
    if is_sparse(step.manifest):
        next_step = "give --filter-indexes, if it was imported with that, or find out who moved it"
        return IntegrityError(str(step.root), cause, next_step)
    return IntegrityError(str(step.root), cause, "find out who moved it, or import again")
