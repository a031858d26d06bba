"""The plan carried out: registry → store, several blobs at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from bundler.errors import BundlerError, IntegrityError, NotFoundError
from bundler.exporter.failing import Failing
from bundler.exporter.plan import BlobTask, ExportPlan
from bundler.oci.content import Descriptor
from bundler.oci.manifest import Manifest
from bundler.progress import Progress, Step
from bundler.registry.client import Repository
from bundler.registry.registries import Registries
from bundler.store import Store
from bundler.workers import each


def fetch(
    plan: ExportPlan,
    manifests: Iterable[Manifest],
    registries: Registries,
    store: Store,
    *,
    jobs: int,
    progress: Progress,
) -> dict[Descriptor, BundlerError]:
    """Put everything into the store; the result is what could not be had, and why."""
    missing: dict[Descriptor, BundlerError] = {}
    failing = Failing(registries.settings.hosts.limits.failures)

    def work(item: Manifest | BlobTask) -> None:
        if isinstance(item, BlobTask):
            _fetch_one(item, registries, store, step)
        else:
            store.add_bytes(item.blob, item.data)

    with progress.step("blobs", len(plan.tasks), plan.fetch_bytes) as step:
        # Manifests are written beside the downloads: the disk works while the network waits.
        items: list[Manifest | BlobTask] = [*manifests, *plan.tasks]
        for item, result in each(items, work, jobs=jobs):
            if isinstance(item, BlobTask):
                step.advance(items=1)
                if isinstance(result, BundlerError):
                    failing.add(result)
                    missing[item.blob] = result
    store.sync()
    return missing


def _fetch_one(task: BlobTask, registries: Registries, store: Store, step: Step) -> None:
    """From the first repository that has it."""
    *others, last = (registries.source(name) for name in task.repositories)
    for repository in others:
        try:
            return _fetch_from(repository, task.blob, registries, store, step)
        except NotFoundError:
            continue
    return _fetch_from(last, task.blob, registries, store, step)


def _fetch_from(
    repository: Repository, blob: Descriptor, registries: Registries, store: Store, step: Step
) -> None:
    """Wrong bytes are asked for again, a few times: a proxy or a link may have spoilt them."""
    for _ in range(registries.settings.hosts.limits.integrity_attempts - 1):
        try:
            return store.add(blob, partial(_counted, repository, blob, step))
        except IntegrityError:
            registries.traffic.count(retries=1)
    return store.add(blob, partial(_counted, repository, blob, step))


def _counted(repository: Repository, blob: Descriptor, step: Step, offset: int) -> Iterator[bytes]:
    step.advance(size=offset)
    for chunk in repository.chunks_from(blob, offset):
        step.advance(size=len(chunk))
        yield chunk
