"""Incremental exports: what the options become."""

from pathlib import Path

from bundler.config.export_options import IncrementalOptions
from bundler.errors import UsageError
from bundler.exporter import Incremental, Keep
from bundler.trust.statement import Job


def incremental_of(options: IncrementalOptions, job: Job, out: str, store: Path | None) -> Incremental:
    """Return what a delta builds on, and what is kept. Raises UsageError before any work."""
    keep = Keep(options.keep, options.keep_days)
    incremental = Incremental(job, options.base, options.allow_empty, options.immutable, keep)
    if keep.any and store is None:
        cause = "the bundles of a job are listed in its store"
        raise UsageError("--keep", cause, "name one with --store")
    if "last" in options.base and store is None:
        raise UsageError("--base last", "the last bundle is recorded in the store", "add --store DIR")
    _check_out(out, options.base)
    return incremental


def _check_out(out: str, bases: tuple[str, ...]) -> None:
    if bases and not out.endswith((".tar.zst", ".compact.zst")) and out != "-":
        raise UsageError(out, "a delta must be a bundle file", "use a name that ends in .tar.zst")
    for base in bases:
        if Path(base).exists() and Path(base).resolve() == Path(out).resolve():
            raise UsageError(out, "the output is also a base", "choose another name for the output")
