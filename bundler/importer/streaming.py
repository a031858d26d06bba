"""Blobs sent while they come out of a pipe: verify and push interleaved, in the bundle's order.

A pipe can't be read twice. Small blobs are held in memory until they are sent, so they can be tried
again; a large one goes through once, and from the target's first repository into the others. What is read
and what is sent are some megabytes apart, so that a slow disk and a slow registry do not wait for each
other, and the next blobs are on their way before the last one is answered for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Protocol

from bundler.bundle.closure import check_closure
from bundler.bundle.inventory import Inventory
from bundler.bundle.reader import Bundle
from bundler.bundle.stream import BundleStream
from bundler.errors import NetworkError
from bundler.importer.import_plan import ImportPlan, PlannedUpload
from bundler.importer.push import ContentPush
from bundler.importer.required import AvailableContent
from bundler.ledger.ledger import ImportRecord
from bundler.limits import MIB
from bundler.oci import Descriptor, Digest, Manifest
from bundler.session import Session
from bundler.verify import ManifestCollector
from bundler.workers import Relay, Room

HELD = 8 * MIB
"""Bytes of the largest blob that is held in memory until it is sent."""

AHEAD = 40 * MIB
"""Bytes that are in memory at a time, of all blobs."""


def send_as_it_comes(
    stream: BundleStream,
    arranged: Arranged,
    record: ImportRecord,
    session: Session,
    beside: Sequence[Bundle],
) -> ContentPush:
    """Read the open stream to its proven end; send every blob that the target needs.

    `arranged` makes the plan as soon as the manifests are known. Raises IntegrityError or ContentError
    before any manifest is sent.
    """
    inventory = stream.inventory
    collector = ManifestCollector(inventory, session.limits)
    content = list(inventory.content)
    with session.progress.step("blobs", len(content), sum(blob.size for blob in content)) as bar:
        blobs = stream.blobs()
        for blob, chunks in islice(blobs, len(inventory.manifests)):
            collector.take(blob, chunks)
            bar.advance(items=1, size=blob.size)
        check_closure(inventory, collector.manifests, session.limits)
        sources = AvailableContent(_Gone(), inventory, beside)
        plan = arranged(inventory, collector.manifests, content=sources)
        record.begins(new=bool(plan.new))
        push = ContentPush(plan, session)
        pool = ThreadPoolExecutor(session.jobs)
        sender = _Sender(push, plan, pool)
        try:
            for blob, chunks in blobs:
                sender.take(blob, chunks)
                bar.advance(items=1, size=blob.size)
            sender.finish()
            if sender.left:
                push.blobs(sources, sender.left)
        finally:
            sender.break_off()
            # Not waited for: after an interrupt, an upload may sit in a stalled connection.
            pool.shutdown(wait=False, cancel_futures=True)
    return push


class _Gone:
    """The blobs of a pipe: not to be read again."""

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Raise NetworkError: nothing of it is left."""
        raise NetworkError(f"blob {blob.digest}", "a pipe can't be read again", "run the import again")


class Arranged(Protocol):
    """A function that makes the plan, as soon as the manifests are known."""

    def __call__(
        self, inventory: Inventory, manifests: Mapping[Digest, Manifest], *, content: AvailableContent
    ) -> ImportPlan:
        """Ask the target. Raises what keeps it from being asked."""


class _Sender:
    """A sender of those passing blobs that the plan wants."""

    def __init__(self, push: ContentPush, plan: ImportPlan, pool: ThreadPoolExecutor) -> None:
        self._push = push
        self._uploads = {upload.blob.digest: upload for upload in plan.uploads}
        self._pool = pool
        self._taken: set[Digest] = set()
        self._under_way: set[Future[None]] = set()
        self._room = Room(AHEAD)
        self._relay = Relay(self._room)

    def take(self, blob: Descriptor, chunks: Iterator[bytes]) -> None:
        """Read one blob, and have it sent; what is not wanted is left to be verified."""
        upload = self._uploads.get(blob.digest)
        if upload is None:
            return
        self._taken.add(blob.digest)
        self._wait_for_one()
        if blob.size <= HELD:
            self._room.take(blob.size)
            self._under_way.add(self._pool.submit(self._small, upload, b"".join(chunks)))
            return
        self._relay = Relay(self._room)
        self._under_way.add(self._pool.submit(self._large, upload, self._relay))
        for chunk in chunks:
            self._relay.put(chunk)
        self._relay.end()

    def _wait_for_one(self) -> None:
        """Wait until a thread is free, so that whatever is read is being sent. Raises what sending raised."""
        done, self._under_way = wait(self._under_way, 0)
        if len(self._under_way) >= self._push.session.jobs:
            more, self._under_way = wait(self._under_way, return_when=FIRST_COMPLETED)
            done |= more
        for sent in done:
            sent.result()

    @property
    def left(self) -> list[PlannedUpload]:
        """Return the uploads that a delta needs and did not bring."""
        return [upload for digest, upload in self._uploads.items() if digest not in self._taken]

    def finish(self) -> None:
        """Wait for what is under way."""
        for sent in wait(self._under_way).done:
            sent.result()

    def break_off(self) -> None:
        """Let no upload wait for bytes that will not come, nor end with bytes that are not proven."""
        cause = "the bundle broke off"
        self._relay.break_off(NetworkError("import", cause, "run the import again to go on"))

    def _small(self, upload: PlannedUpload, data: bytes) -> None:
        try:
            for name in upload.repositories:
                self._push.blob(upload, name, lambda _: iter([data]))
        finally:
            self._room.give_back(upload.blob.size)

    def _large(self, upload: PlannedUpload, relay: Relay) -> None:
        first, *others = upload.repositories
        once = [relay]

        def opened(_: int) -> Iterator[bytes]:
            if not once:
                cause = "the upload broke off, and a pipe can't be read again"
                raise NetworkError(f"blob {upload.blob.digest}", cause, "run the import again to go on")
            return iter(once.pop())

        try:
            self._push.blob(upload, first, opened)
        finally:
            relay.leave()
        copied = self._push.session.registries.source(first)
        for name in others:
            # Mostly mounted; a target without mounts gives the bytes back.
            self._push.blob(upload, name, lambda _: copied.chunks(upload.blob))
