"""`--job`: the name under which runs of one kind are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from bundler.errors import UsageError
from bundler.trust.statement import DEFAULT_JOB, Job

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
