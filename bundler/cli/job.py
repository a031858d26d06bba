"""`--job`: the name under which runs of one kind are known."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from bundler.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])
DEFAULT_JOB = "default"
_GRAMMAR = re.compile("[A-Za-z0-9._-]{1,64}")


def job_option(command: Command) -> Command:
    """Add it to a command; it arrives as the text `job`, which `checked_job` must see."""
    return click.option(
        "--job",
        metavar="NAME",
        default=DEFAULT_JOB,
        show_default=True,
        help="What this run is called in metrics: at most 64 letters, digits, `.`, `_`, `-`.",
    )(command)


def checked_job(name: str) -> str:
    """The name. Raises UsageError."""
    if _GRAMMAR.fullmatch(name) is None:
        raise UsageError("--job", f"{name!r} is no name", "take at most 64 letters, digits, '.', '_', '-'")
    return name
