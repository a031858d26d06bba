"""What one run has read and holds, counted by the threads that read it: others wait to be taken in."""

from __future__ import annotations

import threading

from bundler.errors import ContentError
from bundler.limits import Limits
from bundler.oci.content import Descriptor
from bundler.oci.manifest import Manifest
from bundler.oci.tally import HeldManifests, Tally

RUN = "selection"
FEWER = "export fewer repositories or tags at a time"


class TooMuchError(ContentError):
    """A limit of the whole run is reached: it ends."""


class Held:
    """Counts, and lets equal manifests be one."""

    def __init__(self, limits: Limits) -> None:
        self._lock = threading.Lock()
        self._manifests: dict[Descriptor, Manifest] = {}
        self._parts = HeldManifests(limits, RUN)
        self._bytes = Tally(RUN, limits.manifests, "bytes of manifests")
        self._names = Tally(RUN, limits.listed, "tags listed")
        self._referrers = Tally(RUN, limits.graph_nodes, "referrers listed")

    def one(self, manifest: Manifest) -> Manifest:
        """The manifest, or the same one that was read before. Raises TooMuchError."""
        with self._lock:
            known = self._manifests.get(manifest.blob)
            if known is not None:
                return known
            self._add(self._bytes, manifest.blob.size)
            try:
                self._parts.add(manifest)
            except ContentError as error:
                raise _too_much(error) from None
            self._manifests[manifest.blob] = manifest
            return manifest

    def count_names(self, number: int) -> None:
        """So many more tags were listed. Raises TooMuchError."""
        with self._lock:
            self._add(self._names, number)

    def count_referrers(self, number: int) -> None:
        """So many more referrers were listed. Raises TooMuchError."""
        with self._lock:
            self._add(self._referrers, number)

    def _add(self, tally: Tally, number: int) -> None:
        try:
            tally.add(number)
        except ContentError as error:
            raise _too_much(error) from None


def _too_much(error: ContentError) -> TooMuchError:
    return TooMuchError(error.item, error.cause, FEWER)
