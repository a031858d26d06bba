"""Names at the target, and what is left to do there: a value, made without I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import NamedTuple

from bundler.bundle.inventory import Inventory, Root, roots_of
from bundler.errors import UsageError
from bundler.oci.content import Descriptor, Digest
from bundler.oci.graph import Manifests, bottom_up, heights
from bundler.oci.manifest import Manifest
from bundler.oci.reference import Prefix, RepositoryName
from bundler.selection import version_of

LATEST = "latest"


class OnConflict(Enum):
    """What to do with a tag that exists at the target with another digest."""

    DEFAULT = "default"
    """Move `latest`; any other tag fails."""
    FAIL = "fail"
    SKIP = "skip"
    OVERWRITE = "overwrite"


class Action(Enum):
    """What becomes of one root."""

    PUSH = "push"
    MOVE = "move"
    PRESENT = "present"
    SKIP = "skip"
    CONFLICT = "conflict"


class Step(NamedTuple):
    """One root at the target: `root.repository` is the target's name."""

    root: Root
    action: Action
    previous: Digest | None

    @property
    def is_version(self) -> bool:
        """Version tags go before those that move, so that what `latest` names has its version."""
        return self.root.tag is not None and version_of(self.root.tag) is not None


class Upload(NamedTuple):
    """One blob, and the repositories that must have it."""

    blob: Descriptor
    repositories: tuple[RepositoryName, ...]


class ImportPlan(NamedTuple):
    """All that an import does."""

    steps: tuple[Step, ...]
    uploads: tuple[Upload, ...]
    children: tuple[tuple[tuple[RepositoryName, Manifest], ...], ...]
    """Manifests below the roots, level by level: every level needs only what is before it."""

    @property
    def to_push(self) -> Iterator[Step]:
        """The roots that are sent."""
        return (step for step in self.steps if step.action in (Action.PUSH, Action.MOVE))

    @property
    def upload_bytes(self) -> int:
        """Bytes of all distinct blobs that may have to be sent."""
        return sum(upload.blob.size for upload in self.uploads)


def at_target(inventory: Inventory, prefix: Prefix) -> list[Root]:
    """Every root under its name at the target: source path below the prefix, source host dropped.

    Raises UsageError when two sources would land in one repository, or a name is too long.
    """
    homes: dict[RepositoryName, RepositoryName] = {}
    for entry in inventory.repositories:
        try:
            name = prefix.repository(entry.name.path)
        except ValueError as error:
            raise UsageError(
                str(entry.name), f"its name at the target: {error}", "use a shorter prefix"
            ) from error
        if name in homes:
            cause = f"{homes[name]} and {entry.name} would both become {name}"
            raise UsageError("import", cause, "export them into two bundles, and import with two prefixes")
        homes[name] = entry.name
    names = {source: target for target, source in homes.items()}
    return [Root(names[root.repository], root.tag, root.digest) for root in roots_of(inventory)]


def plan_import(
    roots: list[Root], manifests: Manifests, existing: Mapping[Root, Digest | None], on_conflict: OnConflict
) -> ImportPlan:
    """What is left to do, given what each root's tag points to at the target now."""
    steps = tuple(Step(root, _action(root, existing[root], on_conflict), existing[root]) for root in roots)
    homes: dict[Descriptor, dict[RepositoryName, None]] = {}
    levels: dict[int, dict[tuple[RepositoryName, Digest], Manifest]] = {}
    for step in steps:
        if step.action not in (Action.PUSH, Action.MOVE):
            continue
        height = heights([step.root.digest], manifests)
        for manifest in bottom_up([step.root.digest], manifests):
            digest = manifest.blob.digest
            if digest != step.root.digest:
                levels.setdefault(height[digest], {})[step.root.repository, digest] = manifest
            for blob in manifest.blobs:
                homes.setdefault(Descriptor("", blob.digest, blob.size), {})[step.root.repository] = None
    uploads = tuple(Upload(blob, tuple(names)) for blob, names in homes.items())
    children = tuple(
        tuple((name, manifest) for (name, _), manifest in levels[height].items()) for height in sorted(levels)
    )
    return ImportPlan(steps, uploads, children)


def _action(root: Root, existing: Digest | None, on_conflict: OnConflict) -> Action:
    if existing is None:
        return Action.PUSH
    if existing == root.digest:
        return Action.PRESENT
    if on_conflict is OnConflict.OVERWRITE or (on_conflict is OnConflict.DEFAULT and root.tag == LATEST):
        return Action.MOVE
    return Action.SKIP if on_conflict is OnConflict.SKIP else Action.CONFLICT
