"""Volumes, compact bundles and shards: what the options become."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bundler.bundle.format import COMPACT_LEVEL
from bundler.config.export_options import CompactOptions, VolumeOptions
from bundler.errors import UsageError
from bundler.selection.sources import Shard

if TYPE_CHECKING:
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
