"""Questions to the registries of a selection, and the bounds of all answers together."""

import threading
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple, Self, TypeVar

from bundler.deltas.base import ASK_ALL, ImmutableTags
from bundler.errors import BundlerError, ContentError, IntegrityError
from bundler.limits import Limits
from bundler.oci import BlobStore, Descriptor, Digest, RepositoryName, Tag, read_all
from bundler.oci.graph import HeldManifests, Tally
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.registry.large_bodies import LARGE, limit_large_bodies, take_place
from bundler.registry.repository import PinnedManifest, TagList
from bundler.session import Session


class FailureLimit:
    """A count of what failed in one run: when thousands fail, they have one cause."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0

    def add(self, error: BundlerError) -> None:
        """Count one.

        Raises: ContentError with this error's cause, when it is one too many.
        """
        self._count += 1
        if self._count > self._limit:
            cause = f"{error.cause}; more than {self._limit:,} items failed"
            raise ContentError(
                error.item, cause, "find out what these items have in common, or choose fewer tags"
            )


RUN = "selection"

FEWER = "export fewer repositories or tags at a time"


class TooMuchError(ContentError):
    """A limit of the whole run is reached, and the run ends."""


class ReadBudget:
    """The manifests and names that one run reads, counted; equal manifests are one."""

    def __init__(self, limits: Limits) -> None:
        self._lock = threading.Lock()
        self._manifests: dict[Descriptor, Manifest] = {}
        self._parts = HeldManifests(limits, RUN)
        self._bytes = Tally(RUN, limits.manifests, "bytes of manifests")
        self._nodes = Tally(RUN, limits.graph_nodes, "manifests")
        self._names = Tally(RUN, limits.listed, "tags listed")
        self._referrers = Tally(RUN, limits.graph_nodes, "referrers listed")

    def one(self, manifest: Manifest) -> Manifest:
        """Return the manifest, or the same one that was read before.

        Raises: TooMuchError.
        """
        with self._lock:
            held = self._manifests.get(manifest.blob)
            if held is not None:
                return held
            self._add(self._bytes, manifest.blob.size)
            self._add(self._nodes, 1)
            try:
                self._parts.add(manifest)
            except ContentError as error:
                raise _too_much(error) from None
            self._manifests[manifest.blob] = manifest
            return manifest

    def count_names(self, number: int) -> None:
        """Count tags that were listed.

        Raises: TooMuchError.
        """
        with self._lock:
            self._add(self._names, number)

    def count_referrers(self, number: int) -> None:
        """Count referrers that were listed.

        Raises: TooMuchError.
        """
        with self._lock:
            self._add(self._referrers, number)

    def _add(self, tally: Tally, number: int) -> None:
        try:
            tally.add(number)
        except ContentError as error:
            raise _too_much(error) from None


def _too_much(error: ContentError) -> TooMuchError:
    return TooMuchError(error.item, error.cause, FEWER)


Item = TypeVar("Item")

Result = TypeVar("Result")


class SourceReader(NamedTuple):
    """Questions to registries; what was asked once is not asked again."""

    session: Session
    store: BlobStore | None
    """The store that may have manifests already; None where nothing is walked."""
    lists: dict[RepositoryName, TagList | BundlerError]
    """The tag lists that were read so far."""
    failing: FailureLimit
    """Counts tags that failed."""
    budget: ReadBudget
    """Counts what was read so far."""
    keep: bool = True
    """True if content that was read may be put into the store."""
    locked: bool = False
    """A pin whose tag moved is taken by its digest."""
    immutable: ImmutableTags = ASK_ALL
    """Content that is not asked for, because it never moves."""

    @classmethod
    def of(
        cls,
        session: Session,
        store: BlobStore | None,
        *,
        keep: bool = True,
        locked: bool = False,
        immutable: ImmutableTags = ASK_ALL,
    ) -> Self:
        """Return a reader that has asked nothing yet."""
        failing, budget = FailureLimit(session.limits.failures), ReadBudget(session.limits)
        return cls(session, store, {}, failing, budget, keep, locked, immutable)

    @property
    def limits(self) -> Limits:
        """Return the bounds of this run."""
        return self.session.limits

    def each(
        self, label: str, items: Collection[Item], work: Callable[[Item], Result]
    ) -> Iterator[tuple[Item, Result | BundlerError]]:
        """Do `work` on all items, several at a time; yield pairs as they are finished.

        Raises: TooMuchError where one of them met a limit of the whole run.
        """
        for item, result in self.session.each(label, items, work):
            if isinstance(result, TooMuchError):
                raise result
            yield item, result

    def read_lists(self, names: Collection[RepositoryName]) -> None:
        """Read the tag lists of these repositories into `lists`, failures included."""
        unread = [name for name in dict.fromkeys(names) if name not in self.lists]
        for name, answer in self.each("tag lists", unread, self._list):
            self.lists[name] = answer

    def _list(self, name: RepositoryName) -> TagList:
        return self.session.registries.source(name).tags(self.budget.count_names)

    @limit_large_bodies
    def manifest(self, name: RepositoryName, reference: Tag | Digest) -> PinnedManifest:
        """Return a manifest by tag or digest."""
        if immutable := self.immutable.manifests.get((name, reference)):
            return PinnedManifest(self.budget.one(immutable))
        answer = self.session.registries.source(name).manifest(reference)
        return answer._replace(manifest=self.budget.one(answer.manifest))

    def small_blob(self, blob: Descriptor, name: RepositoryName) -> bytes:
        """Read a blob that is carried later.

        Raises: ContentError over the limit.
        """
        if blob.size > self.limits.module_layer:
            raise ContentError(f"blob {blob.digest}", f"over the limit of {self.limits.module_layer:,} bytes")
        if self.store is not None and self.store.has(blob):
            return read_all(self.store, blob)
        data = self._read_proven(blob, name)
        if self.store is not None and self.keep:
            self.store.add(blob, lambda offset: [data[offset:]])
        return data

    def _read_proven(self, blob: Descriptor, name: RepositoryName) -> bytes:
        """Read a blob; ask again for wrong bytes, a few times: a proxy or a link may have spoilt them."""
        source = self.session.registries.source(name)
        for _ in range(self.limits.integrity_attempts - 1):
            try:
                return read_all(source, blob)
            except IntegrityError:
                self.session.registries.traffic.count(retries=1)
        return read_all(source, blob)

    @limit_large_bodies
    def child(self, child: Descriptor, name: RepositoryName) -> Manifest:
        """Read a manifest that an index names; from the store, if it is there."""
        if self.store is not None and self.store.has(child):
            if child.size > LARGE:
                take_place()
            data = read_all(self.store, child)
            return self.budget.one(parse_manifest(data, child.media_type, child.digest, limits=self.limits))
        manifest = self.manifest(name, child.digest).manifest
        if manifest.blob.media_type != child.media_type or manifest.blob.size != child.size:
            actual = manifest.blob
            expected = f"{child.media_type}, {child.size:,} bytes"
            cause = f"its index says {expected}, but it is {actual.media_type}, {actual.size:,} bytes"
            raise ContentError(f"manifest {child.digest}", cause)
        return manifest
