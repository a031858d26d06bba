"""`--job`: the name under which runs of one kind are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bundler.errors import UsageError
from bundler.exporter import Incremental, Keep
from bundler.trust.statement import DEFAULT_JOB, Job

if TYPE_CHECKING:
    from bundler.config.file_values import ExportFile


Command = TypeVar("Command", bound=Callable[..., Any])


def job_option(command: Command) -> Command:
    """Add it to a command; it arrives as the text `job`, which `checked_job` must see."""
    return click.option(
        "--job",
        metavar="NAME",
        default=DEFAULT_JOB,
        show_default=True,
        help="The row of runs that this one belongs to: in metrics, signatures, and a store's memory.",
    )(command)


def checked_job(name: str) -> Job:
    """The name. Raises UsageError."""
    try:
        return Job.parse(name)
    except ValueError as error:
        raise UsageError("--job", str(error), "choose another name") from None


def series_options(command: Command) -> Command:
    """Add them to a command; they arrive as one value by `gathered_series`."""
    options = (
        click.option("--base", metavar="BUNDLE|ID|RECEIPT|last", multiple=True, type=click.Path(),
                     help="Leave out what this bundle, or the target of this receipt, has: OUT becomes a "
                          "delta. `last`: what this job made last, with the same --store. Repeatable."),
        click.option("--allow-empty", is_flag=True,
                     help="Write a delta also when nothing is new."),
        click.option("--immutable", metavar="semver|GLOB", multiple=True,
                     help="Tags that never move: those that the base, or the store, knows are not asked for "
                          "again. `semver` is every version. Repeatable."),
        click.option("--keep", metavar="N", type=click.IntRange(1),
                     help="Afterwards, remove this job's older bundles but the newest N, and what these "
                          "build on. Needs --store."),
        click.option("--keep-days", metavar="DAYS", type=click.IntRange(1),
                     help="The same by age; with --keep, a bundle stays that either keeps."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def gathered_series(
    options: dict[str, Any], file: ExportFile | None, out: str, store: Path | None
) -> Incremental:
    """Command line and export file together. Raises UsageError before any work."""

    def said(name: str) -> Any:
        return options[name] or (file and getattr(file, name)) or getattr(Incremental(), name, None)

    job = checked_job(options["job"])
    keep = Keep(options["keep"] or (file and file.keep), options["keep_days"] or (file and file.keep_days))
    series = Incremental(job, said("base"), options["allow_empty"], said("immutable"), keep)
    if keep.any and store is None:
        cause = "only the store knows which bundles are this job's"
        raise UsageError("--keep", cause, "name one with --store")
    if "last" in series.base and store is None:
        raise UsageError("--base last", "only the store knows what was last", "name one with --store")
    _check_out(out, series)
    return series


def _check_out(out: str, series: Incremental) -> None:
    if series.base and not out.endswith(".tar.zst") and out != "-":
        raise UsageError(out, "a delta is a bundle file", "let its name end in .tar.zst")
    for base in series.base:
        if Path(base).exists() and Path(base).resolve() == Path(out).resolve():
            raise UsageError(out, "it is its own base", "choose another name")
