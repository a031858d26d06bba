"""OUTSIDE the gap: select → plan → fetch → pack. This file is the flow, and nothing else."""

from __future__ import annotations

from bundler.bundle.inventory import take_inventory
from bundler.exporter.disk import check_disk, disk_needs
from bundler.exporter.fetch import fetch
from bundler.exporter.output import Output, output_to
from bundler.exporter.plan import ExportPlan, plan_export
from bundler.exporter.result import ExportRun
from bundler.exporter.select import Selection, select
from bundler.exporter.workplace import Workplace, workplace_of
from bundler.progress import SILENCE, Progress
from bundler.registry.registries import Registries
from bundler.report import Report
from bundler.workers import DEFAULT_JOBS

__all__ = ["Output", "Selection", "Workplace", "export_bundle", "output_to", "plan_bundle", "workplace_of"]


def export_bundle(
    selection: Selection,
    registries: Registries,
    out: Output,
    place: Workplace,
    *,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = SILENCE,
) -> Report:
    """Carry what was selected into `out`.

    What failed for single items is in the report (see its `exit_code`). Raises BundlerError for what
    stops everything: usage, disk, lock.
    """
    run = ExportRun(registries)
    out.check()
    with place.opened() as store:
        with run.phase("select"):
            pinned = select(selection, registries, store, jobs=jobs, progress=progress)
        if not pinned.roots:
            return run.nothing(pinned)
        if there := out.unchanged(take_inventory(pinned.roots, pinned.manifests), progress):
            return run.unchanged(pinned, there, place)
        plan = plan_export(pinned.roots, pinned.manifests, store.has)
        check_disk(disk_needs(pinned, plan, out, store))
        with run.phase("fetch"):
            missing = fetch(plan, pinned.manifests.values(), registries, store, jobs=jobs, progress=progress)
        run.drop_incomplete(pinned, missing)
        if not pinned.roots:
            return run.nothing(pinned)
        with run.phase("pack"):
            written = out.write(take_inventory(pinned.roots, pinned.manifests), store, progress)
        return run.done(pinned, plan, missing, written, place)


def plan_bundle(
    selection: Selection,
    registries: Registries,
    out: Output,
    place: Workplace,
    *,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = SILENCE,
) -> tuple[Report, ExportPlan, int]:
    """What an export would do, nothing written: the report, the plan, bytes of disk that it needs."""
    run = ExportRun(registries)
    store = place.looked_at()
    with run.phase("select"):
        pinned = select(selection, registries, store, jobs=jobs, progress=progress)
    plan = plan_export(pinned.roots, pinned.manifests, store.has)
    return run.planned(pinned, plan), plan, sum(size for _, size in disk_needs(pinned, plan, out, store))
