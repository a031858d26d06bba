"""Tags asked again when everything has been fetched: whether they still point to what was taken."""

from __future__ import annotations

from enum import Enum

from bundler.bundle.inventory import Root
from bundler.errors import BundlerError, IntegrityError
from bundler.exporter.resolve.resolution import Resolution
from bundler.session import Session

ROUNDS = 3
"""Times that everything is fetched again because a tag moved."""


class OnDrift(Enum):
    """What to do about a tag that moved while the export ran."""

    IGNORE = "ignore"
    """Don't ask: the bundle is consistent with what was seen first."""
    WARN = "warn"
    FAIL = "fail"
    REFETCH = "refetch"


def moved_tags(pinned: Resolution, on_drift: OnDrift, session: Session) -> dict[Root, BundlerError]:
    """Return every tag that points elsewhere now, or that can't be asked; one HEAD for each tag."""
    if on_drift is OnDrift.IGNORE:
        return {}
    tagged = [root for root in pinned.roots if root.tag]
    moved: dict[Root, BundlerError] = {}
    source = session.registries.source
    for root, now in session.each(
        "tags again", tagged, lambda root: source(root.repository).digest_of(root.tag or root.digest)
    ):
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
