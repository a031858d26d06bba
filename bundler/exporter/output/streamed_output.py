"""A bundle written while its large blobs come: tried again for wrong bytes, given up where a blob fails."""

from __future__ import annotations

from contextlib import ExitStack, suppress

from bundler.bundle.bundle_output import BundleOutput
from bundler.bundle.reader import Bundle, open_bundle
from bundler.errors import BundlerError, IntegrityError, LocalError
from bundler.exporter.fetch.fetch_all import Fetched
from bundler.exporter.fetch.left_over import move_to_store
from bundler.exporter.fetch.streamed_blobs import StreamedBlobs
from bundler.folders import check_disk
from bundler.oci import Descriptor
from bundler.reporting.json_report import BundleReport
from bundler.session import Session
from bundler.store.blob_store import Store


def write_streamed(
    fetched: Fetched, out: BundleOutput, store: Store, session: Session
) -> BundleReport | None:
    """Write the bundle; None if a blob can't be had: then what came is in the store.

    Raises: BundlerError of the blob, if there is no way back (a pipe), or no room for the store.
    """
    doubtful: set[Descriptor] = set()
    for attempt in range(session.limits.integrity_attempts):
        try:
            return _written(fetched, out, store, session, doubtful)
        except _BlobError as failed:
            error = failed.error
            doubtful.add(failed.blob)
            if out.path is None:
                next_step = "name a file, or add --store DIR: both go on where it broke off"
                raise type(error)(error.item, f"{error.cause}; the bundle has no end", next_step) from error
            if not isinstance(error, IntegrityError) or attempt + 1 == session.limits.integrity_attempts:
                break
            session.registries.traffic.count(retries=1)
    _give_up(fetched, out, store, doubtful, error)
    return None


class _BlobError(Exception):
    """A blob that was not to be had, and the reason."""

    def __init__(self, blob: Descriptor, error: BundlerError) -> None:
        super().__init__(blob.digest)
        self.blob = blob
        self.error = error


def _written(
    fetched: Fetched, out: BundleOutput, store: Store, session: Session, doubtful: set[Descriptor]
) -> BundleReport:
    inventory = fetched.content.inventory
    with ExitStack() as stack:
        if left := out.left_over():
            stack.enter_context(left)
        replaced = _replaced(out, session, stack)
        blobs = StreamedBlobs(fetched, session, store, left, replaced, doubtful=doubtful)
        stack.enter_context(blobs)
        try:
            return out.write(inventory, blobs, session.progress, resumable=True)
        except LocalError:
            raise
        except BundlerError as error:
            if blobs.failed is None:
                raise
            raise _BlobError(blobs.failed, error) from error


def _replaced(out: BundleOutput, session: Session, stack: ExitStack) -> Bundle | None:
    """Open the bundle that is there; None if there is none, or a damaged one."""
    if out.path and out.path.is_file():
        with suppress(BundlerError):
            return stack.enter_context(open_bundle(out.path, session.limits))
    return None


def _give_up(
    fetched: Fetched, out: BundleOutput, store: Store, doubtful: set[Descriptor], error: BundlerError
) -> None:
    """Move what came into the store: without the blob, the bundle is another. Raises `error` without room."""
    left = out.left_over()
    if left is None:
        out.forget()
        return
    with left:
        try:
            check_disk(
                [(store.path, fetched.plan.fetch_bytes), *filter(None, [out.need(fetched.content.inventory)])]
            )
        except LocalError:
            raise error from None
        move_to_store(left, fetched.plan, store, doubtful)
    out.forget()
