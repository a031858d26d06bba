"""INSIDE the gap: open → verify → plan → push. This file is the flow, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bundler.bundle.stream import BundleStream
from bundler.importer.against import compare_with_target
from bundler.importer.arrange import arrange
from bundler.importer.destination import Destination, Part
from bundler.importer.plan import ImportPlan, OnConflict
from bundler.importer.push import Push
from bundler.importer.result import import_report
from bundler.importer.streaming import send_as_it_comes
from bundler.importer.verify import Verified, verify_bundle
from bundler.progress import SILENCE, Progress
from bundler.registry.registries import Registries
from bundler.report import Report
from bundler.workers import DEFAULT_JOBS

__all__ = [
    "Destination",
    "OnConflict",
    "Part",
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
    registries: Registries,
    on_conflict: OnConflict = OnConflict.DEFAULT,
    *,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = SILENCE,
) -> ImportPlan:
    """What an import would do; the target is asked, and nothing is written."""
    return arrange(
        verified.bundle.inventory,
        verified.manifests,
        destination,
        registries,
        on_conflict=on_conflict,
        may_write=False,
        jobs=jobs,
        progress=progress,
    )


def import_bundle(
    verified: Verified,
    destination: Destination,
    registries: Registries,
    on_conflict: OnConflict = OnConflict.DEFAULT,
    *,
    before_tags: Callable[[], None] | None = None,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = SILENCE,
) -> Report:
    """Replay a verified bundle to a registry; what failed for single tags is in the report.

    `before_tags` is called when nothing is left to do but to move them.
    """
    plan = arrange(
        verified.bundle.inventory,
        verified.manifests,
        destination,
        registries,
        on_conflict=on_conflict,
        may_write=True,
        jobs=jobs,
        progress=progress,
    )
    push = Push(plan, verified.manifests, registries, jobs=jobs, progress=progress)
    with push.phase("blobs"):
        push.blobs(verified.bundle)
    with push.phase("tags"):
        push.children()
        if before_tags:
            before_tags()
        push.tags()
    return import_report(verified.bundle, plan, push, registries, verified.warnings)


def import_stream(
    stream: BundleStream,
    destination: Destination,
    registries: Registries,
    on_conflict: OnConflict = OnConflict.DEFAULT,
    *,
    before_tags: Callable[[], None] | None = None,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = SILENCE,
) -> Report:
    """Replay a bundle from a pipe: each blob verified before its last byte is sent, tags last."""
    arranged = partial(
        arrange,
        destination=destination,
        registries=registries,
        on_conflict=on_conflict,
        may_write=True,
        jobs=jobs,
        progress=progress,
    )
    plan, push = send_as_it_comes(stream, arranged, registries, jobs=jobs, progress=progress)
    with push.phase("tags"):
        push.children()
        if before_tags:
            before_tags()
        push.tags()
    return import_report(stream, plan, push, registries, ())
