"""The context that every step of one run shares: registries, limits, width, progress, clock.

It is made once and passed as one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from bundler.errors import BundlerError
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.reporting.progress import SILENCE, Progress, each_shown
from bundler.workers import DEFAULT_JOBS

if TYPE_CHECKING:
    from bundler.registry.registries import Registries

Item = TypeVar("Item")
Result = TypeVar("Result")


def system_clock() -> int:
    """Return seconds since the epoch."""
    return int(time.time())


class Session:
    """One run of the program, as its steps see it.

    `registries` are those of the run; without any, they are made with default settings when they are
    first asked for, so that a run that asks none loads no HTTP library. `limits` default to theirs.
    `clock` returns seconds since the epoch. Everything is safe to use from several threads.
    """

    def __init__(
        self,
        registries: Registries | None = None,
        *,
        limits: Limits | None = None,
        jobs: int = DEFAULT_JOBS,
        progress: Progress = SILENCE,
        clock: Callable[[], int] = system_clock,
    ) -> None:
        registry_limits = registries.settings.hosts.limits if registries else DEFAULT_LIMITS
        self.limits = limits or registry_limits
        self.jobs = jobs
        self.progress = progress
        self.clock = clock
        self._given = registries

    @cached_property
    def registries(self) -> Registries:
        """Return every registry that this run speaks to."""
        from bundler.registry.registries import Registries

        return self._given or Registries()

    def each(
        self, label: str, items: Collection[Item], work: Callable[[Item], Result]
    ) -> Iterator[tuple[Item, Result | BundlerError]]:
        """Do `work` on all items, `jobs` at a time, shown as one step; yield pairs as they are finished.

        A BundlerError is a result; a LocalError stops everything. See `workers.each`.
        """
        return each_shown(self.progress, label, items, work, jobs=self.jobs)
