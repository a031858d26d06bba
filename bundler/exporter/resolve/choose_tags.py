"""Sources → the tags to take: lists read, rules applied, each tag decided once.

One request per page of a tag list; one per candidate where its creation time decides.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bundler.about import PROGRAM
from bundler.attachments.referrers import is_attachment_tag
from bundler.bundle.inventory import Root
from bundler.deltas.departed import Name
from bundler.errors import BundlerError, ContentError, NotFoundError
from bundler.exporter.resolve.pin_tags import FetchRequest, Wish
from bundler.exporter.resolve.resolution import Findings
from bundler.exporter.resolve.source_reader import SourceReader
from bundler.oci import Manifests, RepositoryName, Tag
from bundler.oci.manifest import CREATED, VERSION
from bundler.registry.repository import PinnedManifest, TagList
from bundler.reporting.json_report import Failure, failure
from bundler.selection import choose
from bundler.selection.choose import Choice, Decision, also_latest, candidates
from bundler.selection.creation_time import created_at
from bundler.selection.rules import LATEST
from bundler.selection.sources import Namespace, PinnedReference, Selection, Source

_NO_TAG = "name it by its digest, or tag it otherwise there"


class Chosen(NamedTuple):
    """The choice of tags from one source."""

    source: Source
    choice: Choice
    unread: tuple[Tag, ...]
    """Tags whose manifest decides, and could not be read."""


class Choices(NamedTuple):
    """The choices of tags from all sources, in repository order."""

    chosen: tuple[Chosen, ...]
    findings: Findings
    catalogs: tuple[Namespace, ...] = ()
    """Namespaces whose catalog was read."""
    unlisted: frozenset[RepositoryName] = frozenset()
    """Repositories whose tags were asked for without an answer."""

    @property
    def unread(self) -> frozenset[Name]:
        """Return the tags whose time of creation decides, and could not be read."""
        return frozenset((source.repository, tag) for source, _, unread in self.chosen for tag in unread)

    @property
    def decisions(self) -> Findings:
        """Return what was decided, as a finding."""
        return Findings(decisions=tuple((source.repository, choice) for source, choice, _ in self.chosen))

    def wishes(self, *, attachments: bool) -> list[Wish]:
        """Return the tags taken: those named after a digest, or all others."""
        return [
            (FetchRequest(source.repository, tag, None), source.include)
            for source, choice, _ in self.chosen
            for tag in choice.taken
            if attachments == (is_attachment_tag(tag) and tag not in source.rules.tags)
        ]


class Latest(NamedTuple):
    """The choices with the versions that `latest` points to, and wishes for those versions."""

    choices: Choices
    wishes: list[Wish]


def decided_pins(selection: Selection) -> Findings:
    """Return a decision about each named tag: an exclude wins, and that is said.

    A repository of which everything that is asked for is excluded has failed.
    """
    pins = selection.own_pins
    asked = {source.repository for source in selection.sources}
    asked |= {pin.reference.repository for pin in pins if not pin.excluded}
    alone = dict.fromkeys(pin.reference.repository for pin in pins if pin.reference.repository not in asked)
    cause, next_step = "every tag that is named is excluded", "change --exclude"
    return Findings(
        failures=tuple(failure(NotFoundError(str(name), cause, next_step)) for name in alone),
        warnings=tuple(f"{pin.reference}: {pin.excluded}; left out" for pin in pins if pin.excluded),
        decisions=tuple((pin.reference.repository, Choice((_decision(pin),))) for pin in pins),
    )


def _decision(pin: PinnedReference) -> Decision:
    name = Tag(pin.reference.tag or pin.reference.digest or LATEST)
    return Decision(name, taken=not pin.excluded, reason=pin.excluded or pin.reason)


def wishes_of(pins: Sequence[PinnedReference]) -> list[Wish]:
    """Return a wish for everything that is named by tag or digest, and not excluded."""
    named = ((pin.reference, pin) for pin in pins if not pin.excluded)
    return [
        (FetchRequest(ref.repository, ref.tag, ref.digest, pin.strict), pin.include) for ref, pin in named
    ]


def choose_tags(selection: Selection, reader: SourceReader) -> Choices:
    """Read the lists of all sources, and apply their rules."""
    listed, catalogs, findings = _in_namespaces(selection.namespaces, reader)
    sources = selection.own_sources(listed)
    unlisted: set[RepositoryName] = set()
    reader.lists.read([source.repository for source in sources])
    chosen: list[Chosen] = []
    for name in sorted({source.repository for source in sources}):
        tags = reader.lists[name]
        if isinstance(tags, BundlerError):
            findings += Findings(failures=(failure(tags, str(name)),))
            unlisted.add(name)
            continue
        findings += Findings(failures=tuple(_no_tags(name, tags, reader)))
        for source in dict.fromkeys(source for source in sources if source.repository == name):
            choice, finding = _chosen(source, tags, reader)
            chosen.append(choice)
            findings += finding
    return Choices(tuple(chosen), findings, catalogs, frozenset(unlisted))


def _no_tags(name: RepositoryName, tags: TagList, reader: SourceReader) -> Iterable[Failure]:
    """Yield a failure for each name in a list that can't be a tag."""
    for bad in tags.invalid:
        error = ContentError(f"{name}: {bad}", "the registry lists it, but it can't be a tag", _NO_TAG)
        reader.failing.add(error)
        yield failure(error)


def _in_namespaces(
    namespaces: Sequence[Namespace], reader: SourceReader
) -> tuple[list[Source], tuple[Namespace, ...], Findings]:
    sources: list[Source] = []
    read: list[Namespace] = []
    failures: list[Failure] = []
    registries = dict.fromkeys(space.registry for space in namespaces)
    answers = dict(reader.each("catalogs", registries, reader.session.registries.catalog))
    for space in namespaces:
        catalog = answers[space.registry]
        item = f"{space.registry}/{space.glob}"
        if isinstance(catalog, BundlerError):
            failures.append(failure(catalog, item))
            continue
        read.append(space)
        matching = list(space.sources(catalog))
        sources += matching
        if not matching:
            cause = f"none of the {len(catalog)} repositories in the catalog matches"
            failures.append(failure(NotFoundError(item, cause, "check the glob")))
    return sources, tuple(read), Findings(failures=tuple(failures))


def _chosen(source: Source, tags: TagList, reader: SourceReader) -> tuple[Chosen, Findings]:
    deciding = candidates(tags.tags, source.rules)
    read, findings = _read(source, deciding, reader)
    created = {tag: created_at(answer.manifest.annotations.get(CREATED, "")) for tag, answer in read.items()}
    choice = choose(tags.tags, source.rules, created)
    if not source.include.referrers:
        choice = _without_attachments(choice, source)
    name, next_step = source.repository, f"`{PROGRAM} explain` lists them"
    absent = (
        failure(NotFoundError(f"{name}:{tag}", "the repository has no such tag", next_step))
        for tag in choice.absent
    )
    findings += Findings(failures=tuple(absent))
    if not choice.taken and not choice.absent:
        findings += _nothing_taken(name, len(choice.decisions))
    return Chosen(source, choice, tuple(tag for tag in deciding if tag not in read)), findings


def _read(
    source: Source, tags: Sequence[Tag], reader: SourceReader
) -> tuple[dict[Tag, PinnedManifest], Findings]:
    """Read the manifests whose creation time decides; what can't be read is left out, and said."""
    read: dict[Tag, PinnedManifest] = {}
    failures: list[Failure] = []
    name = source.repository
    for tag, answer in reader.each("creation times", tags, lambda tag: reader.manifest(name, tag)):
        if isinstance(answer, BundlerError):
            reader.failing.add(answer)
            failures.append(failure(answer, f"{name}:{tag}"))
        else:
            read[tag] = answer
    return read, Findings(failures=tuple(sorted(failures, key=lambda problem: problem.item)))


def _without_attachments(choice: Choice, source: Source) -> Choice:
    """Return the choice without tags that are named after a digest, unless the rules name them."""

    def decided(decision: Decision) -> Decision:
        if is_attachment_tag(decision.tag) and decision.tag not in source.rules.tags:
            reason = "it belongs to another manifest, and --no-referrers is given"
            return decision._replace(taken=False, reason=reason)
        return decision

    return choice._replace(decisions=tuple(decided(decision) for decision in choice.decisions))


def _nothing_taken(name: RepositoryName, listed: int) -> Findings:
    if not listed:
        return Findings(warnings=(f"{name}: the repository has no tags",))
    cause = f"the rules match none of its {listed} tags"
    return Findings(failures=(failure(NotFoundError(str(name), cause, "see `timoni-bundler explain`")),))


def follow_latest(
    choices: Choices, roots: Iterable[Root], manifests: Manifests, reader: SourceReader
) -> Latest:
    """Take the version that the manifest of `latest` names too, where `latest` is followed."""
    pinned = {root.repository: manifests[root.digest] for root in roots if root.tag == LATEST}
    wishes: list[Wish] = []
    chosen: list[Chosen] = []
    findings = choices.findings
    for decided in choices.chosen:
        source, name = decided.source, decided.source.repository
        if not source.rules.follow_latest or name not in pinned:
            chosen.append(decided)
            continue
        version, listed = pinned[name].annotations.get(VERSION, ""), reader.lists[name]
        if isinstance(listed, TagList) and version in listed.names:
            tag = Tag(version)
            chosen.append(decided._replace(choice=also_latest(decided.choice, tag)))
            wishes.append((FetchRequest(name, tag, None), source.include))
        else:
            chosen.append(decided)
            line = f"{name}:latest: it says it is version {version!r}, and no tag has that name"
            findings += Findings(warnings=(line,))
    return Latest(choices._replace(chosen=tuple(chosen), findings=findings), wishes)
