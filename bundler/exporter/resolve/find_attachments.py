"""Attachments of the roots that were chosen: referrers, cosign's tags, and everything attached to those.

Where a registry has no Referrers API, which one request tells for all its repositories, the tag list
says what there is: a manifest's fallback tag and cosign's tags are named after its digest. What can't
be asked fails the tag that it may belong to: an answer that did not come is not an absence.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from bundler.attachments import referrers
from bundler.bundle.inventory import Root
from bundler.deltas.departed import Subject
from bundler.errors import BundlerError, ContentError, NotFoundError
from bundler.exporter.resolve.pin_tags import FetchRequest, Pinned, pin_tags
from bundler.exporter.resolve.resolution import Attached, Resolution
from bundler.exporter.resolve.source_reader import SourceReader
from bundler.exporter.resolve.walk_indexes import ManifestGraph, gap_below, walk_indexes
from bundler.oci import Descriptor, Tag, reached
from bundler.oci.graph import misstated_subject
from bundler.registry.repository import TagList


class AttachmentGraph(NamedTuple):
    """Manifests, what is attached to those that were asked about, and the questions that failed."""

    graph: ManifestGraph
    attachments: Attached = MappingProxyType({})
    unanswered: Mapping[Subject, BundlerError] = MappingProxyType({})
    """Manifests to which something may be attached that could not be asked about or read."""
    warnings: tuple[str, ...] = ()


class _Round(NamedTuple):
    """The answers about some subjects: pairs of a subject and what is attached to it directly."""

    pairs: list[tuple[Subject, Root]]
    unanswered: dict[Subject, BundlerError]
    warnings: tuple[str, ...]
    graph: ManifestGraph


def find_attachments(
    roots: Iterable[Root], attached: AttachmentGraph, reader: SourceReader
) -> AttachmentGraph:
    """Find everything attached to these roots, round by round."""
    subjects = _subjects(roots, attached)
    for _ in range(reader.limits.index_depth):
        if not subjects:
            return attached
        answers = _asked(subjects, attached.graph, reader)
        attached = _with_round(attached, subjects, answers)
        subjects = _subjects((root for _, root in answers.pairs), attached)
    cause = f"signatures of signatures, more than {reader.limits.index_depth} deep"
    too_deep = {(name, digest): ContentError(f"{name}@{digest}", cause) for name, digest in subjects}
    return attached._replace(unanswered={**attached.unanswered, **too_deep})


def _subjects(roots: Iterable[Root], attached: AttachmentGraph) -> list[Subject]:
    """Return every manifest of these roots that was not asked about yet."""
    subjects = (
        (root.repository, digest)
        for root in roots
        if attached.graph.include(root.repository).referrers
        for digest in reached(root.digest, attached.graph.manifests)
    )
    return [subject for subject in dict.fromkeys(subjects) if subject not in attached.attachments]


def _with_round(before: AttachmentGraph, subjects: list[Subject], answers: _Round) -> AttachmentGraph:
    """Add what one round found; of a list with gaps, the entries that are there."""
    attached: dict[Subject, dict[Root, None]] = {subject: {} for subject in subjects}
    unanswered = {**before.unanswered, **answers.unanswered}
    warnings = [*before.warnings, *answers.warnings]
    manifests = answers.graph.manifests
    for subject, root in answers.pairs:
        gap = gap_below(root.digest, answers.graph)
        if gap is None:
            attached[subject][root] = None
        elif isinstance(gap, NotFoundError) and referrers.is_fallback_tag(root.tag):
            # Whoever removed a signature left it in the list: the others are carried all the same.
            warnings.append(f"{root}: {gap.cause}; the list is carried as what is left of it")
            children = (child.digest for child in manifests[root.digest].children)
            attached[subject] |= dict.fromkeys(
                Root(root.repository, None, digest) for digest in children if digest in manifests
            )
        else:
            unanswered[subject] = gap
    attachments = {**before.attachments, **{subject: tuple(roots) for subject, roots in attached.items()}}
    return AttachmentGraph(answers.graph, attachments, unanswered, tuple(warnings))


def _asked(subjects: list[Subject], graph: ManifestGraph, reader: SourceReader) -> _Round:
    """Ask what is attached to these subjects directly, and walk the indexes among it."""
    listed = _listed(subjects, reader)
    reader.lists.read([name for name, _ in subjects])
    reader.lists.settle_all()
    unanswered = {subject: answer for subject, answer in listed.items() if isinstance(answer, BundlerError)}
    requests = [
        (subject, FetchRequest(subject[0], None, child.digest))
        for subject, children in listed.items()
        if not isinstance(children, BundlerError)
        for child in children
    ]
    requests += [
        (subject, FetchRequest(subject[0], tag, None))
        for subject in subjects
        for tag in _named(subject, reader)
    ]
    pinned = pin_tags((request for _, request in requests), graph, reader, label="signatures and referrers")
    pairs, failed, warnings = _sorted(requests, pinned, reader)
    graph = walk_indexes([root for _, root in pairs], pinned.graph, reader)
    return _Round(pairs, unanswered | failed, (*pinned.findings.warnings, *warnings), graph)


def _sorted(
    requests: list[tuple[Subject, FetchRequest]], pinned: Pinned, reader: SourceReader
) -> tuple[list[tuple[Subject, Root]], dict[Subject, BundlerError], list[str]]:
    """Sort the answers: what is attached, which subjects have failed, what is only named like a list."""
    pairs: list[tuple[Subject, Root]] = []
    failed: dict[Subject, BundlerError] = {}
    warnings: list[str] = []
    for subject, request in requests:
        answer = pinned.answers[request]
        if isinstance(answer, BundlerError):
            if not (isinstance(answer, NotFoundError) and _only_guessed(subject, request, reader)):
                failed[subject] = answer
        elif error := _wrong_subject(subject, answer, pinned.graph):
            failed[subject] = error
        elif _is_attached(subject, answer, pinned.graph):
            pairs.append((subject, answer))
        elif answer.digest != subject[1]:
            warnings.append(f"{answer}: it has the name of an attachment, and is none; not taken as one")
    return pairs, failed, warnings


def _listed(
    subjects: list[Subject], reader: SourceReader
) -> dict[Subject, tuple[Descriptor, ...] | BundlerError]:
    """Ask the Referrers API, of each registry about one subject first, as it may lack the API.

    In the order of `subjects`; those whose registry lacks the API are left out.
    """
    immutable, registries = reader.immutable.referrers, reader.session.registries
    asked = reader.asked_about_referrers
    unknown = [subject for subject in subjects if subject not in immutable]
    strangers = [subject for subject in unknown if subject[0].registry not in asked]
    firsts = {subject[0].registry: subject for subject in reversed(strangers)}
    for label, wave in (("referrers, one per registry", firsts.values()), ("referrers", unknown)):
        left = [
            subject
            for subject in wave
            if subject not in reader.referrers and not registries.lacks_referrers(subject[0])
        ]
        for _ in reader.each(label, left, reader.ask_referrers):
            pass
    answers = {**reader.referrers, **immutable}
    return {subject: answers[subject] for subject in subjects if subject in answers}


def _named(subject: Subject, reader: SourceReader) -> list[Tag]:
    """Return the tags named after a subject that are listed; without a list, all that there may be."""
    name, digest = subject
    tags = reader.lists[name]
    possible = referrers.attachment_tags(digest)
    return [tag for tag in possible if tag in tags.names] if isinstance(tags, TagList) else list(possible)


def _only_guessed(subject: Subject, request: FetchRequest, reader: SourceReader) -> bool:
    """Return whether a tag was asked for without knowing that it exists."""
    return request.tag is not None and not isinstance(reader.lists[subject[0]], TagList)


def _wrong_subject(subject: Subject, root: Root, graph: ManifestGraph) -> BundlerError | None:
    """Return the error of a manifest that the Referrers API lists, and that refers to another one."""
    named = graph.manifests[root.digest].subject
    if root.tag or (named and named.digest == subject[1]):
        return None
    cause = (
        f"it is listed as a referrer of {subject[1]}, but refers to {named.digest if named else 'nothing'}"
    )
    next_step = "the registry's list of referrers is wrong; use --no-referrers to export without attachments"
    return ContentError(str(root), cause, next_step)


def _is_attached(subject: Subject, root: Root, graph: ManifestGraph) -> bool:
    """Return False for what only has the tag of an attachment: another list, or a module or image."""
    manifest = graph.manifests[root.digest]
    if referrers.is_fallback_tag(root.tag):
        return referrers.is_referrers_index(manifest, subject[1])
    return not (root.tag and referrers.is_pullable(manifest))


# --- what fails without its attachments ---------------------------------------------------------------


def lacking(resolution: Resolution, attached: AttachmentGraph) -> dict[Root, BundlerError]:
    """Return the roots that lack what is required, or something of which is wrong or could not be read."""
    errors: dict[Root, BundlerError] = dict(_misstating(resolution))
    for chosen in resolution.chosen:
        for root in resolution.whole(chosen):
            subjects = ((root.repository, digest) for digest in reached(root.digest, resolution.manifests))
            if failed := next((subject for subject in subjects if subject in attached.unanswered), None):
                error = attached.unanswered[failed]
                cause = f"what is attached to it could not be read: {error.item}: {error.cause}"
                errors[root] = type(error)(str(chosen), cause, error.next_step)
    return errors | dict(_without_required(resolution, attached.graph, errors))


def _misstating(resolution: Resolution) -> Iterator[tuple[Root, BundlerError]]:
    next_step = "have it attached anew, or use --no-referrers to export without attachments"
    for root in resolution.roots:
        for digest in reached(root.digest, resolution.manifests):
            if cause := misstated_subject(resolution.manifests[digest], resolution.manifests):
                yield root, ContentError(f"{root.repository}@{digest}", cause, next_step)


def _without_required(
    resolution: Resolution, graph: ManifestGraph, failed: Mapping[Root, BundlerError]
) -> Iterator[tuple[Root, BundlerError]]:
    demanding = [root for root in resolution.roots if graph.include(root.repository).require]
    if not demanding:
        return
    # Loaded here: most runs require nothing.
    from bundler.attachments.evidence import Attachments

    attachments = Attachments(resolution.roots, resolution.manifests)
    for root in demanding:
        missing = graph.include(root.repository).require - attachments.kinds(root)
        if missing and root not in failed and not attachments.is_attached(root):
            cause = f"it has no {' and no '.join(sorted(missing))}, which is required"
            yield root, ContentError(str(root), cause, "have it signed, or export without --require")
