"""What an import moves and deletes, written down before it does; and taken back.

Taking back deletes nothing: a tag that did not exist before stays, and is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import strict_json
from bundler.oci.content import Digest
from bundler.oci.document import checked, read_document
from bundler.oci.reference import RepositoryName, Tag


@dataclass(frozen=True, slots=True)
class Moved:
    """One tag that an import moves or deletes."""

    repository: RepositoryName
    """At the target."""
    tag: Tag
    old: Digest | None
    """What it pointed to; null if it was not there."""
    new: Digest | None
    """What it points to then; null if it is deleted."""

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


@dataclass(frozen=True, slots=True)
class Rollback:
    """The way back from one import."""

    rollback_version: Literal[1]
    bundle: Digest
    """Which was imported."""
    target: str
    """Where the import went: the registry, and the path below which everything stands."""
    moved: tuple[Moved, ...]
    done: bool = False
    """Whether the import came to its end. Before that, its next run adds to this file."""

    def is_of(self, bundle: Digest, target: str) -> bool:
        """Whether it is that of the same import."""
        return (self.bundle, self.target) == (bundle, target)

    def joined(self, moved: Iterable[Moved]) -> Rollback:
        """With what the next run moves: what this one had moved already, that one finds moved."""
        every = {str(one): one for one in (*self.moved, *moved)}
        return replace(self, moved=tuple(every.values()), done=False)


BeforeTags = Callable[[Sequence[Moved]], None]
"""Called with what is to be moved or deleted, when nothing is left to do but that."""


def encode_rollback(rollback: Rollback) -> bytes:
    """The bytes of the file."""
    moved = [
        {"repository": one.repository, "tag": one.tag, "old": one.old, "new": one.new}
        for one in rollback.moved
    ]
    return strict_json.pretty(
        {
            "rollbackVersion": rollback.rollback_version,
            "bundle": rollback.bundle,
            "target": rollback.target,
            "done": rollback.done,
            "moved": moved,
        }
    )


def decode_rollback(data: bytes, name: str, limits: Limits = DEFAULT_LIMITS) -> Rollback:
    """Read one. Raises ContentError that names the file."""
    document = checked(data, Rollback, Moved, item=name, limits=limits)
    return read_document(Rollback, document, parts=(Moved,), what="no rollback file: ")
