"""A lock file: every tag of one export pinned to its digest, so that it can be made again.

It names what the bundle names: tags, what belongs to them, images, and the children of indexes that
were left out. A tag that has moved since is taken by its digest; what is gone ends the run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundler.bundle.inventory import Inventory, RepositoryEntry, roots_of
from bundler.durable import local_errors, write_whole
from bundler.errors import IntegrityError, UsageError
from bundler.exporter.resolve.resolution import Findings
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import Digest, Reference, sha256, strict_json
from bundler.oci.document import checked, read_document
from bundler.selection.rules import Rules
from bundler.selection.sources import Include, PinnedReference, Selection

VERSION = 1


@dataclass(frozen=True, slots=True)
class Lock:
    """The content of one export."""

    lock_version: Literal[1]
    repositories: tuple[RepositoryEntry, ...]
    selection: Digest
    """Fingerprint of the sources and rules that chose it."""
    omitted: tuple[Digest, ...] = ()
    """Children of indexes that were left out because of their platform."""


def write_lock(path: Path, inventory: Inventory, selection: Selection) -> None:
    """Write down every tag and digest of an export, durably."""
    repositories = [
        {
            "name": entry.name,
            "tags": {str(tag): digest for tag, digest in entry.tags.items()},
            "untagged": list(entry.untagged),
        }
        for entry in inventory.repositories
    ]
    document = {
        "lockVersion": VERSION,
        "selection": fingerprint_of(selection),
        "repositories": repositories,
        "omitted": list(inventory.omitted),
    }
    write_whole(path, strict_json.pretty(document))


def read_lock(path: Path, limits: Limits = DEFAULT_LIMITS) -> Lock:
    """Read a lock file. Raises ContentError, LocalError."""
    with local_errors(path, "read"), path.open("rb") as file:
        data = file.read(limits.inventory + 1)
    document = checked(data, Lock, RepositoryEntry, item=str(path), limits=limits)
    next_step = "remove the file to write a new one"
    return read_document(Lock, document, parts=(RepositoryEntry,), what="no lock file: ", next_step=next_step)


def fingerprint_of(selection: Selection) -> Digest:
    """Return a digest of all sources, rules and demands.

    Of times of creation it only says whether there are any: an age is another second in each run.
    """
    pins = sorted((*map(str, pin.reference), *_included(pin.include)) for pin in selection.pins)
    sources = sorted(
        (str(source.repository), *_ruled(source.rules), *_included(source.include))
        for source in selection.sources
    )
    namespaces = sorted(
        (space.registry, space.glob, *space.exclude, *_ruled(space.rules), *_included(space.include))
        for space in selection.namespaces
    )
    return sha256(strict_json.canonical({"pins": pins, "sources": sources, "namespaces": namespaces}))


def _ruled(rules: Rules) -> tuple[str, ...]:
    since, until = (time is not None for time in (rules.created_since, rules.created_until))
    timeless = rules._replace(created_since=None, created_until=None)
    return (*(repr(value) for value in timeless), str(since), str(until))


def _included(include: Include) -> tuple[str, ...]:
    return tuple(repr(sorted(value) if isinstance(value, frozenset) else value) for value in include)


def locked_selection(lock: Lock, asked: Selection, path: Path) -> Selection:
    """Return what the lock pins; `asked` is what is said besides, and may be empty.

    Raises: UsageError where `asked` is not what the lock was made of.
    """
    named = {source.repository for source in asked.sources}
    named |= {pin.reference.repository for pin in asked.pins}
    if missing := named - {entry.name for entry in lock.repositories}:
        cause = f"{min(missing)} is not in it"
        raise UsageError(str(path), cause, "remove the lock file to write a new one, or name another")
    if (named or asked.namespaces) and fingerprint_of(asked) != lock.selection:
        cause = "the sources or rules have changed since it was written"
        raise UsageError(str(path), cause, "remove the lock file to pin anew, or leave sources and rules out")
    inventory = Inventory(1, "full", lock.repositories, (), ())
    alone = Include(referrers=False)
    pins = (
        PinnedReference(Reference(*root), alone, strict=root.tag is not None) for root in roots_of(inventory)
    )
    return Selection(tuple(pins), locked=True, omitted=frozenset(lock.omitted))


def check_all_locked(selection: Selection, findings: Findings) -> None:
    """Raise IntegrityError where a lock file asks for all of it or nothing, and something failed."""
    if not selection.locked or findings.complete:
        return
    first, *others = findings.all_failures
    more = f" (and {len(others)} more)" if others else ""
    cause = f"a tag of the lock file is not available{more}: {first.cause}"
    raise IntegrityError(first.item, cause, first.next_step)
