"""The form of the bundle that an export writes: volumes, compact, shard, incremental."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.bundle_format import COMPACT_LEVEL
from bundler.config.export_options import CompactOptions, IncrementalOptions, VolumeOptions
from bundler.errors import UsageError
from bundler.selection.sources import Shard
from bundler.trust.job import Job

if TYPE_CHECKING:
    from bundler.exporter import Incremental
    from bundler.volumes.volume_writer import Cut


def cut_of(options: VolumeOptions) -> Cut | None:
    """Return how to cut a bundle; None for a single file. Raises UsageError."""
    if options.size is None:
        if options.parity:
            raise UsageError("--parity", "it has no effect without volumes", "add --volume-size")
        return None
    from bundler.volumes.volume_writer import Cut

    cut = Cut(options.size, options.parity or 0)
    cut.check(0)
    return cut


def lock_to_write(lock: Path | None, shard: Shard | None) -> Path | None:
    """Return the lock file; None for a shard, which only follows one. Raises UsageError if it is missing."""
    if shard and lock and not lock.exists():
        cause = "a shard needs an existing lock file"
        raise UsageError(
            str(lock), cause, "write the lock file by an export without --shard, or remove --lock"
        )
    return None if shard else lock


def level_of(form: CompactOptions) -> int | None:
    """Return the zstd level of a compact bundle, None for a portable one.

    Raises: UsageError for a level without --compact.
    """
    if form.level is not None and not form.compact:
        raise UsageError("--level", "only a compact bundle has a level", "add --compact, or leave it out")
    return (form.level or COMPACT_LEVEL) if form.compact else None


def incremental_of(options: IncrementalOptions, job: Job, out: str, store: Path | None) -> Incremental:
    """Return what a delta builds on, and what is kept. Raises UsageError before any work."""
    from bundler.exporter import FullEvery, Incremental, Keep

    keep = Keep(options.keep, options.keep_days)
    anew = FullEvery.of(options.full_every) if options.full_every else None
    incremental = Incremental(job, options.base, options.allow_empty, options.immutable, keep, anew)
    if keep.any and store is None:
        cause = "the bundles of a job are listed in its store"
        raise UsageError("--keep", cause, "name one with --store")
    if "last" in options.base and store is None:
        raise UsageError("--base last", "the last bundle is recorded in the store", "add --store DIR")
    if options.full_every and "last" not in options.base:
        raise UsageError("--full-every", "only a chain with --base last can start again", "add --base last")
    _check_out(out, options.base)
    return incremental


def _check_out(out: str, bases: tuple[str, ...]) -> None:
    if bases and not out.endswith((".tar.zst", ".compact.zst")) and out != "-":
        raise UsageError(out, "a delta must be a bundle file", "use a name that ends in .tar.zst")
    for base in bases:
        if Path(base).exists() and Path(base).resolve() == Path(out).resolve():
            raise UsageError(out, "the output is also a base", "choose another name for the output")
