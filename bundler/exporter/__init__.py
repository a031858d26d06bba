"""OUTSIDE the gap: select → plan → fetch → pack. This file is the flow, and nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bundler.exporter.disk import disk_needs
from bundler.exporter.drift import OnDrift
from bundler.exporter.explain import explain_selection
from bundler.exporter.gather import gather
from bundler.exporter.lock import keep_lock, locked_selection, read_lock
from bundler.exporter.output import Output, output_to
from bundler.exporter.plan import ExportPlan, plan_export
from bundler.exporter.result import ExportRun
from bundler.exporter.select import select
from bundler.exporter.workplace import Workplace, workplace_of
from bundler.progress import SILENCE, Progress
from bundler.registry.registries import Registries
from bundler.report import Report
from bundler.wanted import Selection
from bundler.workers import DEFAULT_JOBS

__all__ = [
    "OnDrift",
    "Output",
    "Workplace",
    "explain_selection",
    "export_bundle",
    "locked_selection",
    "output_to",
    "plan_bundle",
    "read_lock",
    "workplace_of",
]


def export_bundle(
    selection: Selection,
    registries: Registries,
    out: Output,
    place: Workplace,
    *,
    on_drift: OnDrift = OnDrift.IGNORE,
    lock: Path | None = None,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = SILENCE,
) -> Report:
    """Carry what was selected into `out`.

    What failed for single items is in the report (see its `exit_code`). `lock` is a file to write, with
    every tag and its digest. Raises BundlerError for what stops everything: usage, disk, lock.
    """
    run = ExportRun(registries)
    out.check()
    with place.opened() as store:
        choose = partial(select, selection, registries, store, jobs=jobs, progress=progress)
        with run.phase("select"):
            pinned = choose()
        run.check_locked(selection, pinned)
        if run.has_nothing(selection, pinned):
            return run.nothing(pinned)
        inventory = pinned.inventory()
        if there := out.unchanged(inventory, progress):
            keep_lock(lock, inventory)
            return run.unchanged(pinned, there, place)
        with run.phase("fetch"):
            found = gather(
                pinned, choose, registries, store, out, on_drift=on_drift, jobs=jobs, progress=progress
            )
        run.drop_incomplete(found)
        run.check_locked(selection, found.pinned)
        if run.has_nothing(selection, found.pinned):
            return run.nothing(found.pinned)
        inventory = found.pinned.inventory()
        with run.phase("pack"):
            written = out.write(inventory, store, progress)
        keep_lock(lock, inventory)
        return run.done(found, written, place)


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
        pinned = select(selection, registries, store, keep=False, jobs=jobs, progress=progress)
    plan = plan_export(pinned.roots, pinned.manifests, store.has)
    return run.planned(pinned, plan), plan, sum(size for _, size in disk_needs(pinned, plan, out, store))
