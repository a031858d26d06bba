"""Tags pinned to digests: one request per tag; the digest is computed from what came."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from bundler.bundle.inventory import Root
from bundler.errors import BundlerError, IntegrityError, NotFoundError
from bundler.exporter.resolve.resolution import Findings
from bundler.exporter.resolve.source_reader import SourceReader
from bundler.exporter.resolve.walk_indexes import ManifestGraph
from bundler.oci import Digest, RegistryName, RepositoryName, Tag
from bundler.registry.repository import PinnedManifest
from bundler.selection.sources import Include


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

    @property
    def nowhere(self) -> Root:
        """Return the root that stands for this request where it failed."""
        return Root(self.repository, self.tag, self.digest or Digest(""))


Wish = tuple[FetchRequest, Include]
"""A request to pin, and what is included with it."""


class Pinned(NamedTuple):
    """The answers to requests, in their order, and the graph with the manifests that were read."""

    answers: Mapping[FetchRequest, Root | BundlerError]
    graph: ManifestGraph
    findings: Findings


def pin_tags(
    requests: Iterable[FetchRequest],
    graph: ManifestGraph,
    reader: SourceReader,
    *,
    label: str = "manifests",
) -> Pinned:
    """Read the manifests that are requested, and give each its root.

    In the order of `requests`, not as they arrive: the bundle must not depend on the network.
    """
    unique = list(dict.fromkeys(requests))
    read = _read_all(unique, graph, reader, label)
    manifests = {request: answer for request, answer in read.items() if isinstance(answer, PinnedManifest)}
    graph, refused = graph.taking(
        (request.repository, answer.manifest) for request, answer in manifests.items()
    )
    for error in refused.values():
        reader.failing.add(error)
    answers = {request: _answer(request, answer, refused) for request, answer in read.items()}
    warnings = tuple(line for answer in manifests.values() for line in answer.warnings)
    drifted = tuple(str(request) for request, answer in manifests.items() if answer.moved)
    return Pinned(answers, graph, Findings(warnings=warnings, drifted=drifted))


def _read_all(
    unique: list[FetchRequest], graph: ManifestGraph, reader: SourceReader, label: str
) -> dict[FetchRequest, PinnedManifest | BundlerError]:
    # Where nothing is walked, nobody wants more than the manifests.
    probing, settling = _asking_beside(unique, graph, reader) if reader.store is not None else ((), ())

    def work(request: FetchRequest) -> PinnedManifest:
        if request in settling:
            reader.lists.settle(request.repository.registry)
        answer = _read(request, reader)
        if request in probing:
            reader.ask_referrers((request.repository, answer.manifest.blob.digest))
        return answer

    read: dict[FetchRequest, PinnedManifest | BundlerError] = {}
    for request, answer in reader.each(label, unique, work):
        if isinstance(answer, BundlerError):
            reader.failing.add(answer)
        read[request] = answer
    return {request: read[request] for request in unique}


def _asking_beside(
    requests: Iterable[FetchRequest], graph: ManifestGraph, reader: SourceReader
) -> tuple[Collection[FetchRequest], Collection[FetchRequest]]:
    """Return the requests whose workers ask more, of each registry: about referrers, about its lists.

    First, whether it has the Referrers API; then, whether it cut a list. Alone, each of these questions costs
    a round trip to a far registry.
    """
    probing: dict[RegistryName, FetchRequest] = {}
    settling: dict[RegistryName, FetchRequest] = {}
    asked, doubted = reader.asked_about_referrers, reader.lists.doubted
    for request in requests:
        name, registry = request.repository, request.repository.registry
        is_asked_for = (name, request.tag or request.digest) not in reader.immutable.manifests
        if is_asked_for and graph.include(name).referrers and not (registry in asked or registry in probing):
            probing[registry] = request
        elif registry in doubted and registry not in settling:
            settling[registry] = request
    return frozenset(probing.values()), frozenset(settling.values())


def _answer(
    request: FetchRequest,
    answer: PinnedManifest | BundlerError,
    refused: Mapping[tuple[RepositoryName, Digest], BundlerError],
) -> Root | BundlerError:
    if isinstance(answer, BundlerError):
        return answer
    digest = answer.manifest.blob.digest
    return refused.get((request.repository, digest)) or Root(request.repository, request.tag, digest)


def _read(request: FetchRequest, reader: SourceReader) -> PinnedManifest:
    if request.digest is None or not request.strict:
        return reader.manifest(request.repository, request.digest or request.tag or Tag("latest"))
    answer = reader.manifest(request.repository, request.tag or request.digest)
    now = answer.manifest.blob.digest
    if now == request.digest:
        return answer
    cause = f"the tag points to {now} instead of {request.digest}"
    if reader.locked:
        with suppress(NotFoundError):
            locked = reader.manifest(request.repository, request.digest)
            warnings = (*locked.warnings, f"{request}: {cause}; taken by its digest")
            return locked._replace(warnings=warnings, moved=True)
    raise IntegrityError(str(request), cause, "somebody moved the tag: find out who, or pin the new digest")
