"""The destination of an import: which part of the bundle goes where, under which names. No I/O."""

from collections.abc import Iterator
from typing import NamedTuple

from bundler.attachments.referrers import attachment_tags, is_attachment_tag, reaches_pullable
from bundler.bundle.inventory import Inventory, RepositoryEntry, Root, roots_of
from bundler.errors import NotFoundError
from bundler.mapping import KEPT, Mapping, map_all
from bundler.oci import Digest, Manifests, Prefix, RepositoryName, is_meant, reached
from bundler.selection import choose
from bundler.selection.choose import EVERY_TAG, Decision
from bundler.selection.rules import Rules, check


class Part(NamedTuple):
    """The part of a bundle to import; all of it if nothing is given."""

    repositories: tuple[str, ...] = ()
    """Globs on `host/path`, the name outside (`*` also matches `/`)."""
    rules: Rules = EVERY_TAG
    """Which tags of them; what is attached to a tag is imported with it."""

    def has(self, repository: str) -> bool:
        """Return True if a repository is meant."""
        globs = self.repositories
        return not globs or is_meant(repository, globs)


WHOLE = Part()


class Destination(NamedTuple):
    """The place to import to, and the part of the bundle to import."""

    prefix: Prefix
    mapping: Mapping = KEPT
    part: Part = WHOLE
    filter_indexes: bool = False
    """True to write sparse indexes with only the children that the bundle carries."""


class Taken(NamedTuple):
    """The roots to import under their names outside, and the tags left out."""

    roots: tuple[Root, ...]
    left_out: tuple[tuple[RepositoryName, Decision], ...] = ()


def take_part(inventory: Inventory, manifests: Manifests, part: Part) -> Taken:
    """Return the roots of a bundle that are meant.

    Of a delta, also what is attached to something that only its base has: which tags that had is not known
    here. It may have nothing of the part; of a full bundle, that raises NotFoundError. Raises UsageError for
    rules that can't be meant.
    """
    if part == WHOLE:
        return Taken(tuple(roots_of(inventory)))
    check(part.rules)
    taken: list[Root] = []
    left_out: list[tuple[RepositoryName, Decision]] = []
    for entry in inventory.repositories:
        if not part.has(entry.name):
            continue
        roots = _roots_of(entry)
        if part.rules == EVERY_TAG:
            taken += roots
            continue
        choice = choose([tag for tag in entry.tags if not is_attachment_tag(tag)], part.rules)
        chosen = [Root(entry.name, tag, entry.tags[tag]) for tag in choice.taken]
        if inventory.kind == "delta":
            chosen += _of_base(roots, manifests)
        taken += dict.fromkeys([*chosen, *_belonging(entry, chosen, manifests)])
        left_out += [(entry.name, decision) for decision in choice.left_out]
    if not taken and inventory.repositories and inventory.kind == "full":
        raise NotFoundError("import", "nothing in the bundle is selected", "see `timoni-bundler inspect`")
    return Taken(tuple(taken), tuple(left_out))


def _roots_of(entry: RepositoryEntry) -> list[Root]:
    tagged = (Root(entry.name, tag, digest) for tag, digest in entry.tags.items())
    return [*tagged, *(Root(entry.name, None, digest) for digest in entry.untagged)]


def _of_base(roots: list[Root], manifests: Manifests) -> Iterator[Root]:
    """Yield what is attached to something that is not among these, and can't be pulled by its tag."""
    carried = {digest for root in roots for digest in reached(root.digest, manifests)}
    named = {tag for digest in carried for tag in attachment_tags(digest)}
    for root in roots:
        subject = manifests[root.digest].subject
        if root.tag is None:
            of_base = subject is not None and subject.digest not in carried
        else:
            of_base = is_attachment_tag(root.tag) and root.tag not in named
            of_base = of_base and not reaches_pullable(root.digest, manifests)
        if of_base:
            yield root


def _belonging(entry: RepositoryEntry, chosen: list[Root], manifests: Manifests) -> Iterator[Root]:
    """Yield everything that belongs to the chosen roots, down to signatures of signatures."""
    referrers: dict[Digest, list[Root]] = {}
    for digest in entry.untagged:
        if subject := manifests[digest].subject:
            referrers.setdefault(subject.digest, []).append(Root(entry.name, None, digest))
    seen: set[Digest] = set()
    waiting = [root.digest for root in chosen]
    while waiting:
        for digest in reached(waiting.pop(), manifests):
            if digest in seen:
                continue
            seen.add(digest)
            named = [tag for tag in attachment_tags(digest) if tag in entry.tags]
            attached = [
                *referrers.get(digest, ()),
                *(Root(entry.name, tag, entry.tags[tag]) for tag in named),
            ]
            yield from attached
            waiting += [root.digest for root in attached]


def names_at(destination: Destination, taken: Taken) -> dict[RepositoryName, RepositoryName]:
    """Return the name at the target of every repository that is taken. Raises UsageError."""
    return map_all({root.repository for root in taken.roots}, destination.prefix, destination.mapping)
