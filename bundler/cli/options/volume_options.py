"""The options that cut a bundle into volumes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bundler.errors import UsageError
from bundler.selection.sources import Selection, Shard

if TYPE_CHECKING:
    from bundler.volumes.volume_writer import Cut


Command = TypeVar("Command", bound=Callable[..., Any])

_SIZE = re.compile("([0-9]{1,15})([KMGT]i?)?B?")

_UNITS: dict[str, int] = {
    letter + binary: (1024 if binary else 1000) ** power
    for power, letter in enumerate("KMGT", 1)
    for binary in ("i", "")
}


def cut_options(command: Command) -> Command:
    """Add them to a command; they arrive as one value by `gathered_cut`."""
    options = (
        click.option("--volume-size", metavar="SIZE",
                     help="Write numbered volumes, each smaller than SIZE (4GiB fits FAT32, 4700MB a DVD)."),
        click.option("--parity", metavar="PERCENT", type=click.IntRange(1, 100),
                     help="With volumes: so many more, from which lost or damaged ones are made again."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def more_volumes(command: Command) -> Command:
    """`--volumes-in`; it arrives as `volumes_in`."""
    return click.option(
        "--volumes-in",
        metavar="DIR",
        multiple=True,
        type=click.Path(path_type=Path),
        help="A folder with more volumes of the set. Repeatable.",
    )(command)


def gathered_cut(options: dict[str, Any]) -> Cut | None:
    """Take the options out of a command's arguments. Raises UsageError."""
    size, parity = options.pop("volume_size"), options.pop("parity")
    if size is None:
        if parity:
            raise UsageError("--parity", "only volumes have parity", "give --volume-size too")
        return None
    from bundler.volumes.volume_writer import Cut

    cut = Cut(size_of(size), parity or 0)
    cut.check(0)
    return cut


def size_of(text: str) -> int:
    """`4GiB`, `700MB`, `1000000`: bytes. Raises UsageError."""
    found = _SIZE.fullmatch(text)
    if not found:
        raise UsageError("--volume-size", f"{text!r} is not a size", "write 4GiB, 700MB or bytes")
    unit = _UNITS[found[2]] if found[2] else 1
    return int(found[1]) * unit


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
