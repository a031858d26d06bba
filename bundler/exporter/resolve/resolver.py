"""Selection → resolution: tags chosen and pinned, with everything that they reach. Reads the registries.

One request per page of a tag list, one per tag, one per child of an index. Each phase runs over all
repositories at once, and returns a new value. One failing tag costs one tag.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from bundler.bundle.inventory import Root
from bundler.deltas.base import ASK_ALL, ImmutableTags
from bundler.errors import BundlerError
from bundler.exporter.resolve.choose_tags import Choices, choose_tags, decided_pins, follow_latest, wishes_of
from bundler.exporter.resolve.find_attachments import AttachmentGraph, find_attachments, lacking
from bundler.exporter.resolve.pin_tags import FetchRequest, Wish, pin_tags
from bundler.exporter.resolve.resolution import (
    AskedSources,
    Findings,
    Resolution,
    Resolved,
    failed_findings,
)
from bundler.exporter.resolve.source_reader import SourceReader
from bundler.exporter.resolve.walk_indexes import ManifestGraph, gap_below, walk_indexes
from bundler.oci import BlobStore, Manifest
from bundler.registry.repository import TagList
from bundler.reporting.json_report import Explanation, RepositoryExplanation, TagDecision, failure
from bundler.selection.rules import LATEST
from bundler.selection.sources import Selection
from bundler.session import Session
from bundler.trust.module_signers import NOBODY, Signers


def resolve_selection(
    selection: Selection,
    session: Session,
    store: BlobStore,
    *,
    signers: Signers = NOBODY,
    immutable: ImmutableTags = ASK_ALL,
    keep: bool = True,
) -> Resolved:
    """Choose tags, pin them, walk down to every manifest, and find what is attached to them.

    What is `immutable` is taken as it was, and not asked for. `keep` blobs that are read on the way.
    """
    reader = SourceReader.of(session, store, keep=keep, locked=selection.locked, immutable=immutable)
    choices, draft = _chosen(selection, reader)
    latest = follow_latest(choices, draft.chosen, draft.graph.manifests, reader)
    decided = latest.choices.findings + latest.choices.decisions + decided_pins(selection)
    draft = _pinned(draft.noting(decided), latest.wishes, reader)
    draft = _walked(_with_images(draft, reader), reader)
    # What is named after a digest that nobody chose: the subject may have been removed.
    orphans = _not_among(draft.resolved.resolution.roots, choices.wishes(attachments=True))
    if orphans:
        draft = _walked(_pinned(draft, orphans, reader), reader)
    resolved = draft.noting(Findings(warnings=(*draft.graph.warnings, *draft.attached.warnings))).resolved
    asked = _asked(selection, choices, draft.graph, reader)
    return _judged(resolved._replace(asked=asked), signers, reader)


class _Draft(NamedTuple):
    """A resolution under way."""

    attached: AttachmentGraph
    findings: Findings
    chosen: tuple[Root, ...] = ()
    optional: frozenset[Root] = frozenset()

    @classmethod
    def of(cls, selection: Selection) -> _Draft:
        """Return the empty draft of a selection, with what was wrong about it from the start."""
        problems = tuple(failure(problem) for problem in selection.problems)
        return cls(AttachmentGraph(ManifestGraph(selection.omitted)), Findings(failures=problems))

    @property
    def graph(self) -> ManifestGraph:
        """Return every manifest read so far."""
        return self.attached.graph

    @property
    def resolved(self) -> Resolved:
        """Return the resolution so far."""
        manifests, attachments = self.graph.manifests, self.attached.attachments
        resolution = Resolution(self.chosen, manifests, attachments, self.optional)
        return Resolved(resolution, self.findings)

    def noting(self, findings: Findings) -> _Draft:
        """Return the draft with more findings."""
        return self._replace(findings=self.findings + findings)

    def with_graph(self, graph: ManifestGraph) -> _Draft:
        """Return the draft with another graph of manifests."""
        return self._replace(attached=self.attached._replace(graph=graph))

    def choosing(self, roots: Iterable[Root]) -> _Draft:
        """Return the draft with these roots; a tag that has another digest already stays what it is."""
        tags = {root[:2]: root.digest for root in self.chosen if root.tag}
        chosen = dict.fromkeys(self.chosen)
        for root in roots:
            moved = root.tag and tags.setdefault(root[:2], root.digest) != root.digest
            chosen[root._replace(tag=None) if moved else root] = None
        return self._replace(chosen=tuple(chosen))

    def without(self, errors: dict[Root, BundlerError]) -> _Draft:
        """Return the draft without the roots that fail."""
        remaining = self.resolved.without(errors)
        return self._replace(chosen=remaining.resolution.chosen, findings=remaining.findings)


def _chosen(selection: Selection, reader: SourceReader) -> tuple[Choices, _Draft]:
    """Choose tags and pin them; anew, if a registry had cut a list, which is asked meanwhile."""
    while True:
        choices = choose_tags(selection, reader)
        named = [*wishes_of(selection.own_pins), *choices.wishes(attachments=False)]
        draft = _pinned(_Draft.of(selection), named, reader)
        if not reader.lists.settle_all():
            return choices, draft


def _pinned(
    draft: _Draft,
    wishes: Collection[Wish],
    reader: SourceReader,
    *,
    optional: Collection[FetchRequest] = (),
) -> _Draft:
    """Pin what is wished, and choose it; what can't be pinned has failed."""
    graph = draft.graph.including((request.repository, include) for request, include in wishes)
    answers, graph, findings = pin_tags((request for request, _ in wishes), graph, reader)
    roots = [answer for answer in answers.values() if isinstance(answer, Root)]
    failed = {
        request.nowhere: failure(answer, str(request))
        for request, answer in answers.items()
        if isinstance(answer, BundlerError)
    }
    missing = failed_findings(failed, {request.nowhere for request in optional})
    chosen = {answers[request] for request in optional} - {*draft.chosen}
    draft = draft._replace(optional=draft.optional | {root for root in chosen if isinstance(root, Root)})
    return draft.with_graph(graph).choosing(roots).noting(findings + missing)


def _with_images(draft: _Draft, reader: SourceReader) -> _Draft:
    """Pin the images of the modules for which they are included."""
    if not any(include.images for include in draft.graph.includes.values()):
        return draft
    # Loaded here: most runs read no module's CUE.
    from bundler.exporter.resolve.wanted_images import find_images, young_images

    wishes, optional, findings, ages = find_images(draft.chosen, draft.graph, reader)
    pinned = _pinned(draft.noting(findings), wishes, reader, optional=optional)
    if not ages:
        return pinned
    images = [root for root in pinned.chosen if root not in draft.chosen]
    young = young_images(images, pinned.graph, reader, ages)
    old = tuple(root for root in pinned.chosen if root not in young)
    return pinned._replace(chosen=old, optional=pinned.optional - young.keys()).noting(
        Findings(warnings=tuple(young.values()))
    )


def _walked(draft: _Draft, reader: SourceReader) -> _Draft:
    """Read what is below the chosen roots, and what is attached to them; leave out what has a gap."""
    draft = draft.with_graph(walk_indexes(draft.chosen, draft.graph, reader))
    gaps = ((root, gap_below(root.digest, draft.graph)) for root in draft.chosen)
    draft = draft.without({root: gap for root, gap in gaps if gap})
    draft = draft._replace(attached=find_attachments(draft.chosen, draft.attached, reader))
    return draft.without(lacking(draft.resolved.resolution, draft.attached))


def _asked(
    selection: Selection, choices: Choices, graph: ManifestGraph, reader: SourceReader
) -> AskedSources:
    """Return what was asked of the sources, and what they listed."""
    names = {choice.source.repository for choice in choices.chosen}
    names |= {pin.reference.repository for pin in selection.own_pins}
    # Of images, every shard knows only those of its own modules.
    names |= set() if selection.shard else graph.includes.keys()
    lists = {name: reader.lists.get(name) for name in names - choices.unlisted}
    listed = {name: tags.names if isinstance(tags, TagList) else None for name, tags in lists.items()}
    return AskedSources(listed, choices.catalogs, selection.shard, choices.unread)


def _not_among(roots: Iterable[Root], wishes: Iterable[Wish]) -> list[Wish]:
    names = {(root.repository, root.tag) for root in roots}
    return [wish for wish in wishes if (wish[0].repository, wish[0].tag) not in names]


def _judged(resolved: Resolved, signers: Signers, reader: SourceReader) -> Resolved:
    """Leave out unsigned modules, and say what is carried only in part."""
    if signers != NOBODY:
        # Loaded here: most runs demand no signatures.
        from bundler.exporter.resolve.signed_modules import without_unsigned

        resolved = without_unsigned(resolved, signers, reader)
    elsewhere = tuple(line for manifest in resolved.resolution.carried() for line in _elsewhere(manifest))
    warnings = (*elsewhere, *resolved.resolution.sparse_warnings)
    return resolved._replace(findings=resolved.findings + Findings(warnings=warnings))


def _elsewhere(manifest: Manifest) -> list[str]:
    """Return a line for each layer that registries don't hold."""
    return [
        f"manifest {manifest.blob.digest}: its layer {layer.blob.digest} is not distributable: not fetched"
        for layer in manifest.layers
        if not layer.distributed
    ]


def explain_selection(selection: Selection, session: Session) -> Explanation:
    """Return each tag with the rule that decided: one request per page of a tag list.

    One more per candidate where creation times decide, and one for a `latest` that is followed.
    """
    reader = SourceReader.of(session, None)
    choices = choose_tags(selection, reader)
    draft = _pinned(_Draft.of(selection), _latest_alone(choices), reader)
    latest = follow_latest(choices, draft.chosen, draft.graph.manifests, reader)
    findings = draft.findings + latest.choices.findings + latest.choices.decisions + decided_pins(selection)
    explained = (
        RepositoryExplanation(name, tuple(TagDecision(*decision) for decision in decisions.values()))
        for name, decisions in sorted(findings.decided().items())
    )
    return Explanation(tuple(explained), findings.all_failures)


def _latest_alone(choices: Choices) -> list[Wish]:
    """Return a wish for each `latest` that is followed: its manifest says which version it is."""
    followed = {source.repository for source, _, _ in choices.chosen if source.rules.follow_latest}
    return [
        wish
        for wish in choices.wishes(attachments=False)
        if wish[0].tag == LATEST and wish[0].repository in followed
    ]
