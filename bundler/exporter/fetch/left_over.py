"""The beginning of a bundle that an interrupted run left: gone on with, moved into the store, or removed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING

from bundler.bundle.bundle_output import BundleOutput
from bundler.bundle.inventory import Inventory
from bundler.errors import BundlerError, LocalError
from bundler.exporter.fetch.fetch_plan import ExportPlan, blob_key
from bundler.folders import check_disk
from bundler.oci import Descriptor
from bundler.session import Session
from bundler.store.blob_store import Store

if TYPE_CHECKING:
    from bundler.bundle.begun.unfinished import UnfinishedBundle


class _CutShortError(BundlerError):
    """The end of what is there of a blob; never leaves this module."""


def left_to_go_on(out: BundleOutput, inventory: Inventory) -> int:
    """Return the bytes of the bundle that an interrupted run wrote, if it is this one."""
    left = out.left_over()
    if left is None:
        return 0
    with left:
        return (left.file_size or 0) if out.resumes(left, inventory) else 0


def settle_left_over(
    out: BundleOutput, inventory: Inventory, plan: ExportPlan, store: Store, session: Session
) -> bool:
    """Move what an interrupted run left of another bundle into the store, as far as it is needed.

    Where there is no room for that, it is removed: its blobs are fetched again. Return whether the store has
    more now.
    """
    left = out.left_over()
    if left is None:
        out.forget()
        return False
    with left:
        if out.resumes(left, inventory):
            return False
        try:
            move_to_store(left, plan, store)
        except LocalError as error:
            session.progress.note(
                f"warning: {error.item}: {error.cause}: what an earlier run left is fetched again"
            )
    out.forget()
    return True


def move_to_store(
    left: UnfinishedBundle, plan: ExportPlan, store: Store, doubtful: Collection[Descriptor] = ()
) -> None:
    """Keep in the store what the plan needs and the unfinished bundle has, proven; and begun blobs, unproven.

    Raises: LocalError where there is no room.
    """
    needed = {task.blob for task in plan.tasks if task.blob in plan.streamed and not store.has(task.blob)}
    blobs = [blob for blob in map(blob_key, left.inventory.content) if blob in needed - set(doubtful)]
    check_disk([(store.path, sum(map(left.available, blobs)))])
    for blob in blobs:
        if left.available(blob):
            try:
                store.add(blob, partial(_rest, left, blob))
            except LocalError:
                raise
            except BundlerError:
                continue  # only begun, or damaged
    store.sync()


def _rest(left: UnfinishedBundle, blob: Descriptor, offset: int) -> Iterator[bytes]:
    """Yield what is there of a blob behind `offset`. Raises BundlerError if that is not all of it."""
    seen = 0
    for chunk in left.beginning(blob):
        if seen + len(chunk) > offset:
            yield chunk[max(offset - seen, 0) :]
        seen += len(chunk)
    if seen < blob.size:
        raise _CutShortError(str(blob.digest), "only begun")
