"""The plan carried out: registry → store, several blobs at a time."""

from __future__ import annotations

from collections.abc import Iterable

from bundler.errors import BundlerError, IntegrityError, NotFoundError
from bundler.exporter.plan import BlobTask, ExportPlan
from bundler.oci.content import Descriptor
from bundler.oci.manifest import Manifest
from bundler.progress import Progress, Step
from bundler.registry.registries import Registries
from bundler.store import Store
from bundler.workers import each


def fetch(
    plan: ExportPlan, manifests: Iterable[Manifest], registries: Registries, store: Store, *, jobs: int, progress: Progress
) -> dict[Descriptor, BundlerError]:
    """Put everything into the store; the result is what could not be had, and why."""
    for _, done in each(manifests, lambda manifest: store.add_bytes(manifest.blob, manifest.data), jobs=jobs):
        _raise(done)
    missing: dict[Descriptor, BundlerError] = {}
    with progress.step("blobs", len(plan.tasks), plan.fetch_bytes) as step:
        for task, result in each(plan.tasks, lambda task: _fetch_one(task, registries, store, step), jobs=jobs):
            step.advance(items=1)
            if isinstance(result, BundlerError):
                missing[task.blob] = result
    store.sync()
    return missing


def _raise(done: None | BundlerError) -> None:
    if isinstance(done, BundlerError):
        raise done


def _fetch_one(task: BlobTask, registries: Registries, store: Store, step: Step) -> None:
    """From the first repository that has it; wrong bytes are asked for again, a few times."""
    limits = registries.settings.hosts.limits
    for position, name in enumerate(task.repositories, 1):
        repository = registries.source(name)
        for attempt in range(1, limits.integrity_attempts + 1):
            try:
                store.add(task.blob, lambda offset: _counted(repository, task.blob, offset, step))  # noqa: B023
                return
            except NotFoundError:
                if position == len(task.repositories):
                    raise
                break
            except IntegrityError:
                if attempt == limits.integrity_attempts:
                    raise
                registries.traffic.count(retries=1)


def _counted(repository, blob, offset, step):
    step.advance(size=offset)
    for chunk in repository.chunks_from(blob, offset):
        step.advance(size=len(chunk))
        yield chunk
