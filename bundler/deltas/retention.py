"""The retention of the bundles of a job: which stay, and which go."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.inventory import BUNDLE_SUFFIX, COMPACT_SUFFIX
from bundler.bundle.sealing import remove_sidecar
from bundler.deltas.existing_bundle import open_bundle
from bundler.durable import remove_if_there, sync_directory
from bundler.errors import BundlerError, IntegrityError
from bundler.limits import Limits
from bundler.oci import Digest
from bundler.reporting.progress import counted
from bundler.session import Session
from bundler.store.blob_store import Store
from bundler.store.history import History, HistoryEntry
from bundler.trust.job import DEFAULT_JOB, Job

DAY = 86_400


class Keep(NamedTuple):
    """The bundles of a job to keep; all of them if nothing is given."""

    newest: int | None = None
    """As many of the newest."""
    days: int | None = None
    """Bundles younger than this many days."""

    @property
    def any(self) -> bool:
        """Return whether anything may go."""
        return self.newest is not None or self.days is not None


def expired(entries: Sequence[HistoryEntry], job: str, keep: Keep, now: int) -> list[HistoryEntry]:
    """Return what a job may remove: bundles that are not kept, and that no kept one builds on.

    The newest always stays. Where the clock was set back, an entry from the future counts as new; and one
    from before its time is as old as the one before it.
    """
    if not keep.any:
        return []
    others = [entry for entry in entries if entry.job != job]
    needed = _needed([*_promised(entries, job, keep, now), *others], entries)
    return [entry for entry in entries if entry.job == job and entry.id not in needed]


def _promised(entries: Sequence[HistoryEntry], job: str, keep: Keep, now: int) -> list[HistoryEntry]:
    """Return the bundles of a job that `keep` keeps for themselves."""
    of_job = [entry for entry in entries if entry.job == job]
    newest = of_job[-max(keep.newest or 1, 1) :]
    since = now - (keep.days or 0) * DAY
    young = [
        entry for entry, time in zip(of_job, _times(of_job, now), strict=True) if keep.days and time > since
    ]
    return [*newest, *young]


def kept_beyond(entries: Sequence[HistoryEntry], incremental: Incremental, now: int) -> str:
    """Return a line that says why more of a job's bundles stay than it keeps; empty if none do."""
    job, keep = incremental.job, incremental.keep
    promised = {entry.id for entry in _promised(entries, job, keep, now)}
    gone = {entry.id for entry in expired(entries, job, keep, now)}
    more = {entry.id for entry in entries if entry.job == job} - promised - gone
    if not more:
        return ""
    builder = next(entry for entry in reversed(entries) if more.intersection(_needed([entry], entries)))
    number, name = counted(len(more), "older bundle"), Path(builder.path or builder.id).name
    be, them = ("is", "it") if len(more) == 1 else ("are", "them")
    cause = f"{name} builds on {them}"
    ending = "" if incremental.full_every else "; --full-every begins a new chain"
    return f"{number} of job {job} {be} kept, because {cause}{ending}"


def _times(entries: Sequence[HistoryEntry], now: int) -> Iterator[int]:
    """Yield when they were written; a journal only grows, so none is older than the one before it."""
    latest = 0
    for entry in entries:
        if entry.time <= now:
            latest = max(latest, entry.time)
        yield max(entry.time, latest)


def _needed(kept: Sequence[HistoryEntry], entries: Sequence[HistoryEntry]) -> set[Digest]:
    """Return the ids that are kept, and all that they build on."""
    bases = {entry.id: entry.base for entry in entries}
    needed: set[Digest] = set()
    waiting = [entry.id for entry in kept]
    while waiting:
        id_ = waiting.pop()
        if id_ not in needed:
            needed.add(id_)
            waiting += bases.get(id_, ())
    return needed


class FullEvery(NamedTuple):
    """The time at which a chain begins anew with a full bundle; one of the two."""

    bundles: int | None = None
    """After as many bundles, the full one included."""
    days: int | None = None
    """When its full bundle is as old."""

    @classmethod
    def of(cls, text: str) -> FullEvery:
        """Read `7` for bundles, `30d` for days."""
        return cls(days=int(text[:-1])) if text.endswith("d") else cls(int(text))

    def is_due(self, entries: Sequence[HistoryEntry], last: HistoryEntry, now: int) -> bool:
        """Return whether the bundle after `last` is to be a full one."""
        needed = _needed([last], entries)
        chain = [entry for entry in entries if entry.id in needed]
        if self.bundles is not None:
            return len({entry.id for entry in chain}) >= self.bundles
        return self.days is not None and now - chain[0].time >= self.days * DAY


LAST = "last"
"""As a base: what the job wrote last; nothing at all on its first night."""


class Incremental(NamedTuple):
    """One export among others."""

    job: Job = DEFAULT_JOB
    base: tuple[str, ...] = ()
    """Bundles, ids of bundles, or receipts of what the other side has; or `LAST`."""
    allow_empty: bool = False
    """True if a delta is written even when it holds nothing."""
    immutable: tuple[str, ...] = ()
    """Tags that are taken as the base has them, without asking: `semver`, or globs."""
    keep: Keep = Keep()
    """Which of the job's bundles stay afterwards."""
    full_every: FullEvery | None = None
    """When the chain begins anew, for the base `LAST`."""


ALONE = Incremental()


class Going(NamedTuple):
    """The bundles of a job that are not kept, and what is to be done with them."""

    entries: tuple[HistoryEntry, ...] = ()
    """All of them; the store forgets them."""
    files: tuple[tuple[Path, list[Path]], ...] = ()
    """Those that are there and still what the job wrote: the bundle with its files."""
    warnings: tuple[str, ...] = ()


def going(
    entries: Sequence[HistoryEntry], incremental: Incremental, session: Session, *, writes: bool = False
) -> Going:
    """Return what `retain` removes; `writes`: the last of the entries is yet to be written.

    Raises: IntegrityError if the newest bundle is not whole.
    """
    gone = expired(entries, incremental.job, incremental.keep, session.clock())
    beyond = kept_beyond(entries, incremental, session.clock())
    if not gone:
        return Going(warnings=(beyond,) if beyond else ())
    newest = next((entry for entry in reversed(entries) if entry.job == incremental.job), None)
    if newest and newest.path and not writes and not files_of(newest):
        line = f"{newest.path}: it is the newest bundle, and not there: no older one was removed"
        return Going(warnings=(line,))
    _prove(None if writes else newest, session.limits)
    removed: list[tuple[Path, list[Path]]] = []
    warnings = [beyond] if beyond else []
    written_last = {entry.path: entry.id for entry in entries}
    for entry in gone:
        path, files = Path(entry.path or ""), files_of(entry)
        if not files or written_last[entry.path] != entry.id:
            continue  # carried away, or replaced by a newer one of the same name
        if _is_ours(files[0], entry, session.limits):
            removed.append((path, files))
        else:
            warnings.append(f"{path}: not removed: it is not the bundle that this job wrote there")
    return Going(tuple(gone), tuple(removed), tuple(warnings))


def retain(store: Store, incremental: Incremental, session: Session) -> tuple[list[str], tuple[str, ...]]:
    """Remove what is not kept; return the files that are gone, and warnings about those left alone.

    A file goes only if it still is the bundle that this job wrote there. Raises IntegrityError, before
    anything is removed, if the newest bundle is not whole.
    """
    history = History(store.path)
    gone = going(history.entries(), incremental, session)
    for path, files in gone.files:
        remove_sidecar(path)
        for file in files:
            remove_if_there(file)
        # Forgotten before it is gone for good, nobody would ever remove it.
        sync_directory(path.parent)
    if gone.entries:
        history.forget({entry.id for entry in gone.entries})
    return [str(path) for path, _ in gone.files], gone.warnings


def files_of(entry: HistoryEntry) -> list[Path]:
    """Return the bundle's file, or those of its volumes that exist."""
    path = Path(entry.path or "")
    if not path.name.endswith((BUNDLE_SUFFIX, COMPACT_SUFFIX)):
        return []
    if path.exists():
        return [path]
    names = sorted(path.parent.glob(f"{glob.escape(path.name)}.[0-9p]*")) if path.parent.is_dir() else []
    from bundler.volumes.volume_sets import is_volume

    return [name for name in names if is_volume(name)]


def _prove(newest: HistoryEntry | None, limits: Limits) -> None:
    if newest is None or not (files := files_of(newest)):
        return
    try:
        with open_bundle(files[0], limits) as bundle:
            for _ in bundle.everything():
                pass
    except BundlerError as error:
        cause = f"the newest bundle is damaged, so no older one was removed: {error.cause}"
        raise IntegrityError(str(files[0]), cause, "run the export again") from error


def _is_ours(path: Path, entry: HistoryEntry, limits: Limits) -> bool:
    try:
        with open_bundle(path, limits) as bundle:
            return bundle.id == entry.id
    except BundlerError:
        return False
