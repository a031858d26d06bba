"""OUTSIDE the gap: select → plan → fetch → pack. This file is the flow, and nothing else."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from bundler.bundle.bundle_output import BundleOutput
from bundler.deltas.base import look_back
from bundler.deltas.retention import ALONE, FullEvery, Incremental, Keep
from bundler.exporter.export_content import ExportContent
from bundler.exporter.export_report import ExportRun
from bundler.exporter.fetch.drift import OnDrift, tags_to_ask
from bundler.exporter.fetch.fetch_all import Fetched, disk_needs, fetch_all, plan_against
from bundler.exporter.fetch.fetch_plan import NOTHING_TO_FETCH, ExportPlan
from bundler.exporter.fetch.store_location import StoreLocation, store_location_of
from bundler.exporter.output.finish import Finish
from bundler.exporter.output.outputs import output_to, planned_compact
from bundler.exporter.resolve.resolver import resolve_selection
from bundler.folders import check_disk
from bundler.reporting.json_report import BundleReport, Report
from bundler.selection.sources import Selection
from bundler.session import Session
from bundler.store.blob_store import Store
from bundler.trust.module_signers import NOBODY, Signers

__all__ = [
    "BundleOutput",
    "FullEvery",
    "Incremental",
    "Keep",
    "OnDrift",
    "StoreLocation",
    "export_bundle",
    "output_to",
    "plan_bundle",
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
    finish = Finish(out, location, incremental, lock, session)
    finish.check()
    # Tags are asked again when all has been fetched: where they are, nothing is streamed.
    streams = location.streams_into(out) and on_drift is OnDrift.IGNORE
    with location.opened() as store:
        base, immutable = look_back(incremental, store, out.path, session)
        choose = partial(resolve_selection, selection, session, store, signers=signers, immutable=immutable)
        with run.phase("select"):
            content = ExportContent.of(choose(), base)
        _check_locked(selection, content)
        if run.has_nothing(selection, content):
            return run.nothing(content)
        for line in content.resolution.sparse_warnings:
            session.progress.note(f"warning: {line}")
        if unchanged := finish.skip_if_unchanged(content):
            finish.keep_existing(unchanged, content, store)
            content = finish.write_lock(selection, content)
            return run.unchanged(finish.close(content, unchanged.bundle, store))
        fetch = partial(fetch_all, resolve=choose, session=session, store=store, out=out, on_drift=on_drift)

        def ready(content: ExportContent) -> bool:
            _check_locked(selection, content)
            return not run.has_nothing(selection, content)

        fetched, bundle = _fetched_and_written(
            content, fetch, ready, run, finish, store=store, streams=streams
        )
        if bundle is None:
            return run.nothing(fetched.content)
        with run.phase("pack"):
            finish.record(fetched.content, bundle, store)
            content = finish.write_lock(selection, fetched.content)
            finished = finish.close(content, bundle, store)
        return run.done(fetched, finished)


def _fetched_and_written(
    content: ExportContent,
    fetch: Callable[..., Fetched],
    ready: Callable[[ExportContent], bool],
    run: ExportRun,
    finish: Finish,
    *,
    store: Store,
    streams: bool,
) -> tuple[Fetched, BundleReport | None]:
    """Fetch and write; once more, all by way of the store, if a blob that went straight in failed.

    Return None for a bundle that would have nothing in it.
    """
    fetched: Fetched | None = None
    while True:
        with run.phase("fetch"):
            fetched = fetch(content, before=fetched, streams=streams and fetched is None)
        content = fetched.content
        if not ready(content):
            return fetched, None
        with run.phase("pack"):
            if bundle := finish.write(fetched, store):
                return fetched, bundle


def plan_bundle(
    selection: Selection,
    out: BundleOutput,
    location: StoreLocation,
    session: Session,
    *,
    incremental: Incremental = ALONE,
    on_drift: OnDrift = OnDrift.IGNORE,
    lock: Path | None = None,
    signers: Signers = NOBODY,
) -> tuple[Report, ExportPlan, int]:
    """Return what an export would do: the report, the plan, bytes of disk that it needs. Write nothing.

    Raises what the export would raise before it fetches anything.
    """
    run = ExportRun(session)
    finish = Finish(out, location, incremental, lock, session)
    finish.check()
    store = location.looked_at()
    base, immutable = look_back(incremental, store, out.path, session)
    with run.phase("select"):
        resolved = resolve_selection(
            selection, session, store, signers=signers, immutable=immutable, keep=False
        )
        content = ExportContent.of(resolved, base)
    _check_locked(selection, content)
    if run.has_nothing(selection, content):
        return run.nothing(content, dry_run=True), NOTHING_TO_FETCH, 0
    for line in content.resolution.sparse_warnings:
        session.progress.note(f"warning: {line}")
    content = content.noting(finish.unlocked(selection, content))
    if unchanged := finish.skip_if_unchanged(content):
        return run.planned_unchanged(finish.planned(content, store, unchanged)), NOTHING_TO_FETCH, 0
    streams = location.streams_into(out) and on_drift is OnDrift.IGNORE
    plan = plan_against(content, session, store, streams=streams)._replace(
        asked_again=len(tags_to_ask(content, on_drift))
    )
    needs = disk_needs(content, plan, out, store)
    check_disk(needs)
    compact = planned_compact(content, out, store, session)
    planned = finish.planned(content, store, None)
    return run.planned(planned, plan, compact), plan, sum(size for _, size in needs)


def _check_locked(selection: Selection, content: ExportContent) -> None:
    """Raise where a lock file asks for what is not there."""
    if selection.locked:
        from bundler.exporter.resolve.lock_file import check_locked

        check_locked(selection, content.resolution, content.findings)
