"""Tags chosen and pinned to digests, with every manifest that they reach: reads the registries.

One request per page of a tag list, one per tag, one per child of an index. Each phase runs over all
repositories at once. Failures are values in the result: one failing tag costs one tag.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from bundler.attachments.referrers import is_attachment_tag
from bundler.deltas.base import NOBODY, ImmutableTags
from bundler.errors import BundlerError
from bundler.exporter.resolve.attached import find_attachments, lacking
from bundler.exporter.resolve.resolution import Resolution
from bundler.exporter.resolve.source_reader import FailureLimit, ReadBudget, SourceReader
from bundler.exporter.resolve.tags import Chosen, FetchRequest, choose_tags, pins_of
from bundler.exporter.resolve.walk import gap_below, nowhere, pin_tags, walk_indexes
from bundler.oci.content import BlobStore
from bundler.oci.manifest import VERSION
from bundler.oci.reference import RepositoryName, Tag
from bundler.registry.repository import PinnedManifest, TagList
from bundler.reporting.json_report import Explanation, RepositoryExplanation, TagDecision, failure
from bundler.selection.choose import also_latest
from bundler.selection.rules import LATEST
from bundler.selection.sources import Include, Selection
from bundler.session import Session

NOTHING: Mapping[FetchRequest, PinnedManifest] = MappingProxyType({})

Wishes = list[tuple[FetchRequest, Include]]


def select(
    selection: Selection,
    session: Session,
    store: BlobStore,
    *,
    trusted: ImmutableTags = NOBODY,
    keep: bool = True,
) -> Resolution:
    """Choose, pin, walk down, and find what belongs to it; `keep` blobs that are read on the way.

    What is `trusted` is taken as it was, and not asked for.
    """
    reading = SourceReader(
        session,
        store,
        {},
        FailureLimit(session.limits.failures),
        ReadBudget(session.limits),
        keep=keep,
        locked=selection.locked,
        trusted=trusted,
    )
    pinned = Resolution(reading.limits, selection.omitted)
    pinned.failures += [failure(problem) for problem in selection.problems]
    chosen = choose_tags(selection, reading, pinned)
    own, named_after_digests = _taken(chosen)
    _take([*pins_of(selection.own_pins), *own], reading, pinned, _read_already(chosen))
    _take(follow_latest(chosen, reading, pinned), reading, pinned)
    _take(_images(reading, pinned), reading, pinned)
    _walk(reading, pinned)
    # What is named after a digest that nobody chose: the subject may have been removed.
    there = {(root.repository, root.tag) for root in pinned.roots}
    if orphans := [wish for wish in named_after_digests if wish[0][:2] not in there]:
        _take(orphans, reading, pinned)
        _walk(reading, pinned)
    return pinned


def _taken(chosen: Iterable[Chosen]) -> tuple[Wishes, Wishes]:
    """What the rules took: tags of their own, and tags that are named after a digest."""
    own: Wishes = []
    belonging: Wishes = []
    for source, choice, _ in chosen:
        for tag in choice.taken:
            named_after = is_attachment_tag(tag) and tag not in source.rules.tags
            wish = (FetchRequest(source.repository, tag, None), source.include)
            (belonging if named_after else own).append(wish)
    return own, belonging


def _read_already(chosen: Iterable[Chosen]) -> dict[FetchRequest, PinnedManifest]:
    """The manifests that were read because their creation time decides."""
    return {
        FetchRequest(one.source.repository, tag, None): found
        for one in chosen
        for tag, found in one.known.items()
    }


def _take(
    wishes: Wishes,
    reading: SourceReader,
    pinned: Resolution,
    known: Mapping[FetchRequest, PinnedManifest] = NOTHING,
) -> None:
    """Pin them, and take them as chosen; what can't be had has failed."""
    for want, along in wishes:
        pinned.join(want.repository, along)
    for want, root in pin_tags((want for want, _ in wishes), known, reading, pinned).items():
        if isinstance(root, BundlerError):
            pinned.fail(nowhere(want), root, str(want))
        else:
            pinned.choose(root)


def _images(reading: SourceReader, pinned: Resolution) -> Wishes:
    """The images of the modules for which they were asked."""
    if not any(along.images for along in pinned.along.values()):
        return []
    # Loaded here: most runs read no module's CUE.
    from bundler.exporter.resolve.wanted_images import wanted_images

    return wanted_images(reading, pinned)


def _walk(reading: SourceReader, pinned: Resolution) -> None:
    """Everything below what was chosen, and everything that belongs to it; what has a gap is left out."""
    walk_indexes(pinned.chosen, reading, pinned)
    gaps = ((root, gap_below(root.digest, pinned)) for root in pinned.chosen)
    pinned.drop({root: gap for root, gap in gaps if gap})
    find_attachments(reading, pinned)
    pinned.drop(lacking(pinned))


def decide(selection: Selection, reading: SourceReader, pinned: Resolution) -> None:
    """Apply the rules, and read nothing but what decides; the decisions are in `pinned.decided`."""
    chosen = choose_tags(selection, reading, pinned)
    latest = [one for one in chosen if one.source.rules.follow_latest and LATEST in one.choice.taken]
    wishes = [(FetchRequest(one.source.repository, LATEST, None), one.source.include) for one in latest]
    _take(wishes, reading, pinned, _read_already(chosen))
    follow_latest(chosen, reading, pinned)


def follow_latest(chosen: Iterable[Chosen], reading: SourceReader, pinned: Resolution) -> Wishes:
    """Where `latest` is followed: the version that its manifest names is taken too."""
    wishes: Wishes = []
    for index, (source, choice, _) in enumerate(chosen):
        name = source.repository
        latest = next((root for root in pinned.chosen if root[:2] == (name, LATEST)), None)
        if not source.rules.follow_latest or latest is None:
            continue
        version = pinned.manifests[latest.digest].annotations.get(VERSION, "")
        listed = reading.lists[name]
        if isinstance(listed, TagList) and version in listed.names:
            tag = Tag(version)
            pinned.decided[index] = (name, also_latest(choice, tag))
            wishes.append((FetchRequest(name, tag, None), source.include))
        else:
            pinned.warnings.append(
                f"{name}:latest: it says it is version {version!r}, and no tag has that name"
            )
    return wishes


def explain_selection(selection: Selection, session: Session) -> Explanation:
    """Return each tag with the rule that decided: one request per page of a tag list.

    One more per candidate where creation times decide, and one for a `latest` that is followed.
    """
    failing = FailureLimit(session.limits.failures)
    reading = SourceReader(session, None, {}, failing, ReadBudget(session.limits))
    pinned = Resolution(reading.limits, selection.omitted)
    decide(selection, reading, pinned)
    found: dict[RepositoryName, list[TagDecision]] = {}
    for pin in selection.own_pins:
        name = pin.reference.tag or pin.reference.digest or "latest"
        decision = TagDecision(name, taken=True, reason="named")
        found.setdefault(pin.reference.repository, []).append(decision)
    for name, choice in pinned.decided:
        own = found.setdefault(name, [])
        own += [TagDecision(tag, taken, reason) for tag, taken, reason in choice.decisions]
    explained = tuple(RepositoryExplanation(name, tuple(own)) for name, own in sorted(found.items()))
    return Explanation(explained, (*pinned.failures, *(item for _, item in pinned.failed)))
