"""Older bundles of a job removed, after the newest one was proven."""

from __future__ import annotations

import glob
from pathlib import Path

from bundler.bundle.inventory import BUNDLE_SUFFIX
from bundler.bundle.sidecar import remove_sidecar
from bundler.bundle.volume_sets import is_volume
from bundler.durable import remove_if_there, sync_directory
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
    if newest and newest.path and not files_of(newest):
        return [], [f"{newest.path}: it is the newest bundle, and not there: no older one was removed"]
    _prove(newest, limits)
    removed: list[str] = []
    warnings: list[str] = []
    written_last = {entry.path: entry.id for entry in entries}
    for entry in gone:
        path, files = Path(entry.path or ""), files_of(entry)
        if not files or written_last[entry.path] != entry.id:
            continue  # carried away, or replaced by a newer one of the same name
        if _is_ours(files[0], entry, limits):
            remove_sidecar(path)
            for file in files:
                remove_if_there(file)
            # Forgotten before it is gone for good, nobody would ever remove it.
            sync_directory(path.parent)
            removed.append(str(path))
        else:
            warnings.append(f"{path}: not removed: it is not the bundle that this job wrote there")
    history.forget({entry.id for entry in gone})
    return removed, warnings


def files_of(entry: Entry) -> list[Path]:
    """The bundle's file, or those of its volumes, as far as they are there."""
    path = Path(entry.path or "")
    if not path.name.endswith(BUNDLE_SUFFIX):
        return []
    if path.exists():
        return [path]
    names = sorted(path.parent.glob(f"{glob.escape(path.name)}.[0-9p]*")) if path.parent.is_dir() else []
    return [name for name in names if is_volume(name)]


def _prove(newest: Entry | None, limits: Limits) -> None:
    if newest is None or not (files := files_of(newest)):
        return
    try:
        with open_bundle(files[0], limits) as bundle:
            for _ in bundle.everything():
                pass
    except BundlerError as error:
        cause = f"the newest bundle is not whole, so no older one was removed: {error.cause}"
        raise IntegrityError(str(files[0]), cause, "run the export again") from error


def _is_ours(path: Path, entry: Entry, limits: Limits) -> bool:
    try:
        with open_bundle(path, limits) as bundle:
            return bundle.id == entry.id
    except BundlerError:
        return False
