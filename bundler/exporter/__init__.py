"""OUTSIDE the gap: select → plan → fetch → pack. This file is the flow, and nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bundler.bundle.writer import check_readable
from bundler.exporter.base import look_back
from bundler.exporter.delivery import Delivery
from bundler.exporter.disk import disk_needs
from bundler.exporter.drift import OnDrift
from bundler.exporter.gather import gather, plan_against
from bundler.exporter.lock import locked_selection, read_lock
from bundler.exporter.output import Output, output_to
from bundler.exporter.plan import ExportPlan
from bundler.exporter.result import ExportRun
from bundler.exporter.select import select
from bundler.exporter.series import ALONE, Series
from bundler.exporter.signed import drop_unsigned
from bundler.exporter.workplace import Workplace, workplace_of
from bundler.progress import SILENCE, Progress
from bundler.registry.registries import Registries
from bundler.report import Report
from bundler.store import Keep
from bundler.trust.signers import NOBODY, Signers
from bundler.wanted import Selection
from bundler.workers import DEFAULT_JOBS

__all__ = [
    "Keep",
    "OnDrift",
    "Output",
    "Series",
    "Workplace",
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
    series: Series = ALONE,
    signers: Signers = NOBODY,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = SILENCE,
) -> Report:
    """Carry what was selected into `out`; with a base in `series`, only what that lacks.

    What failed for single items is in the report (see its `exit_code`). `lock` is a file to write, with
    every tag and its digest. With `signers`, modules that none of them signed fail. Raises BundlerError for
    what stops everything: usage, disk, lock.
    """
    run, limits = ExportRun(registries), registries.settings.hosts.limits
    out.check()
    with place.opened() as store:
        base, trusted = look_back(series, store, out.path, limits)
        ask = partial(select, selection, registries, store, trusted=trusted)
        choose = partial(ask, jobs=jobs, progress=progress)
        with run.phase("select"):
            pinned = choose()
        run.check_locked(selection, pinned)
        base = base and base.completed(pinned.manifests)
        delivery = Delivery(out, place, series, lock, limits)
        if run.has_nothing(selection, pinned):
            return run.nothing(pinned)
        if there := delivery.superfluous(pinned, base, store, progress):
            return run.unchanged(pinned, there)
        with run.phase("fetch"):
            found = gather(
                pinned,
                choose,
                registries,
                store,
                out,
                base=base,
                on_drift=on_drift,
                jobs=jobs,
                progress=progress,
            )
        run.drop_incomplete(found)
        run.signed = drop_unsigned(found.pinned, signers, base, store, registries)
        run.check_locked(selection, found.pinned)
        if run.has_nothing(selection, found.pinned):
            return run.nothing(found.pinned)
        with run.phase("pack"):
            delivered = delivery.write(found.pinned, base, store, progress)
        return run.done(found, delivered)


def plan_bundle(
    selection: Selection,
    registries: Registries,
    out: Output,
    place: Workplace,
    *,
    series: Series = ALONE,
    jobs: int = DEFAULT_JOBS,
    progress: Progress = SILENCE,
) -> tuple[Report, ExportPlan, int]:
    """What an export would do, nothing written: the report, the plan, bytes of disk that it needs."""
    run = ExportRun(registries)
    store = place.looked_at()
    limits = registries.settings.hosts.limits
    base, trusted = look_back(series, store, out.path, limits)
    ask = partial(select, selection, registries, store, trusted=trusted, keep=False)
    with run.phase("select"):
        pinned = ask(jobs=jobs, progress=progress)
    base = base and base.completed(pinned.manifests)
    plan, inventory = plan_against(pinned, base, store), pinned.inventory(base)
    check_readable(inventory, limits)
    needs = disk_needs(pinned, plan, out, store, inventory)
    return run.planned(pinned, inventory, plan), plan, sum(size for _, size in needs)
