"""What one export has to do with those before it: nights of one job, and the bundles that they build on."""

from __future__ import annotations

from typing import NamedTuple

from bundler.store import Keep
from bundler.trust.statement import DEFAULT_JOB, Job

LAST = "last"
"""As a base: what the job wrote last; nothing at all on its first night."""


class Series(NamedTuple):
    """One export among others."""

    job: Job = DEFAULT_JOB
    now: int = 0
    """Seconds since 1970, for the journal."""
    base: tuple[str, ...] = ()
    """Bundles, ids of bundles, or receipts of what the other side has; or `LAST`."""
    allow_empty: bool = False
    """Whether a delta is written that holds nothing."""
    immutable: tuple[str, ...] = ()
    """Tags that are taken as the base has them, without asking: `semver`, or globs."""
    keep: Keep = Keep()
    """Which of the job's bundles stay afterwards."""


ALONE = Series()
