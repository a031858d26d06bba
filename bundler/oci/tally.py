"""Counting what adds up over many documents: a few of them, shared by many, can make work without end."""

from __future__ import annotations

from bundler.errors import BUNDLE, ContentError
from bundler.limits import Limits
from bundler.oci.manifest import Manifest


class Tally:
    """A count with a limit. `what` says in the message what was counted."""

    def __init__(self, item: str, limit: int, what: str) -> None:
        self._item = item
        self._limit = self._left = limit
        self._what = what

    def add(self, number: int) -> None:
        """Count. Raises ContentError over the limit."""
        self._left -= number
        if self._left < 0:
            raise ContentError(self._item, f"more than the limit of {self._limit:,} {self._what}")


class HeldManifests:
    """Counts what manifests take in memory: much more than their bytes, if they are made for that."""

    def __init__(self, limits: Limits, item: str = BUNDLE) -> None:
        self._descriptors = Tally(item, limits.descriptors, "layers and children of its manifests")
        self._annotations = Tally(item, limits.annotations, "bytes that its manifests' annotations take")

    def add(self, manifest: Manifest) -> None:
        """Count one. Raises ContentError over a limit."""
        self._descriptors.add(manifest.descriptors)
        self._annotations.add(manifest.annotated)
