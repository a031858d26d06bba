"""INSIDE the gap: open → verify → plan → push. This file is the flow, and nothing else."""

from __future__ import annotations

from bundler.bundle.stream import BundleStream
from bundler.importer.plan import ImportPlan, OnConflict, at_target, plan_import
from bundler.importer.push import Push, survey
from bundler.importer.result import import_report
from bundler.importer.streaming import send_as_it_comes
from bundler.importer.verify import Verified, verify_bundle
from bundler.oci.reference import Prefix
from bundler.progress import SILENCE, Progress
from bundler.registry.registries import Registries
from bundler.report import Report
from bundler.workers import DEFAULT_JOBS

__all__ = ["OnConflict", "Verified", "import_bundle", "import_stream", "plan_bundle_import", "verify_bundle"]


def plan_bundle_import(
    verified: Verified,
    target: Prefix,
    registries: Registries,
    on_conflict: OnConflict = OnConflict.DEFAULT,
    *,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = SILENCE,
) -> ImportPlan:
    """What an import would do; the target is asked, and nothing is written."""
    roots = at_target(verified.bundle.inventory, target)
    existing = survey(roots, registries, jobs=jobs, progress=progress)
    return plan_import(roots, verified.manifests, existing, on_conflict)


def import_bundle(
    verified: Verified,
    target: Prefix,
    registries: Registries,
    on_conflict: OnConflict = OnConflict.DEFAULT,
    *,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = SILENCE,
) -> Report:
    """Replay a verified bundle to a registry; what failed for single tags is in the report."""
    plan = plan_bundle_import(verified, target, registries, on_conflict, jobs=jobs, progress=progress)
    push = Push(plan, verified.manifests, registries, jobs=jobs, progress=progress)
    with push.phase("blobs"):
        push.blobs(verified.bundle)
    with push.phase("tags"):
        push.children()
        push.tags()
    return import_report(verified.bundle, plan, push, registries, verified.warnings)


def import_stream(
    stream: BundleStream,
    target: Prefix,
    registries: Registries,
    on_conflict: OnConflict = OnConflict.DEFAULT,
    *,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = SILENCE,
) -> Report:
    """Replay a bundle from a pipe: each blob verified before its last byte is sent, tags last."""
    roots = at_target(stream.open(), target)
    existing = survey(roots, registries, jobs=jobs, progress=progress)
    plan, push = send_as_it_comes(
        stream, roots, existing, registries, on_conflict, jobs=jobs, progress=progress
    )
    with push.phase("tags"):
        push.children()
        push.tags()
    return import_report(stream, plan, push, registries, ())
