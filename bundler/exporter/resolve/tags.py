"""Sources → the tags to take: lists read, rules applied, each tag decided once.

One request per page of a tag list; one per candidate where its creation time decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bundler.about import PROGRAM
from bundler.attachments.referrers import is_attachment_tag
from bundler.errors import BundlerError, ContentError, NotFoundError
from bundler.exporter.resolve.resolution import Resolution
from bundler.exporter.resolve.source_reader import SourceReader
from bundler.oci.content import Digest
from bundler.oci.manifest import CREATED
from bundler.oci.reference import RepositoryName, Tag
from bundler.registry.repository import PinnedManifest, TagList
from bundler.reporting.json_report import failure
from bundler.selection import choose
from bundler.selection.choose import Choice, Decision, candidates
from bundler.selection.creation_time import created_at
from bundler.selection.sources import Include, Namespace, PinnedReference, Selection, Source

_NO_TAG = "name it by its digest, or tag it otherwise there"


class FetchRequest(NamedTuple):
    """One manifest to pin: a tag, or a digest."""

    repository: RepositoryName
    tag: Tag | None
    digest: Digest | None
    strict: bool = False
    """The tag must point to the digest."""

    def __str__(self) -> str:
        if self.digest and not self.strict:
            return f"{self.repository}@{self.digest}"
        return f"{self.repository}:{self.tag}"


class Chosen(NamedTuple):
    """What the rules took of one source, and the manifests that were read to decide it."""

    source: Source
    choice: Choice
    known: Mapping[Tag, PinnedManifest]


def pins_of(pins: Sequence[PinnedReference]) -> list[tuple[FetchRequest, Include]]:
    """What was named by tag or digest."""
    named = ((pin.reference, pin) for pin in pins)
    return [
        (FetchRequest(ref.repository, ref.tag, ref.digest, pin.strict), pin.include) for ref, pin in named
    ]


def choose_tags(selection: Selection, reading: SourceReader, pinned: Resolution) -> list[Chosen]:
    """Read the lists of all sources, and apply their rules; in repository order."""
    sources = selection.own_sources(_in_namespaces(selection.namespaces, reading, pinned))
    reading.read_lists([source.repository for source in sources])
    chosen: list[Chosen] = []
    for name in sorted({source.repository for source in sources}):
        tags = reading.lists[name]
        if isinstance(tags, BundlerError):
            pinned.failures.append(failure(tags, str(name)))
            continue
        for bad in tags.invalid:
            error = ContentError(f"{name}: {bad}", "the registry lists it, but it can't be a tag", _NO_TAG)
            reading.failing.add(error)
            pinned.failures.append(failure(error))
        own = [source for source in sources if source.repository == name]
        chosen += [_chosen(source, tags, reading, pinned) for source in dict.fromkeys(own)]
    return chosen


def _in_namespaces(
    namespaces: Sequence[Namespace], reading: SourceReader, pinned: Resolution
) -> list[Source]:
    found: list[Source] = []
    registries = dict.fromkeys(space.registry for space in namespaces)
    answers = dict(reading.each("catalogs", registries, reading.session.registries.catalog))
    for space in namespaces:
        catalog = answers[space.registry]
        if isinstance(catalog, BundlerError):
            pinned.failures.append(failure(catalog, f"{space.registry}/{space.glob}"))
            continue
        own = list(space.sources(catalog))
        found += own
        if not own:
            cause = f"none of the {len(catalog)} repositories in the catalog matches"
            pinned.failures.append(
                failure(NotFoundError(f"{space.registry}/{space.glob}", cause, "check the glob"))
            )
    return found


def _chosen(source: Source, tags: TagList, reading: SourceReader, pinned: Resolution) -> Chosen:
    known = _read(source, candidates(tags.tags, source.rules), reading, pinned)
    created = {tag: created_at(found.manifest.annotations.get(CREATED, "")) for tag, found in known.items()}
    choice = choose(tags.tags, source.rules, created)
    if not source.include.referrers:
        choice = _without_belongings(choice, source)
    name = source.repository
    pinned.failures += [
        failure(
            NotFoundError(
                f"{name}:{tag}", "the repository has no such tag", f"`{PROGRAM} explain` lists them"
            )
        )
        for tag in choice.absent
    ]
    if not choice.taken and not choice.absent:
        _nothing_taken(name, len(choice.decisions), pinned)
    pinned.decided.append((name, choice))
    return Chosen(source, choice, known)


def _read(
    source: Source, tags: Sequence[Tag], reading: SourceReader, pinned: Resolution
) -> dict[Tag, PinnedManifest]:
    """The manifests whose creation time decides; what can't be read is left out, and said."""
    known: dict[Tag, PinnedManifest] = {}
    name = source.repository
    for tag, answer in reading.each("creation times", tags, lambda tag: reading.manifest(name, tag)):
        if isinstance(answer, BundlerError):
            reading.failing.add(answer)
            pinned.failures.append(failure(answer, f"{name}:{tag}"))
        else:
            known[tag] = answer
    return known


def _without_belongings(choice: Choice, source: Source) -> Choice:
    """The choice without tags that are named after a digest, unless the rules name them."""

    def decided(decision: Decision) -> Decision:
        if is_attachment_tag(decision.tag) and decision.tag not in source.rules.tags:
            reason = "it belongs to another manifest, and --no-referrers is given"
            return decision._replace(taken=False, reason=reason)
        return decision

    return choice._replace(decisions=tuple(decided(decision) for decision in choice.decisions))


def _nothing_taken(name: RepositoryName, listed: int, pinned: Resolution) -> None:
    if listed:
        cause = f"the rules take none of its {listed} tags"
        pinned.failures.append(failure(NotFoundError(str(name), cause, "see `timoni-bundler explain`")))
    else:
        pinned.warnings.append(f"{name}: the repository has no tags")
