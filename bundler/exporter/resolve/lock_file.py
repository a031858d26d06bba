"""A lock file: every tag of one export pinned to its digest, so that it can be made again.

It names what the bundle names: tags, what belongs to them, images, and the children of indexes that
were left out. A tag that has moved since is taken by its digest; what is gone ends the run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bundler.bundle.inventory import Inventory, RepositoryEntry, roots_of
from bundler.durable import local_errors, write_whole
from bundler.errors import ContentError, IntegrityError, TrustError, UsageError
from bundler.exporter.resolve.resolution import Findings, Resolution
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.named_files import check_folder
from bundler.oci import Digest, Reference, RepositoryName, sha256, strict_json
from bundler.oci.document import checked, read_document
from bundler.oci.manifest import CREATED
from bundler.selection.choose import EVERY_TAG, why_held_back
from bundler.selection.creation_time import AgedSecond, created_at
from bundler.selection.rules import Rules
from bundler.selection.sources import ALONE, Include, PinnedReference, Selection

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
    images: tuple[RepositoryName, ...] = ()
    """Repositories that no source names: of images that the modules run."""


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
        "images": [entry.name for entry in inventory.repositories if not selection.names(entry.name)],
    }
    write_whole(path, strict_json.pretty(document))


def read_lock(path: Path, limits: Limits = DEFAULT_LIMITS) -> Lock:
    """Read a lock file. Raises UsageError, ContentError, LocalError."""
    check_folder(path, "--lock")
    with local_errors(path, "read"), path.open("rb") as file:
        data = file.read(limits.inventory + 1)
    document = checked(data, Lock, RepositoryEntry, item=str(path), limits=limits)
    next_step = "remove the file to write a new one"
    return read_document(Lock, document, parts=(RepositoryEntry,), what="no lock file: ", next_step=next_step)


def fingerprint_of(selection: Selection) -> Digest:
    """Return a digest of all sources, rules and demands; of an age, not of the second that it means now."""
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
    return tuple(f"age {value.age}" if isinstance(value, AgedSecond) else repr(value) for value in rules)


def _included(include: Include) -> tuple[str, ...]:
    return tuple(repr(sorted(value) if isinstance(value, frozenset) else value) for value in include)


def locked_selection(
    lock: Lock, asked: Selection, path: Path, rules: Rules = EVERY_TAG, include: Include = ALONE
) -> Selection:
    """Return what the lock pins; `asked` is what is said besides, and may be empty.

    Then `rules` and `include` may restrict: what they exclude, find too young or old, or require fails.

    Raises: UsageError where `asked` is not what the lock was made of, or `rules` exclude what it pins.
    """
    named = {source.repository for source in asked.sources}
    named |= {pin.reference.repository for pin in asked.pins}
    if missing := named - {entry.name for entry in lock.repositories}:
        cause = f"{min(missing)} is not in it"
        raise UsageError(str(path), cause, "remove the lock file to write a new one, or name another")
    if asked.names_anything and fingerprint_of(asked) != lock.selection:
        cause = "the sources or rules have changed since it was written"
        raise UsageError(str(path), cause, "remove the lock file to pin anew, or leave sources and rules out")
    alone = Include(referrers=False, require=frozenset() if asked.names_anything else include.require)
    inventory = Inventory(1, "full", lock.repositories, (), ())
    pins = tuple(
        PinnedReference(Reference(*root), alone, root.tag is not None, f"by {path.name}")
        for root in roots_of(inventory)
    )
    for pin in () if asked.names_anything else pins:
        if excluded := pin._replace(exclude=rules.exclude).excluded:
            raise UsageError(f"{pin.reference.repository}:{pin.reference.tag}", excluded, _ANEW)
    return Selection(
        pins,
        locked=True,
        omitted=frozenset(lock.omitted),
        ages=EVERY_TAG if asked.names_anything else rules,
        of_images=frozenset(lock.images),
    )


_ANEW = "remove the lock file to pin anew"


def check_locked(selection: Selection, resolution: Resolution, findings: Findings) -> None:
    """Raise where a lock file asks for all of it or nothing, and something failed or has not the right age.

    Raises: UsageError for what is too young or too old, ContentError and TrustError for what lacks what
    is demanded, IntegrityError for what is not available.
    """
    if selection.ages.asks_creation:
        _check_ages(selection, resolution)
    if findings.complete:
        return
    first, *others = findings.all_failures
    more = f" (and {len(others)} more)" if others else ""
    kind = next((kind for kind in (ContentError, TrustError) if kind.exit_code == first.exit_code), None)
    if kind is not None:
        raise kind(first.item, f"the lock file pins it{more}, but {first.cause}", _ANEW)
    cause = f"a tag of the lock file is not available{more}: {first.cause}"
    raise IntegrityError(first.item, cause, first.next_step)


def _check_ages(selection: Selection, resolution: Resolution) -> None:
    """Raise UsageError for what was not created when the rules want it; images and attachments may be."""
    # Loaded here: most runs ask for no times.
    from bundler.attachments.evidence import Attachments

    attachments = Attachments(resolution.roots, resolution.manifests)
    for root in resolution.chosen:
        if root.repository not in selection.of_images and not attachments.is_attached(root):
            second = created_at(resolution.manifests[root.digest].annotations.get(CREATED, ""))
            if reason := why_held_back(selection.ages, second):
                raise UsageError(str(root), f"the lock file pins it, but {reason}", _ANEW)
