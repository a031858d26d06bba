"""INSIDE the gap: open → verify → plan → push. This file is the flow, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bundler.bundle.reader import Bundle
from bundler.bundle.stream import BundleStream
from bundler.importer.destination import Destination, Part
from bundler.importer.import_plan import ImportPlan, OnConflict
from bundler.importer.import_report import compare_with_target, import_report
from bundler.importer.move_tags import finish
from bundler.importer.policy_check import PolicyCheck
from bundler.importer.prepare import arrange
from bundler.importer.prune import pruned, to_prune
from bundler.importer.push import ContentPush
from bundler.importer.required import AvailableContent
from bundler.importer.streaming import send_as_it_comes
from bundler.importer.verify import Verified, verify_bundle
from bundler.ledger.rollback_file import BeforeTags
from bundler.reporting.json_report import Report
from bundler.session import Session

__all__ = [
    "Destination",
    "OnConflict",
    "Part",
    "PolicyCheck",
    "Verified",
    "compare_with_target",
    "import_bundle",
    "import_stream",
    "plan_bundle_import",
    "verify_bundle",
]


def plan_bundle_import(
    verified: Verified,
    destination: Destination,
    session: Session,
    on_conflict: OnConflict = OnConflict.DEFAULT,
    *,
    beside: Sequence[Bundle] = (),
    border: PolicyCheck | None = None,
) -> ImportPlan:
    """What an import would do; the target is asked, and nothing is written."""
    content = AvailableContent(verified.bundle, verified.bundle.inventory, beside)
    return arrange(
        verified.bundle.inventory,
        verified.manifests,
        destination,
        session,
        on_conflict=on_conflict,
        content=content,
        border=border,
        may_write=False,
    )


def import_bundle(
    verified: Verified,
    destination: Destination,
    session: Session,
    on_conflict: OnConflict = OnConflict.DEFAULT,
    *,
    beside: Sequence[Bundle] = (),
    border: PolicyCheck | None = None,
    prune: int | None = None,
    before_tags: BeforeTags | None = None,
) -> Report:
    """Replay a verified bundle to a registry; what failed for single tags is in the report.

    A delta takes what it leaves out from the target, or from the bundles `beside`; NotFoundError is raised
    before anything is written if neither has it. A `border` judges before the target is asked. `prune`:
    at most so many tags that a delta says are gone are deleted. `before_tags` is called when nothing is
    left to do but to move them, and again before any is deleted.
    """
    gone = to_prune(verified.bundle.inventory, destination, prune)
    content = AvailableContent(verified.bundle, verified.bundle.inventory, beside)
    plan = arrange(
        verified.bundle.inventory,
        verified.manifests,
        destination,
        session,
        on_conflict=on_conflict,
        content=content,
        border=border,
        may_write=True,
    )
    push = ContentPush(plan, verified.manifests, session)
    with push.phase("blobs"):
        push.blobs(content, plan.uploads)
    finish(push, before_tags)
    report = import_report(verified.bundle, plan, push, verified.warnings)
    return pruned(report, gone, session, before_tags)


def import_stream(
    stream: BundleStream,
    destination: Destination,
    session: Session,
    on_conflict: OnConflict = OnConflict.DEFAULT,
    *,
    beside: Sequence[Bundle] = (),
    border: PolicyCheck | None = None,
    prune: int | None = None,
    before_tags: BeforeTags | None = None,
) -> Report:
    """Replay a bundle from a pipe: each blob verified before its last byte is sent, tags last."""
    arranged = partial(
        arrange,
        destination=destination,
        session=session,
        on_conflict=on_conflict,
        border=border,
        may_write=True,
    )
    inventory = stream.open()
    gone = to_prune(inventory, destination, prune)
    plan, push = send_as_it_comes(stream, inventory, arranged, session, beside)
    finish(push, before_tags)
    report = import_report(stream, plan, push, ())
    return pruned(report, gone, session, before_tags)
