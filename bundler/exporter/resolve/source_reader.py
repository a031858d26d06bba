"""Questions to the registries of a selection."""

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple, Self, TypeVar

from bundler.deltas.base import ASK_ALL, ImmutableTags
from bundler.deltas.departed import Subject
from bundler.errors import BundlerError, ContentError, IntegrityError
from bundler.exporter.resolve.read_budget import FailureLimit, ReadBudget, bounded, each_bounded
from bundler.exporter.resolve.tag_lists import TagLists
from bundler.limits import Limits
from bundler.oci import BlobStore, Descriptor, Digest, RegistryName, RepositoryName, Tag, read_all
from bundler.oci.manifest import Manifest, parse_manifest
from bundler.registry.large_bodies import LARGE, limit_large_bodies, take_place
from bundler.registry.repository import PinnedManifest
from bundler.session import Session
from bundler.workers import tried

Item = TypeVar("Item")

Result = TypeVar("Result")


class SourceReader(NamedTuple):
    """Questions to registries; what was asked once is not asked again."""

    session: Session
    store: BlobStore | None
    """The store that may have manifests already; None where nothing is walked."""
    lists: TagLists
    """The tag lists that were read so far."""
    tagged: dict[tuple[RepositoryName, Tag], PinnedManifest]
    """The manifests that were read by tag so far."""
    referrers: dict[Subject, tuple[Descriptor, ...] | BundlerError]
    """The answers about what is attached to manifests so far."""
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
        lists = TagLists(session, budget, doubts_later=store is not None)
        return cls(session, store, lists, {}, {}, failing, budget, keep, locked, immutable)

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
        return each_bounded(self.session, label, items, work)

    @property
    def asked_about_referrers(self) -> frozenset[RegistryName]:
        """Return the registries that were asked what is attached to something."""
        return frozenset(name.registry for name, _ in self.referrers)

    def ask_referrers(self, subject: Subject) -> None:
        """Ask what is attached to a manifest, where nobody knows, and keep the answer in `referrers`.

        Raises: TooMuchError.
        """
        if subject in self.immutable.referrers or subject in self.referrers:
            return
        name, digest = subject
        source, count = self.session.registries.source(name), self.budget.count_referrers
        self.referrers[subject] = bounded(tried(lambda: source.referrers(digest, count) or ()))

    @limit_large_bodies
    def manifest(self, name: RepositoryName, reference: Tag | Digest) -> PinnedManifest:
        """Return a manifest by tag or digest."""
        if immutable := self.immutable.manifests.get((name, reference)):
            return PinnedManifest(self.budget.one(immutable))
        tag = None if isinstance(reference, Digest) else (name, reference)
        if tag in self.tagged:
            return self.tagged[tag]
        answer = self.session.registries.source(name).manifest(reference)
        answer = answer._replace(manifest=self.budget.one(answer.manifest))
        if tag:
            self.tagged[tag] = answer
        return answer

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
