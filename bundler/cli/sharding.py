"""`--shard`: the option by which several machines share one export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bundler.errors import UsageError
from bundler.shard import Shard
from bundler.wanted import Selection

Command = TypeVar("Command", bound=Callable[..., Any])


def shard_option(command: Command) -> Command:
    """Add it to a command; it arrives as the text `shard`."""
    return click.option(
        "--shard",
        metavar="I/N",
        help="Only part I of N, counted from 0 to N-1: repositories are dealt out by a hash of their names, "
        "the same everywhere. `merge` joins the parts.",
    )(command)


def in_shard(selection: Selection, shard: str | None) -> Selection:
    """The part of a selection that the option names. Raises UsageError."""
    return selection._replace(shard=Shard.parse(shard)) if shard else selection


def lock_to_write(lock: Path | None, shard: str | None) -> Path | None:
    """The lock file; None for a shard, which only follows one. Raises UsageError where it is not there."""
    if shard and lock and not lock.exists():
        cause = "a shard follows a lock file, and this one is not there"
        raise UsageError(str(lock), cause, "write it with an export without --shard, or leave --lock out")
    return None if shard else lock
