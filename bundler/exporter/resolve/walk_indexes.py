"""Manifests that were read, and the walk from indexes down to the children that are wanted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from bundler.bundle.inventory import Root
from bundler.deltas.departed import Subject
from bundler.errors import BundlerError, ContentError, IntegrityError, NotFoundError
from bundler.exporter.resolve.source_reader import SourceReader
from bundler.oci import Descriptor, Digest, Manifest, Manifests, RepositoryName, reached
from bundler.oci.graph import sparse
from bundler.oci.platform import attestations, sparse_index
from bundler.selection.sources import ALONE, Include


class ExtendedGraph(NamedTuple):
    """A graph with more manifests, and those that could not be taken into it."""

    graph: ManifestGraph
    refused: Mapping[Subject, BundlerError]


class ManifestGraph(NamedTuple):
    """Manifests read so far; an index has the children that are wanted."""

    omitted: frozenset[Digest] = frozenset()
    """Children of indexes that are left out wherever they are."""
    manifests: Manifests = MappingProxyType({})
    broken: Mapping[Digest, BundlerError] = MappingProxyType({})
    """Children of indexes that could not be read."""
    includes: Mapping[RepositoryName, Include] = MappingProxyType({})
    warnings: tuple[str, ...] = ()
    """Lines about children that are left out because their registry does not have them."""

    def include(self, name: RepositoryName) -> Include:
        """Return what is included with the tags of a repository."""
        return self.includes.get(name, ALONE)

    def including(self, wishes: Iterable[tuple[RepositoryName, Include]]) -> ManifestGraph:
        """Return the graph with more included; two wishes for one repository are joined."""
        includes = dict(self.includes)
        for name, include in wishes:
            includes[name] = includes[name].joined(include) if name in includes else include
        return self._replace(includes=includes)

    def taking(self, read: Iterable[tuple[RepositoryName, Manifest]]) -> ExtendedGraph:
        """Return the graph with these manifests; of an index, the children for the platforms included."""
        manifests = dict(self.manifests)
        refused: dict[Subject, BundlerError] = {}
        for name, manifest in read:
            digest = manifest.blob.digest
            try:
                kept = sparse(sparse_index(manifest, self.include(name).platforms), self.omitted)
            except ContentError as error:
                refused[name, digest] = error
                continue
            before = manifests.get(digest)
            manifests[digest] = _united(manifest, before, kept) if before else kept
        return ExtendedGraph(self._replace(manifests=manifests), refused)

    def without_attestations(self, missing: Collection[Digest]) -> ManifestGraph:
        """Return the graph without those attestations that their registry does not have.

        A cache that fetches on demand may not have fetched them; the images can be used without.
        """
        manifests, warnings = dict(self.manifests), dict.fromkeys(self.warnings)
        for digest, index in self.manifests.items():
            lacking = {child.digest for child in index.children}.intersection(missing)
            if left := lacking & attestations(index) if lacking else set():
                manifests[digest] = sparse(index, left)
                lines = (f"its attestation {child} is not there, and is not carried" for child in left)
                warnings |= dict.fromkeys(f"index {digest}: {line}" for line in sorted(lines))
        return self._replace(manifests=manifests, warnings=tuple(warnings))

    def breaking(self, broken: Mapping[Digest, BundlerError]) -> ManifestGraph:
        """Return the graph without these manifests, each with the reason."""
        manifests = {digest: manifest for digest, manifest in self.manifests.items() if digest not in broken}
        return self._replace(manifests=manifests, broken={**self.broken, **broken})


def _united(manifest: Manifest, *parts: Manifest) -> Manifest:
    """Return an index with the children that either repository wants of it."""
    kept = {child for part in parts for child in part.children}
    return manifest._replace(children=tuple(child for child in manifest.children if child in kept))


def walk_indexes(roots: Iterable[Root], graph: ManifestGraph, reader: SourceReader) -> ManifestGraph:
    """Read what these roots have below them, level by level; what fails is in `broken` of the result."""
    level = dict.fromkeys((root.repository, root.digest) for root in roots)
    for _ in range(reader.limits.index_depth):
        children = _children(level, graph.manifests)
        graph = _read(children, graph, reader)
        level = dict.fromkeys((name, child.digest) for child, name in children)
    cause = f"indexes nested more than {reader.limits.index_depth} deep"
    too_deep = [child.digest for child, _ in _children(level, graph.manifests)]
    return graph.breaking({digest: ContentError(f"manifest {digest}", cause) for digest in too_deep})


def _children(level: Iterable[Subject], manifests: Manifests) -> list[tuple[Descriptor, RepositoryName]]:
    """Return what the manifests of one level name below them."""
    children: dict[Descriptor, RepositoryName] = {}
    for name, digest in level:
        if manifest := manifests.get(digest):
            children |= dict.fromkeys(manifest.children, name)
    return list(children.items())


def _read(
    children: Iterable[tuple[Descriptor, RepositoryName]], graph: ManifestGraph, reader: SourceReader
) -> ManifestGraph:
    missing = [item for item in children if item[0].digest not in graph.manifests]
    if not missing:
        return graph
    read: list[tuple[RepositoryName, Manifest]] = []
    broken: dict[Digest, BundlerError] = {}
    for (child, name), answer in reader.each(
        "manifests of indexes", missing, lambda item: reader.child(*item)
    ):
        if isinstance(answer, BundlerError):
            broken[child.digest] = answer
        else:
            read.append((name, answer))
    graph, refused = graph.taking(read)
    missing_there = [digest for digest, error in broken.items() if isinstance(error, NotFoundError)]
    broken |= {digest: error for (_, digest), error in refused.items()}
    graph = graph._replace(broken={**graph.broken, **broken})
    return graph.without_attestations(missing_there) if missing_there else graph


def gap_below(root: Digest, graph: ManifestGraph) -> BundlerError | None:
    """Return what keeps a manifest from being whole, naming parent and child; None if it is whole."""
    for parent in reached(root, graph.manifests):
        for child in graph.manifests[parent].children if parent in graph.manifests else ():
            if child.digest not in graph.manifests:
                item, cause = f"manifest {child.digest}", f"missing, but {parent} needs it"
                reason = graph.broken.get(child.digest)
                if reason is None:
                    return IntegrityError(item, cause)
                return type(reason)(item, f"{cause}: {reason.cause}", reason.next_step)
    return None
