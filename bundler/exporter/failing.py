"""One failing item costs one item; but when thousands fail, something else is wrong."""

from __future__ import annotations

from bundler.errors import BundlerError, ContentError


class Failing:
    """Counts what failed in one run."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0

    def add(self, error: BundlerError) -> None:
        """Count one. Raises ContentError that tells it, when it is one too many."""
        self._count += 1
        if self._count > self._limit:
            cause = f"{error.cause}; more than the limit of {self._limit:,} items failed"
            raise ContentError(error.item, cause, "find out what they have in common, or choose fewer tags")
