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
from bundler.reporting.json_report import Report
from bundler.selection.sources import Selection
from bundler.session import Session
from bundler.trust.module_signers import NOBODY, Signers

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
    out: BundleOutput,
    location: StoreLocation,
    session: Session,
    *,
    incremental: Incremental = ALONE,
    on_drift: OnDrift = OnDrift.IGNORE,
    lock: Path | None = None,
    signers: Signers = NOBODY,
) -> Report:
    """Export a selection into `out`; with a base in `incremental`, only what the base lacks.

    Blobs are kept at `location` while it runs. Items that failed are in the report, which knows the exit
    code. `lock` is a file to write, with every tag and its digest. With `signers`, modules that none of
    them signed fail. Raises BundlerError for what stops everything: usage, disk, lock.
    """
    run = ExportRun(session)
    out.check()
    with location.opened() as store:
        base, trusted = look_back(incremental, store, out.path, session.limits)
        choose = partial(select, selection, session, store, trusted=trusted)
        with run.phase("select"):
            pinned = choose()
        run.check_locked(selection, pinned)
        base = base and base.completed(pinned.manifests)
        delivery = Finish(out, location, incremental, lock, session)
        if run.has_nothing(selection, pinned):
            return run.nothing(pinned)
        if there := delivery.superfluous(pinned, base, store):
            return run.unchanged(pinned, there)
        with run.phase("fetch"):
            found = fetch_all(pinned, choose, session, store, out, base=base, on_drift=on_drift)
        run.drop_incomplete(found)
        run.signed = drop_unsigned(found.pinned, signers, base, store, session.registries)
        run.check_locked(selection, found.pinned)
        if run.has_nothing(selection, found.pinned):
            return run.nothing(found.pinned)
        with run.phase("pack"):
            delivered = delivery.write(found.pinned, base, store)
        return run.done(found, delivered)


def plan_bundle(
    selection: Selection,
    out: BundleOutput,
    location: StoreLocation,
    session: Session,
    *,
    incremental: Incremental = ALONE,
) -> tuple[Report, ExportPlan, int]:
    """Return what an export would do: the report, the plan, bytes of disk that it needs. Write nothing."""
    run = ExportRun(session)
    store = location.looked_at()
    base, trusted = look_back(incremental, store, out.path, session.limits)
    with run.phase("select"):
        pinned = select(selection, session, store, trusted=trusted, keep=False)
    base = base and base.completed(pinned.manifests)
    plan, inventory = plan_against(pinned, base, store), pinned.inventory(base)
    check_readable(inventory, session.limits)
    needs = disk_needs(pinned, plan, out, store, inventory)
    return run.planned(pinned, inventory, plan), plan, sum(size for _, size in needs)
