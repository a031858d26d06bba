"""The rollback file: the tags that an import moves and deletes, written down before it does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from bundler.durable import local_errors, write_whole
from bundler.errors import ContentError, UsageError
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.named_files import read_at_most
from bundler.oci import Digest, RepositoryName, Tag, strict_json
from bundler.oci.document import checked, read_document
from bundler.oci.grammar import DocumentValue, document_value


@document_value
class MovedTag(DocumentValue):
    """One tag that an import moves or deletes."""

    repository: RepositoryName
    """At the target."""
    tag: Tag
    old: Digest | None
    """The digest that it pointed to; null if it did not exist."""
    new: Digest | None
    """The digest that it points to afterwards; null if it is deleted."""

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"


@document_value
class RollbackFile(DocumentValue):
    """Everything needed to undo one import."""

    rollback_version: Literal[1]
    bundle: Digest
    """The bundle that was imported."""
    target: str
    """The destination of the import: the registry, and the path below which everything stands."""
    moved: tuple[MovedTag, ...]
    done: bool = False
    """True once the import has ended. Before that, its next run adds to this file."""
    receipt: str | None = None
    """The receipt that the import kept; null for none."""
    received: tuple[Digest, ...] = ()
    """The bundles that this receipt named before."""

    def is_of(self, bundle: Digest, target: str) -> bool:
        """Return True for the same import."""
        return (self.bundle, self.target) == (bundle, target)

    def joined(self, moved: Iterable[MovedTag]) -> RollbackFile:
        """Return it with what the next run moves.

        What this run has moved already is found moved by the next one: the first word on a tag counts,
        unless the next run moves the tag on from there.
        """
        every = {str(tag): tag for tag in self.moved}
        for tag in moved:
            earlier = every.get(str(tag))
            every[str(tag)] = replace(tag, old=earlier.old) if earlier and earlier.new == tag.old else tag
        return replace(self, moved=tuple(every.values()), done=False)


def encode_rollback_file(rollback: RollbackFile) -> bytes:
    """Return the bytes of the file."""
    moved = [
        {"repository": tag.repository, "tag": tag.tag, "old": tag.old, "new": tag.new}
        for tag in rollback.moved
    ]
    return strict_json.pretty(
        {
            "rollbackVersion": rollback.rollback_version,
            "bundle": rollback.bundle,
            "target": rollback.target,
            "done": rollback.done,
            "receipt": rollback.receipt,
            "received": list(rollback.received),
            "moved": moved,
        }
    )


def decode_rollback_file(data: bytes, name: str, limits: Limits = DEFAULT_LIMITS) -> RollbackFile:
    """Read a rollback file. Raises: ContentError that names the file, also for tags outside its target."""
    document = checked(data, RollbackFile, MovedTag, item=name, limits=limits)
    rollback = read_document(RollbackFile, document, parts=(MovedTag,), what="not a rollback file: ")
    outside = [tag for tag in rollback.moved if not tag.repository.startswith(f"{rollback.target}/")]
    if outside:
        raise ContentError(name, f"it moves {outside[0]}, which is not below its target {rollback.target}")
    if len(set(map(str, rollback.moved))) < len(rollback.moved):
        raise ContentError(name, "it moves one tag twice")
    return rollback


def read_rollback_file(path: Path) -> RollbackFile:
    """Read a rollback file. Raises: UsageError, LocalError, ContentError."""
    if not path.is_file():
        raise UsageError(str(path), "--rollback: no such file", "check the path")
    with local_errors(path, "read"):
        return decode_rollback_file(read_at_most(path, DEFAULT_LIMITS.inventory), str(path))


def write_rollback_file(path: Path, new: RollbackFile, moved: Sequence[MovedTag]) -> None:
    """Write `new` with what is `moved`, or add that to the file of an interrupted run of the same import."""
    earlier = read_rollback_file(path) if path.is_file() else None
    same = earlier if earlier and earlier.is_of(new.bundle, new.target) else None
    if same and not moved:
        return
    joined = same.joined(moved) if same and not same.done else replace(new, moved=tuple(moved))
    write_whole(path, encode_rollback_file(joined))


def finish_rollback_file(path: Path, bundle: Digest, target: str) -> None:
    """Note in the file that its import has ended: what comes after is another one."""
    earlier = read_rollback_file(path) if path.is_file() else None
    if earlier and earlier.is_of(bundle, target) and not earlier.done:
        write_whole(path, encode_rollback_file(replace(earlier, done=True)))
