"""The plan carried out: registry → store, several blobs at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.bundle_output import BundleOutput
from bundler.bundle.inventory import Inventory
from bundler.deltas.state import Base
from bundler.errors import BundlerError, IntegrityError, NotFoundError
from bundler.exporter.fetch.fetch_plan import BlobTask, ExportPlan, plan_export
from bundler.exporter.resolve.drift import ROUNDS, OnDrift, moved_tags, note_drift, settle
from bundler.exporter.resolve.resolution import Resolution
from bundler.exporter.resolve.source_reader import FailureLimit
from bundler.folders import check_disk
from bundler.oci.content import Descriptor
from bundler.oci.manifest import Manifest
from bundler.registry.repository import Repository
from bundler.reporting.progress import Step
from bundler.session import Session
from bundler.store.blob_store import Store
from bundler.workers import each


def fetch(
    plan: ExportPlan, manifests: Iterable[Manifest], session: Session, store: Store
) -> dict[Descriptor, BundlerError]:
    """Put everything into the store; return the blobs that are missing, each with the reason."""
    missing: dict[Descriptor, BundlerError] = {}
    failing = FailureLimit(session.limits.failures)

    def work(item: Manifest | BlobTask) -> None:
        if isinstance(item, BlobTask):
            _fetch_one(item, session, store, step)
        else:
            store.add_bytes(item.blob, item.data)

    with session.progress.step("blobs", len(plan.tasks), plan.fetch_bytes) as step:
        # Manifests are written beside the downloads: the disk works while the network waits.
        items: list[Manifest | BlobTask] = [*manifests, *plan.tasks]
        for item, result in each(items, work, jobs=session.jobs):
            if isinstance(item, BlobTask):
                step.advance(items=1)
                if isinstance(result, BundlerError):
                    failing.add(result)
                    missing[item.blob] = result
    store.sync()
    return missing


def _fetch_one(task: BlobTask, session: Session, store: Store, step: Step) -> None:
    """Fetch a blob from the first repository that has it."""
    *others, last = (session.registries.source(name) for name in task.repositories)
    for repository in others:
        try:
            return _fetch_from(repository, task.blob, session, store, step)
        except NotFoundError:
            continue
    return _fetch_from(last, task.blob, session, store, step)


def _fetch_from(repository: Repository, blob: Descriptor, session: Session, store: Store, step: Step) -> None:
    """Fetch a blob; ask again for wrong bytes, a few times: a proxy or a link may have spoilt them."""
    for _ in range(session.limits.integrity_attempts - 1):
        try:
            return store.add(blob, partial(_counted, repository, blob, step))
        except IntegrityError:
            session.registries.traffic.count(retries=1)
    return store.add(blob, partial(_counted, repository, blob, step))


def _counted(repository: Repository, blob: Descriptor, step: Step, offset: int) -> Iterator[bytes]:
    step.advance(size=offset)
    for chunk in repository.chunks_from(blob, offset):
        step.advance(size=len(chunk))
        yield chunk


class Fetched(NamedTuple):
    """Everything that could be had is in the store."""

    pinned: Resolution
    plan: ExportPlan
    missing: Mapping[Descriptor, BundlerError]


def fetch_all(
    pinned: Resolution,
    again: Callable[[], Resolution],
    session: Session,
    store: Store,
    out: BundleOutput,
    *,
    base: Base | None,
    on_drift: OnDrift,
) -> Fetched:
    """Fetch all that is pinned and that the base lacks; `again` selects anew where tags moved.

    Raises LocalError: no room.
    """
    for left in reversed(range(ROUNDS)):
        plan = plan_against(pinned, base, store)
        check_disk(disk_needs(pinned, plan, out, store, pinned.inventory(base)))
        missing = fetch(plan, pinned.carried(), session, store)
        moved = moved_tags(pinned, on_drift, session)
        note_drift(moved, pinned)
        if not (moved and left and on_drift is OnDrift.REFETCH):
            break  # what is selected has been fetched
        known, pinned = pinned.drifted, again()
        pinned.drifted |= known
    settle(moved, on_drift, pinned)
    return Fetched(pinned, plan, missing)


def plan_against(pinned: Resolution, base: Base | None, store: Store) -> ExportPlan:
    """What has to be fetched: neither what the store has, nor what the base brought."""
    homes = base.homes() if base else {}
    return plan_export(pinned.roots, pinned.manifests, lambda blob: blob.digest in homes or store.has(blob))


def disk_needs(
    pinned: Resolution, plan: ExportPlan, out: BundleOutput, store: Store, inventory: Inventory
) -> list[tuple[Path, int]]:
    """What the run will write at most, and where; what an interrupted run left counts as there."""
    left_over = sum(store.left_over(task.blob) for task in plan.tasks)
    manifests = sum(
        manifest.blob.size for manifest in pinned.manifests.values() if not store.has(manifest.blob)
    )
    needs = [(store.path, plan.fetch_bytes - left_over + manifests)]
    packed = out.need(inventory)
    return [*needs, packed] if packed else needs
