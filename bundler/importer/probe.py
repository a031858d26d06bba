"""The target asked, before the first write, whether it will take what is to come.

Each repository that gets blobs is asked for an upload, which is called off again; of each kind of
artifact, one manifest is offered before its blobs: a registry that will not have the kind says so
then, and not after the long upload.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

from bundler.bundle.inventory import Root
from bundler.errors import AuthError, BundlerError, TargetRefusedError
from bundler.importer.plan import ImportPlan, Step
from bundler.oci.manifest import Manifest
from bundler.oci.reference import RegistryName
from bundler.progress import Progress, each_shown
from bundler.registry.registries import Registries

Item = TypeVar("Item")
Kind = tuple[RegistryName, str, str, str]
"""Registry, and the media types of manifest, config and artifact."""


def probe(
    plan: ImportPlan, registries: Registries, *, jobs: int, progress: Progress
) -> dict[Root, BundlerError]:
    """The roots that the target will not take, and why. Raises what keeps it from being asked."""
    names = {name for upload in plan.uploads for name in upload.repositories}
    steps = [step for step in plan.to_push if step.root.repository in names]
    closed = dict(
        _refusals("permission to push", names, lambda name: registries.target(name).probe(), jobs, progress)
    )
    offered: dict[Kind, Step] = {}
    for step in steps:
        if step.root.repository not in closed and not step.manifest.children:
            offered.setdefault(_kind(step), step)
    kinds = dict(
        _refusals("kinds accepted", offered, lambda kind: _offer(offered[kind], registries), jobs, progress)
    )
    found = {step.root: closed.get(step.root.repository) or kinds.get(_kind(step)) for step in steps}
    return {root: error for root, error in found.items() if error}


def _refusals(
    label: str, items: Collection[Item], ask: Callable[[Item], None], jobs: int, progress: Progress
) -> Iterator[tuple[Item, BundlerError]]:
    for item, answer in each_shown(progress, label, items, ask, jobs=jobs):
        if isinstance(answer, TargetRefusedError | AuthError):
            yield item, answer
        # Any other trouble shows itself, or has passed, when it is really sent.


def _offer(step: Step, registries: Registries) -> None:
    registries.target(step.root.repository).offer(step.manifest)


def _kind(step: Step) -> Kind:
    manifest: Manifest = step.manifest
    config = manifest.config.blob.media_type if manifest.config else ""
    return (step.root.repository.registry, manifest.blob.media_type, config, manifest.artifact_type)
