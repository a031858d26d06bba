"""Large blobs on their way from registries straight into the bundle; the others come from the store."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from bundler.errors import BundlerError, LocalError
from bundler.exporter.fetch.fetch_all import Fetched
from bundler.exporter.fetch.fetch_plan import blob_key
from bundler.oci import Descriptor, Verifier
from bundler.registry.blob_ranges import BlobRun, WantedBlob
from bundler.session import Session
from bundler.store.blob_store import Store
from bundler.workers import Lanes

if TYPE_CHECKING:
    from bundler.bundle.begun.unfinished import UnfinishedBundle
    from bundler.bundle.reader import Bundle


class StreamedBlobs:
    """The content of a bundle, in the order of its members. A BlobSource.

    What an interrupted run left of a large blob is read first, and the rest comes from a registry; the digest
    proves them together. One that the `replaced` bundle has is read from there: a run of which something
    failed left it. Blobs in `doubtful` come from the registry alone.
    """

    def __init__(
        self,
        fetched: Fetched,
        session: Session,
        store: Store,
        left: UnfinishedBundle | None,
        replaced: Bundle | None = None,
        *,
        doubtful: Collection[Descriptor] = (),
    ) -> None:
        self.failed: Descriptor | None = None
        """The blob that was not to be had."""
        self._store = store
        self._left = left
        carried = {*map(blob_key, replaced.inventory.content)} if replaced else set[Descriptor]()
        self._replaced = replaced
        self._carried = carried - {*doubtful}
        self._doubtful = doubtful
        self._lanes = Lanes(session.jobs)
        plan = fetched.plan
        tasks = {task.blob: task for task in plan.tasks if task.blob in plan.streamed}
        self._large = {
            blob: WantedBlob(
                blob,
                [session.registries.source(name) for name in tasks[blob].repositories],
                self._there(blob),
            )
            for blob in map(blob_key, fetched.content.inventory.content)
            if blob in tasks
        }
        self._run = BlobRun(self._large.values(), self._lanes)

    def _there(self, blob: Descriptor) -> int:
        """Return the bytes of a blob, from its first, that are on the disk."""
        if blob in self._carried:
            return blob.size
        return self._left.available(blob) if self._left and blob not in self._doubtful else 0

    def __enter__(self) -> StreamedBlobs:
        return self

    def __exit__(self, *exception: object) -> None:
        """Ask for no more."""
        self._run.close()

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, verified."""
        key = blob_key(blob)
        return self._streamed(key) if key in self._large else self._store.chunks(blob)

    def _streamed(self, blob: Descriptor) -> Iterator[bytes]:
        verifier = Verifier(blob)
        try:
            with self._lanes.held():
                for chunk in self._bytes(blob, verifier):
                    verifier.update(chunk)
                    yield chunk
                verifier.finish()
        except LocalError:
            raise
        except BundlerError:
            self.failed = blob
            raise

    def _bytes(self, blob: Descriptor, verifier: Verifier) -> Iterator[bytes]:
        if self._replaced and blob in self._carried:
            yield from self._replaced.chunks(blob)
        elif self._left and blob not in self._doubtful:
            yield from self._left.beginning(blob)
        if verifier.seen < blob.size:
            yield from self._run.chunks(blob, verifier.seen)
