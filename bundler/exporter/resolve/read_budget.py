"""The bounds of all answers of one run together."""

import threading
from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

from bundler.errors import BundlerError, ContentError
from bundler.limits import Limits
from bundler.oci import Descriptor
from bundler.oci.graph import HeldManifests, Tally
from bundler.oci.manifest import Manifest
from bundler.session import Session

Item = TypeVar("Item")

Result = TypeVar("Result")


class FailureLimit:
    """A count of what failed in one run: when thousands fail, they have one cause."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0

    def add(self, error: BundlerError) -> None:
        """Count one.

        Raises: ContentError with this error's cause, when it is one too many.
        """
        self._count += 1
        if self._count > self._limit:
            cause = f"{error.cause}; more than {self._limit:,} items failed"
            raise ContentError(
                error.item, cause, "find out what these items have in common, or choose fewer tags"
            )


RUN = "selection"

FEWER = "export fewer repositories or tags at a time"


class TooMuchError(ContentError):
    """A limit of the whole run is reached, and the run ends."""


class ReadBudget:
    """The manifests and names that one run reads, counted; equal manifests are one."""

    def __init__(self, limits: Limits) -> None:
        self._lock = threading.Lock()
        self._manifests: dict[Descriptor, Manifest] = {}
        self._parts = HeldManifests(limits, RUN)
        self._bytes = Tally(RUN, limits.manifests, "bytes of manifests")
        self._nodes = Tally(RUN, limits.graph_nodes, "manifests")
        self._names = Tally(RUN, limits.listed, "tags listed")
        self._referrers = Tally(RUN, limits.graph_nodes, "referrers listed")

    def one(self, manifest: Manifest) -> Manifest:
        """Return the manifest, or the same one that was read before.

        Raises: TooMuchError.
        """
        with self._lock:
            held = self._manifests.get(manifest.blob)
            if held is not None:
                return held
            self._add(self._bytes, manifest.blob.size)
            self._add(self._nodes, 1)
            try:
                self._parts.add(manifest)
            except ContentError as error:
                raise _too_much(error) from None
            self._manifests[manifest.blob] = manifest
            return manifest

    def count_names(self, number: int) -> None:
        """Count tags that were listed.

        Raises: TooMuchError.
        """
        with self._lock:
            self._add(self._names, number)

    def count_referrers(self, number: int) -> None:
        """Count referrers that were listed.

        Raises: TooMuchError.
        """
        with self._lock:
            self._add(self._referrers, number)

    def _add(self, tally: Tally, number: int) -> None:
        try:
            tally.add(number)
        except ContentError as error:
            raise _too_much(error) from None


def _too_much(error: ContentError) -> TooMuchError:
    return TooMuchError(error.item, error.cause, FEWER)


def bounded(answer: Result | BundlerError) -> Result | BundlerError:
    """Return an answer; one about a limit of the whole run is raised."""
    if isinstance(answer, TooMuchError):
        raise answer
    return answer


def each_bounded(
    session: Session, label: str, items: Collection[Item], work: Callable[[Item], Result]
) -> Iterator[tuple[Item, Result | BundlerError]]:
    """Do `work` on all items, several at a time; yield pairs as they are finished.

    Raises: TooMuchError where one of them met a limit of the whole run.
    """
    for item, result in session.each(label, items, work):
        yield item, bounded(result)
