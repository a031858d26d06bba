"""Tags asked again when everything has been fetched: whether they still point to what was taken."""

from __future__ import annotations

from enum import Enum

from bundler.bundle.inventory import Root
from bundler.errors import BundlerError, IntegrityError
from bundler.exporter.resolve.resolution import Resolution
from bundler.registry.registries import Registries
from bundler.reporting.progress import Progress
from bundler.workers import each

ROUNDS = 3
"""Times that everything is fetched again because a tag moved."""


class OnDrift(Enum):
    """What to do about a tag that moved while the export ran."""

    IGNORE = "ignore"
    """Don't ask: the bundle is consistent with what was seen first."""
    WARN = "warn"
    FAIL = "fail"
    REFETCH = "refetch"


def moved_tags(
    pinned: Resolution, on_drift: OnDrift, registries: Registries, *, jobs: int, progress: Progress
) -> dict[Root, BundlerError]:
    """Every tag that points elsewhere now, or that can't be asked; one HEAD for each tag."""
    if on_drift is OnDrift.IGNORE:
        return {}
    tagged = [root for root in pinned.roots if root.tag]
    moved: dict[Root, BundlerError] = {}
    with progress.step("tags again", len(tagged)) as step:
        for root, now in each(
            tagged,
            lambda root: registries.source(root.repository).digest_of(root.tag or root.digest),
            jobs=jobs,
        ):
            step.advance(items=1)
            if isinstance(now, BundlerError):
                moved[root] = now
            elif now != root.digest:
                cause = f"the tag moved during the export: taken {root.digest}, now {now or 'gone'}"
                moved[root] = IntegrityError(str(root), cause, "run the same command again")
    return moved


def note_drift(moved: dict[Root, BundlerError], pinned: Resolution) -> None:
    """Keep the names of those that moved; what can't be asked has not."""
    names = [str(root) for root, error in moved.items() if isinstance(error, IntegrityError)]
    pinned.drifted |= dict.fromkeys(names)


def settle(moved: dict[Root, BundlerError], on_drift: OnDrift, pinned: Resolution) -> None:
    """Warn of what moved, or leave it out."""
    if on_drift is OnDrift.WARN:
        pinned.warnings += [f"{error.item}: {error.cause}" for error in moved.values()]
    else:
        pinned.drop(moved)
