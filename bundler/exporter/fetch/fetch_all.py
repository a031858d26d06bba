"""The plan carried out: registry → store, several blobs at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bundler.bundle.bundle_output import BundleOutput
from bundler.errors import BundlerError, IntegrityError, NotFoundError
from bundler.exporter.export_content import ExportContent
from bundler.exporter.fetch.drift import ROUNDS, OnDrift, drift_of, moved_tags, settled
from bundler.exporter.fetch.fetch_plan import BlobTask, ExportPlan, incomplete, plan_export
from bundler.exporter.fetch.left_over import left_to_go_on, settle_left_over
from bundler.exporter.resolve.read_budget import FailureLimit
from bundler.exporter.resolve.resolution import Findings, Resolved
from bundler.folders import check_disk
from bundler.oci import Descriptor, Manifest
from bundler.registry.blob_ranges import fast_chunks
from bundler.registry.large_bodies import share_freed_memory
from bundler.registry.repository import Repository
from bundler.reporting.progress import Step
from bundler.session import Session
from bundler.store.blob_store import Store
from bundler.workers import Lanes, each


def fetch(
    plan: ExportPlan, manifests: Iterable[Manifest], session: Session, store: Store
) -> dict[Descriptor, BundlerError]:
    """Put everything into the store; return the blobs that are missing, each with the reason."""
    missing: dict[Descriptor, BundlerError] = {}
    failing = FailureLimit(session.limits.failures)
    lanes = Lanes(session.jobs)

    def work(item: Manifest | BlobTask) -> None:
        if isinstance(item, BlobTask):
            with lanes.held():
                _fetch_one(item, _Fetcher(session, store, step, lanes))
        else:
            store.add_bytes(item.blob, item.data)

    tasks = plan.stored
    with session.progress.step("blobs", len(tasks), sum(task.blob.size for task in tasks)) as step:
        # Manifests are written beside the downloads: the disk works while the network waits.
        items: list[Manifest | BlobTask] = [*manifests, *tasks]
        for item, result in each(items, work, jobs=session.jobs):
            if isinstance(item, BlobTask):
                step.advance(items=1)
                if isinstance(result, BundlerError):
                    failing.add(result)
                    missing[item.blob] = result
    store.sync()
    return missing


class _Fetcher(NamedTuple):
    """The way of blobs from registries into the store."""

    session: Session
    store: Store
    step: Step
    lanes: Lanes

    def fetch(self, repository: Repository, blob: Descriptor) -> None:
        """Fetch a blob; ask again for wrong bytes, a few times: a proxy or a link may have spoilt them.

        The first time over several connections, if one is slow; then over one.
        """
        read: Callable[[int], Iterator[bytes]] = partial(fast_chunks, repository, blob, lanes=self.lanes)
        for _ in range(self.session.limits.integrity_attempts - 1):
            try:
                return self.store.add(blob, partial(self._counted, read))
            except IntegrityError:
                self.session.registries.traffic.count(retries=1)
                read = partial(repository.chunks_from, blob)
        return self.store.add(blob, partial(self._counted, read))

    def _counted(self, read: Callable[[int], Iterator[bytes]], offset: int) -> Iterator[bytes]:
        self.step.advance(size=offset)
        for chunk in read(offset):
            self.step.advance(size=len(chunk))
            yield chunk


def _fetch_one(task: BlobTask, fetcher: _Fetcher) -> None:
    """Fetch a blob from the first repository that has it."""
    *others, last = (fetcher.session.registries.source(name) for name in task.repositories)
    for repository in others:
        try:
            return fetcher.fetch(repository, task.blob)
        except NotFoundError:
            continue
    return fetcher.fetch(last, task.blob)


class Fetched(NamedTuple):
    """Content of which everything is in the store, and how it came there."""

    content: ExportContent
    plan: ExportPlan
    missing: Mapping[Descriptor, BundlerError]
    """Blobs that could not be fetched."""

    def following(self, before: Fetched | None) -> Fetched:
        """Return this as the end of what `before` began: with its tasks, and what it missed."""
        if before is None:
            return self
        plan = self.plan._replace(tasks=before.plan.tasks, present=before.plan.present)
        return self._replace(plan=plan, missing={**before.missing, **self.missing})


def fetch_all(
    content: ExportContent,
    resolve: Callable[[], Resolved],
    session: Session,
    store: Store,
    out: BundleOutput,
    *,
    on_drift: OnDrift,
    streams: bool = False,
    before: Fetched | None = None,
) -> Fetched:
    """Fetch all that the content needs and the base lacks; leave out what failed or moved.

    `resolve` resolves the selection anew where tags moved. With `streams`, large blobs are left to whoever
    writes the bundle; `before` is what was fetched until one of them could not be had.

    Raises: LocalError where there is no room.
    """
    drifted = Findings()
    for left in reversed(range(ROUNDS)):
        plan = plan_against(content, session, store, streams=streams)
        if plan.streamed:
            share_freed_memory()
            if settle_left_over(out, content.inventory, plan, store, session):
                plan = plan_against(content, session, store, streams=streams)
        check_disk(disk_needs(content, plan, out, store))
        missing = fetch(plan, content.resolution.carried(), session, store)
        moved = moved_tags(content, on_drift, session)
        drifted += drift_of(moved)
        if not (moved and left and on_drift is OnDrift.REFETCH):
            break  # what is selected has been fetched
        content = ExportContent.of(resolve(), content.base)
    content = settled(content.noting(drifted), moved, on_drift)
    # A bundle never names what it lacks.
    content = content.without(incomplete(content.resolution, missing))
    return Fetched(content, plan, missing).following(before)


def plan_against(
    content: ExportContent, session: Session, store: Store, *, streams: bool = False
) -> ExportPlan:
    """Plan the fetching of what neither the store has, nor the base brought."""
    homes = content.base.homes() if content.base and content.inventory.kind == "delta" else {}
    resolution = content.resolution

    def has(blob: Descriptor) -> bool:
        return blob.digest in homes or store.has(blob)

    plan = plan_export(resolution.roots, resolution.manifests, has, session.limits)
    return plan.streaming(store.left_over) if streams else plan


def disk_needs(
    content: ExportContent, plan: ExportPlan, out: BundleOutput, store: Store
) -> list[tuple[Path, int]]:
    """Return what the run will write at most, and where; what an interrupted run left counts as there."""
    stored = sum(task.blob.size - store.left_over(task.blob) for task in plan.stored)
    manifests = (manifest.blob for manifest in content.resolution.manifests.values())
    unsaved = sum(blob.size for blob in manifests if not store.has(blob))
    needs = [(store.path, stored + unsaved)]
    if packed := out.need(content.inventory):
        folder, size = packed
        written = left_to_go_on(out, content.inventory) if plan.streamed else 0
        needs.append((folder, max(size - written, 0)))
    return needs
