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
        cause = "only the store knows which bundles are this job's"
        raise UsageError("--keep", cause, "name one with --store")
    if "last" in options.base and store is None:
        raise UsageError("--base last", "only the store knows what was last", "name one with --store")
    _check_out(out, options.base)
    return incremental


def _check_out(out: str, bases: tuple[str, ...]) -> None:
    if bases and not out.endswith(".tar.zst") and out != "-":
        raise UsageError(out, "a delta is a bundle file", "let its name end in .tar.zst")
    for base in bases:
        if Path(base).exists() and Path(base).resolve() == Path(out).resolve():
            raise UsageError(out, "it is its own base", "choose another name")
