"""OUTSIDE the gap: select → plan → fetch → pack. This file is the flow, and nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bundler.bundle.bundle_output import BundleOutput
from bundler.bundle.writer import check_readable
from bundler.deltas.base import look_back
from bundler.deltas.retention import ALONE, Incremental, Keep
from bundler.exporter.export_report import ExportRun
from bundler.exporter.fetch.fetch_all import disk_needs, fetch_all, plan_against
from bundler.exporter.fetch.fetch_plan import ExportPlan
from bundler.exporter.fetch.store_location import StoreLocation, store_location_of
from bundler.exporter.output.finish import Finish
from bundler.exporter.output.outputs import output_to
from bundler.exporter.resolve.drift import OnDrift
from bundler.exporter.resolve.lock_file import locked_selection, read_lock
from bundler.exporter.resolve.resolver import select
from bundler.exporter.resolve.signed_only import drop_unsigned
from bundler.registry.registries import Registries
from bundler.reporting.json_report import Report
from bundler.reporting.progress import SILENCE, Progress
from bundler.selection.sources import Selection
from bundler.trust.module_signers import NOBODY, Signers
from bundler.workers import DEFAULT_JOBS

__all__ = [
    "BundleOutput",
    "Incremental",
    "Keep",
    "OnDrift",
    "StoreLocation",
    "export_bundle",
    "locked_selection",
    "output_to",
    "plan_bundle",
    "read_lock",
    "store_location_of",
]


def export_bundle(
    selection: Selection,
    registries: Registries,
    out: BundleOutput,
    place: StoreLocation,
    *,
    on_drift: OnDrift = OnDrift.IGNORE,
    lock: Path | None = None,
    series: Incremental = ALONE,
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
        delivery = Finish(out, place, series, lock, limits)
        if run.has_nothing(selection, pinned):
            return run.nothing(pinned)
        if there := delivery.superfluous(pinned, base, store, progress):
            return run.unchanged(pinned, there)
        with run.phase("fetch"):
            found = fetch_all(
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
    out: BundleOutput,
    place: StoreLocation,
    *,
    series: Incremental = ALONE,
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
