"""Tags asked for again when everything has been fetched, as they may have moved."""

from enum import Enum

from bundler.bundle.inventory import Root
from bundler.errors import BundlerError, IntegrityError
from bundler.exporter.export_content import ExportContent
from bundler.exporter.resolve.resolution import Findings
from bundler.session import Session

ROUNDS = 3
"""Times that everything is fetched again because a tag moved."""


class OnDrift(Enum):
    """The action to take on a tag that moved while the export ran."""

    IGNORE = "ignore"
    """Don't ask: the bundle is consistent with what was seen first."""
    WARN = "warn"
    FAIL = "fail"
    REFETCH = "refetch"


def tags_to_ask(content: ExportContent, on_drift: OnDrift) -> list[Root]:
    """Return the tags that are asked for again; not those known to have moved since the lock file."""
    if on_drift is OnDrift.IGNORE:
        return []
    drifted = set(content.findings.drifted)
    return [root for root in content.resolution.roots if root.tag and str(root) not in drifted]


def moved_tags(content: ExportContent, on_drift: OnDrift, session: Session) -> dict[Root, BundlerError]:
    """Return every tag that points elsewhere now, or that can't be asked; one HEAD for each tag."""
    tagged = tags_to_ask(content, on_drift)
    moved: dict[Root, BundlerError] = {}
    source = session.registries.source
    answers = dict(
        session.each(
            "tags again", tagged, lambda root: source(root.repository).digest_of(root.tag or root.digest)
        )
    )
    for root in tagged:
        now = answers[root]
        if isinstance(now, BundlerError):
            moved[root] = now
        elif now != root.digest:
            cause = f"the tag moved during the export: exported {root.digest}, now {now or 'gone'}"
            moved[root] = IntegrityError(str(root), cause, "run the same command again")
    return moved


def drift_of(moved: dict[Root, BundlerError]) -> Findings:
    """Return the names of those that moved; what can't be asked has not."""
    drifted = tuple(str(root) for root, error in moved.items() if isinstance(error, IntegrityError))
    return Findings(drifted=drifted)


def settled(content: ExportContent, moved: dict[Root, BundlerError], on_drift: OnDrift) -> ExportContent:
    """Return the content with a warning about what moved, or without it."""
    if on_drift is not OnDrift.WARN:
        return content.without(moved)
    warnings = tuple(f"{error.item}: {error.cause}" for error in moved.values())
    return content.noting(Findings(warnings=warnings))
