"""Older bundles of a job removed, after the newest one was proven."""

from __future__ import annotations

from pathlib import Path

from bundler.bundle.inventory import BUNDLE_SUFFIX
from bundler.bundle.sidecar import remove_sidecar
from bundler.durable import remove_if_there
from bundler.errors import BundlerError, IntegrityError
from bundler.exporter.replacing import open_bundle
from bundler.exporter.series import Series
from bundler.limits import Limits
from bundler.store import Entry, History, Store, expired


def retain(store: Store, series: Series, limits: Limits) -> tuple[list[str], list[str]]:
    """Remove what is not kept. The results: the files that are gone, and warnings about those left alone.

    A file goes only if it still is the bundle that this job wrote there. Raises IntegrityError, before
    anything is removed, if the newest bundle is not whole.
    """
    history = History(store.path)
    entries = history.entries()
    gone = expired(entries, series.job, series.keep, series.now)
    if not gone:
        return [], []
    newest = history.last(series.job)
    if newest and newest.path and not Path(newest.path).exists():
        return [], [f"{newest.path}: it is the newest bundle, and not there: no older one was removed"]
    _prove(newest, limits)
    removed: list[str] = []
    warnings: list[str] = []
    for entry in gone:
        path = Path(entry.path) if entry.path and entry.path.endswith(BUNDLE_SUFFIX) else None
        if path is None or not path.exists():
            continue
        if _is_ours(path, entry, limits):
            remove_sidecar(path)
            remove_if_there(path)
            removed.append(str(path))
        else:
            warnings.append(f"{path}: not removed: it is not the bundle that this job wrote there")
    history.forget({entry.id for entry in gone})
    return removed, warnings


def _prove(newest: Entry | None, limits: Limits) -> None:
    if newest is None or newest.path is None or not newest.path.endswith(BUNDLE_SUFFIX):
        return
    try:
        with open_bundle(Path(newest.path), limits) as bundle:
            for _ in bundle.everything():
                pass
    except BundlerError as error:
        cause = f"the newest bundle is not whole, so no older one was removed: {error.cause}"
        raise IntegrityError(newest.path, cause, "run the export again") from error


def _is_ours(path: Path, entry: Entry, limits: Limits) -> bool:
    try:
        with open_bundle(path, limits) as bundle:
            return bundle.id == entry.id
    except BundlerError:
        return False
