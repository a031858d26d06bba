"""A resolved selection: roots, manifests, attachments, and what was found on the way. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from bundler.bundle.inventory import Root, bundle_order
from bundler.deltas.departed import DeltaScope, Name, Subject, name_of
from bundler.errors import BundlerError
from bundler.oci import Digest, Manifest, Manifests, RepositoryName, bottom_up, needed_by, reached
from bundler.oci.graph import is_sparse, with_carried_children
from bundler.reporting.bundle_outcome import ImagesReport
from bundler.reporting.json_report import Failure, SignedReport, failure
from bundler.reporting.progress import counted
from bundler.selection.choose import Choice, Decision
from bundler.selection.sources import Namespace, Shard

Attached = Mapping[Subject, tuple[Root, ...]]


@dataclass(frozen=True)
class Findings:
    """Failures, warnings and decisions of a run, without the content itself."""

    failures: tuple[Failure, ...] = ()
    """Failures of whole repositories, and of names that are not tags."""
    failed: tuple[tuple[Root, Failure], ...] = ()
    """Roots that were left out, each with the reason."""
    warnings: tuple[str, ...] = ()
    drifted: tuple[str, ...] = ()
    """Tags that moved, during this run or since the lock file."""
    decisions: tuple[tuple[RepositoryName, Choice], ...] = ()
    """The decisions that the rules of each source made."""
    images: tuple[ImagesReport, ...] = ()
    """The images that each module runs, as far as they can be read."""
    signed: tuple[SignedReport, ...] = ()
    """Who signed the modules, where signatures were demanded."""
    without: tuple[Root, ...] = ()
    """Optional roots that were left out."""

    def __add__(self, other: Findings) -> Findings:
        """Return both, these first."""
        return Findings(*(getattr(self, item.name) + getattr(other, item.name) for item in fields(self)))

    def decided(self) -> dict[RepositoryName, dict[str, Decision]]:
        """Return one decision per tag: of the first source that takes it, else of the first at all."""
        decided: dict[RepositoryName, dict[str, Decision]] = {}
        for name, choice in self.decisions:
            decisions = decided.setdefault(name, {})
            for decision in choice.decisions:
                earlier = decisions.get(decision.tag)
                if earlier is None or (decision.taken and not earlier.taken):
                    decisions[decision.tag] = decision
        return decided

    @property
    def all_failures(self) -> tuple[Failure, ...]:
        """Return everything that failed."""
        return (*self.failures, *(item for _, item in self.failed))

    @property
    def complete(self) -> bool:
        """Return whether nothing failed."""
        return not self.failed and not self.failures


@dataclass(frozen=True)
class Resolution:
    """Roots that were asked for, every manifest that they reach, and what is attached to what."""

    chosen: tuple[Root, ...] = ()
    manifests: Manifests = field(default_factory=lambda: MappingProxyType({}))
    attachments: Attached = field(default_factory=lambda: MappingProxyType({}))
    """The roots attached to each manifest that was asked about."""
    optional: frozenset[Root] = frozenset()
    """Chosen roots without which the others are carried all the same."""

    def whole(self, root: Root) -> Iterator[Root]:
        """Yield a root, and all that is attached to it and its children, down to signatures of signatures."""
        seen = {root}
        waiting = [root]
        while waiting:
            parent = waiting.pop()
            yield parent
            for digest in reached(parent.digest, self.manifests):
                for attached in self.attachments.get((parent.repository, digest), ()):
                    if attached not in seen:
                        seen.add(attached)
                        waiting.append(attached)

    @cached_property
    def roots(self) -> tuple[Root, ...]:
        """Return everything that is carried under a name of its own, in the order of the bundle."""
        carried = {part for root in self.chosen for part in self.whole(root)}
        return tuple(sorted(carried, key=bundle_order))

    @cached_property
    def sparse_warnings(self) -> tuple[str, ...]:
        """Return a line if indexes are carried without some of their children: few registries take them."""
        digests = [root.digest for root in self.roots]
        sparse: set[Digest] = set()
        for manifest in bottom_up(digests, with_carried_children(digests, self.manifests)):
            if is_sparse(manifest) or any(child.digest in sparse for child in manifest.children):
                sparse.add(manifest.blob.digest)
        roots = [root for root in self.roots if root.digest in sparse]
        if not roots:
            return ()
        number = counted(len(roots), "index is", "indexes are")
        return (
            f"{number} carried without some children, as {roots[0]}; most registries refuse that: "
            "import with --filter-indexes, or export all platforms",
        )

    def size_of(self, *roots: Root) -> int:
        """Return the bytes of all that the roots need, each blob once."""
        return sum(needed_by([root.digest for root in roots], self.manifests).values())

    def carried(self) -> list[Manifest]:
        """Return every manifest that the roots reach, children before parents."""
        return list(bottom_up((root.digest for root in self.roots), self.manifests))


class AskedSources(NamedTuple):
    """Everything that was asked of the sources: nothing else can be said to be gone."""

    lists: Mapping[RepositoryName, Collection[str] | None] = MappingProxyType({})
    """The tags of each repository; None where its list was not read."""
    catalogs: tuple[Namespace, ...] = ()
    """Namespaces whose catalog was read."""
    shard: Shard | None = None
    """The part that was asked about."""
    unanswered: frozenset[Name] = frozenset()
    """Tags and digests without an answer."""

    def scope(self, resolution: Resolution, findings: Findings, base: Iterable[Root]) -> DeltaScope:
        """Return what a delta on this base can be about."""
        lists: dict[RepositoryName, Collection[str] | None] = dict(self.lists)
        for root in base:
            # A repository that its catalog lists no more has no tags.
            is_ours = self.shard is None or self.shard.takes(root.repository)
            if is_ours and any(space.covers(root.repository) for space in self.catalogs):
                lists.setdefault(root.repository, frozenset())
        failed = {name_of(root) for root in (*dict(findings.failed), *findings.without)}
        return DeltaScope(lists, resolution.attachments.keys(), self.unanswered | failed)


class Resolved(NamedTuple):
    """A resolution, what was found on the way to it, and what was asked."""

    resolution: Resolution
    findings: Findings
    asked: AskedSources = AskedSources()

    def without(self, lacking: Mapping[Root, BundlerError]) -> Resolved:
        """Leave out every chosen root that lacks something itself, or has something attached that does."""
        failed: dict[Root, Failure] = {}
        for root in self.resolution.chosen if lacking else ():
            if part := next((part for part in self.resolution.whole(root) if part in lacking), None):
                failed[root] = failure(lacking[part], str(root))
        if not failed:
            return self
        before = self.resolution
        chosen = tuple(root for root in before.chosen if root not in failed)
        findings = self.findings + failed_findings(failed, before.optional)
        return Resolved(replace(before, chosen=chosen), findings, self.asked)


def failed_findings(failed: Mapping[Root, Failure], optional: Collection[Root]) -> Findings:
    """Return failures, and warnings about what is optional."""
    return Findings(
        failed=tuple(item for item in failed.items() if item[0] not in optional),
        without=tuple(root for root in failed if root in optional),
        warnings=tuple(
            f"{item.item}: {item.cause}; it is optional, and left out"
            for root, item in failed.items()
            if root in optional
        ),
    )
