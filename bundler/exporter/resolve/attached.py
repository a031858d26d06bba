"""All that belongs to what was chosen: referrers, cosign's tags, and what belongs to those in turn.

Where a registry has no Referrers API, which one request tells for all its repositories, the tag list
says what there is: a manifest's fallback tag and cosign's tags are named after its digest. What can't
be asked fails the tag that it may belong to: an answer that could not be had is no absence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bundler.attachments.referrers import (
    attachment_tags,
    is_attachment_tag,
    is_fallback_tag,
    is_referrers_index,
    kinds_of,
)
from bundler.bundle.inventory import Root
from bundler.errors import BundlerError, ContentError, NotFoundError
from bundler.exporter.resolve.resolution import Resolution, Subject
from bundler.exporter.resolve.source_reader import SourceReader
from bundler.exporter.resolve.tags import FetchRequest
from bundler.exporter.resolve.walk import gap_below, pin_tags, walk_indexes
from bundler.oci.content import Descriptor
from bundler.oci.graph import reached
from bundler.oci.reference import RegistryName, Tag
from bundler.registry.repository import TagList


def find_attachments(reading: SourceReader, pinned: Resolution) -> None:
    """Find them for everything chosen, round by round; what could not be had goes to `pinned.unasked`."""
    frontier = _subjects(pinned.chosen, pinned)
    for _ in range(reading.limits.index_depth):
        if not frontier:
            return
        pinned.asked.update(frontier)
        found = list(_round(frontier, reading, pinned))
        walk_indexes([root for _, root in found], reading, pinned)
        for subject, root in found:
            _attach(subject, root, pinned)
        frontier = _subjects((root for _, root in found), pinned)
    cause = f"signatures of signatures, more than {reading.limits.index_depth} deep"
    pinned.unasked |= {(name, digest): ContentError(f"{name}@{digest}", cause) for name, digest in frontier}


def _subjects(roots: Iterable[Root], pinned: Resolution) -> list[Subject]:
    """Every manifest of these roots that was not looked at yet."""
    found = (
        (root.repository, digest)
        for root in roots
        if pinned.wish(root.repository).referrers
        for digest in reached(root.digest, pinned.manifests)
    )
    return [subject for subject in dict.fromkeys(found) if subject not in pinned.asked]


def _round(
    subjects: list[Subject], reading: SourceReader, pinned: Resolution
) -> Iterator[tuple[Subject, Root]]:
    """What belongs to these subjects directly."""
    wanted = list(_possible(subjects, reading, pinned))
    answers = pin_tags((want for _, want in wanted), {}, reading, pinned, label="signatures and referrers")
    for subject, want in wanted:
        answer = answers[want]
        if isinstance(answer, Root):
            error = _wrong_subject(subject, answer, pinned)
            if error is None and _belongs(subject, answer, pinned):
                yield subject, answer
        else:
            guessed = isinstance(answer, NotFoundError) and _only_guessed(subject, want, reading)
            error = None if guessed else answer
        if error:
            pinned.unasked[subject] = error


def _possible(
    subjects: list[Subject], reading: SourceReader, pinned: Resolution
) -> Iterator[tuple[Subject, FetchRequest]]:
    """What the Referrers API lists of these subjects, and the tags that are named after them."""
    for subject, listed in _asked(subjects, reading):
        if isinstance(listed, BundlerError):
            pinned.unasked[subject] = listed
        else:
            yield from ((subject, FetchRequest(subject[0], None, child.digest)) for child in listed)
    reading.read_lists([name for name, _ in subjects])
    for subject in subjects:
        yield from ((subject, FetchRequest(subject[0], tag, None)) for tag in _named(subject, reading))


def _asked(
    subjects: list[Subject], reading: SourceReader
) -> Iterator[tuple[Subject, tuple[Descriptor, ...] | BundlerError]]:
    """The Referrers API's answers, in order; of each registry one subject first, as it may lack the API."""
    known = reading.trusted.referrers
    firsts: dict[RegistryName, Subject] = {}
    for subject in (one for one in subjects if one not in known):
        firsts.setdefault(subject[0].registry, subject)
    others = [one for one in subjects if one not in known and one not in firsts.values()]
    found: dict[Subject, tuple[Descriptor, ...] | BundlerError] = {
        one: known[one] for one in subjects if one in known
    }
    for label, wave in (("referrers, one per registry", list(firsts.values())), ("referrers", others)):
        asked = [subject for subject in wave if not reading.session.registries.lacks_referrers(subject[0])]
        found |= reading.each(label, asked, lambda subject: _referrers(subject, reading))
    return ((subject, found[subject]) for subject in subjects if subject in found)


def _referrers(subject: Subject, reading: SourceReader) -> tuple[Descriptor, ...]:
    name, digest = subject
    return reading.session.registries.source(name).referrers(digest, reading.held.count_referrers) or ()


def _named(subject: Subject, reading: SourceReader) -> list[Tag]:
    """The tags named after a subject that the list has; without a list, all that there may be."""
    name, digest = subject
    tags = reading.lists[name]
    possible = attachment_tags(digest)
    return [tag for tag in possible if tag in tags.names] if isinstance(tags, TagList) else list(possible)


def _only_guessed(subject: Subject, want: FetchRequest, reading: SourceReader) -> bool:
    """Whether a tag was asked for without knowing that it is there."""
    return want.tag is not None and not isinstance(reading.lists[subject[0]], TagList)


def _wrong_subject(subject: Subject, root: Root, pinned: Resolution) -> BundlerError | None:
    """What is wrong with a manifest that the Referrers API listed, if it refers to another one."""
    named = pinned.manifests[root.digest].subject
    if root.tag or (named and named.digest == subject[1]):
        return None
    cause = f"listed as a referrer of {subject[1]}, but it refers to {named.digest if named else 'nothing'}"
    return ContentError(
        str(root), cause, "the registry's list of referrers is wrong; --no-referrers does without"
    )


def _belongs(subject: Subject, root: Root, pinned: Resolution) -> bool:
    if not is_fallback_tag(root.tag):
        return True
    if is_referrers_index(pinned.manifests[root.digest], subject[1]):
        return True
    if root.digest != subject[1]:
        pinned.warnings.append(f"{root}: it is named like a list of referrers, but is none; left out")
    return False


def _attach(subject: Subject, root: Root, pinned: Resolution) -> None:
    """Note what belongs to a subject; of a list with gaps, that which is there."""
    own = pinned.belongings.setdefault(subject, {})
    gap = gap_below(root.digest, pinned)
    if gap is None:
        own[root] = None
    elif isinstance(gap, NotFoundError) and is_fallback_tag(root.tag):
        # Whoever removed a signature left it in the list: the others are carried all the same.
        pinned.warnings.append(f"{root}: {gap.cause}; the list is carried as what is left of it")
        children = (child.digest for child in pinned.manifests[root.digest].children)
        own |= dict.fromkeys(
            Root(root.repository, None, digest) for digest in children if digest in pinned.manifests
        )
    else:
        pinned.unasked[subject] = gap


def lacking(pinned: Resolution) -> dict[Root, BundlerError]:
    """The roots of which something could not be asked or had, or that lack what they must have."""
    found: dict[Root, BundlerError] = {}
    for chosen in pinned.chosen:
        for root in pinned.whole(chosen):
            subjects = ((root.repository, digest) for digest in reached(root.digest, pinned.manifests))
            if subject := next((one for one in subjects if one in pinned.unasked), None):
                error = pinned.unasked[subject]
                cause = f"what belongs to it could not be had: {error.item}: {error.cause}"
                found[root] = type(error)(str(chosen), cause, error.next_step)
    return found | _without_required([root for root in pinned.chosen if root not in found], pinned)


def _without_required(roots: Iterable[Root], pinned: Resolution) -> dict[Root, BundlerError]:
    found: dict[Root, BundlerError] = {}
    for root in roots:
        required = pinned.wish(root.repository).require
        if required and not is_attachment_tag(root.tag):
            missing = required - _kinds(root, pinned)
            if missing:
                cause = f"it has no {' and no '.join(sorted(missing))}, which is required"
                found[root] = ContentError(str(root), cause, "have it signed, or export without --require")
    return found


def _kinds(root: Root, pinned: Resolution) -> frozenset[str]:
    """What kinds of things belong to a root directly."""
    found: set[str] = set()
    for one in pinned.belongings.get((root.repository, root.digest), ()):
        manifest = pinned.manifests[one.digest]
        below = [manifest, *(pinned.manifests[child.digest] for child in manifest.children)]
        found = found.union(*(kinds_of(item, one.tag) for item in below))
    return frozenset(found)
