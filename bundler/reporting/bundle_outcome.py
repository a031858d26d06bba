"""The result of one of several bundles in a report."""

from dataclasses import dataclass
from typing import Literal

BundleStatus = Literal["imported", "planned", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class BundleOutcome:
    """One of several bundles that were given to an import, in the order in which they were made."""

    path: str
    id: str
    """sha256 of the inventory."""
    kind: Literal["full", "delta"]
    status: BundleStatus
    reason: str
    """The reason why it was skipped."""
    tags: int
    """Number of tags in it."""
    job: str | None = None
    """The job that its statement names; null for a bundle without a signature."""
    sequence: int | None = None
    """The number that its statement names."""
