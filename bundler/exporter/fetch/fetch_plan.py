"""The blobs that an export has to fetch, from where, and how many bytes: a value, made without I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from bundler.bundle.inventory import Root
from bundler.errors import BundlerError
from bundler.exporter.resolve.resolution import Resolution
from bundler.limits import MIB, Limits
from bundler.oci import Descriptor, Manifests, RepositoryName, Tally, bottom_up

STREAMED = 8 * MIB
"""Bytes from which on a blob can go straight into the bundle."""


class BlobTask(NamedTuple):
    """One blob to fetch, once, and every repository that has it."""

    blob: Descriptor
    repositories: tuple[RepositoryName, ...]


class ExportPlan(NamedTuple):
    """The work that is left when the tags are pinned."""

    tasks: tuple[BlobTask, ...]
    present: tuple[Descriptor, ...]
    manifest_bytes: int
    asked_again: int = 0
    """Tags asked for again at the end, as they may have moved."""
    streamed: frozenset[Descriptor] = frozenset()
    """Blobs that go straight into the bundle."""

    @property
    def stored(self) -> tuple[BlobTask, ...]:
        """Return the tasks of blobs that go into the store."""
        return tuple(task for task in self.tasks if task.blob not in self.streamed)

    def streaming(self, begun: Callable[[Descriptor], int]) -> ExportPlan:
        """Return the plan with large blobs streamed, but for those that the store has `begun` to keep."""
        large = (task.blob for task in self.tasks if task.blob.size >= STREAMED)
        return self._replace(streamed=frozenset(blob for blob in large if not begun(blob)))

    @property
    def requests(self) -> int:
        """Return the number of requests behind those of the selection."""
        return len(self.tasks) + self.asked_again

    @property
    def fetch_bytes(self) -> int:
        """Return the bytes to download."""
        return sum(task.blob.size for task in self.tasks)

    @property
    def total_bytes(self) -> int:
        """Return the distinct bytes of everything selected."""
        return self.fetch_bytes + sum(blob.size for blob in self.present) + self.manifest_bytes


NOTHING_TO_FETCH = ExportPlan((), (), 0)


def plan_export(
    roots: Iterable[Root], manifests: Manifests, has: Callable[[Descriptor], bool], limits: Limits
) -> ExportPlan:
    """Plan to fetch each distinct blob once, over all repositories, unless the store has it.

    Two manifests may name one digest with different sizes: one of them is wrong. Each is a task of
    its own, so that only the wrong one fails. Raises ContentError where it would be work without end.
    """
    homes: dict[Descriptor, dict[RepositoryName, None]] = {}
    reached: dict[Descriptor, None] = {}
    tally = Tally("selection", limits.needs, "blobs that its tags need")
    for root in roots:
        for manifest in bottom_up([root.digest], manifests):
            reached[manifest.blob] = None
            tally.add(manifest.descriptors)
            for blob in manifest.blobs:
                homes.setdefault(blob_key(blob), {})[root.repository] = None
    manifest_digests = {blob.digest for blob in reached}
    content = {blob: tuple(names) for blob, names in homes.items() if blob.digest not in manifest_digests}
    present = tuple(blob for blob in content if has(blob))
    stored = set(present)
    tasks = tuple(BlobTask(blob, names) for blob, names in content.items() if blob not in stored)
    return ExportPlan(tasks, present, sum(blob.size for blob in reached))


def blob_key(blob: Descriptor) -> Descriptor:
    """Return the descriptor without its media type: the same bytes may have several."""
    return Descriptor("", blob.digest, blob.size)


def incomplete(
    resolution: Resolution, missing: Mapping[Descriptor, BundlerError]
) -> dict[Root, BundlerError]:
    """Return the roots that need a blob which could not be fetched, each with the reason of one such blob."""
    manifests = resolution.manifests
    failures: dict[Root, BundlerError] = {}
    for root in resolution.roots if missing else ():
        for manifest in bottom_up([root.digest], manifests):
            blobs = (blob_key(blob) for blob in manifest.blobs if blob.digest not in manifests)
            if lacking := next((blob for blob in blobs if blob in missing), None):
                failures[root] = missing[lacking]
                break
    return failures
