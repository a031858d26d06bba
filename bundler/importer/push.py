"""The plan carried out at the target: blobs, manifests bottom-up, tags last, and everything read back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from bundler.bundle.inventory import Root
from bundler.errors import AuthError, BundlerError, IntegrityError, TargetRefusedError
from bundler.importer.listing import make_findable
from bundler.importer.plan import ImportPlan, Listing, Step, Upload
from bundler.importer.survey import points_to
from bundler.oci.content import BlobSource, Descriptor, Digest
from bundler.oci.graph import Manifests, bottom_up, is_sparse
from bundler.oci.manifest import Manifest
from bundler.oci.reference import RepositoryName, Tag
from bundler.progress import Progress, each_shown
from bundler.registry.registries import Registries
from bundler.registry.target import MissingContentError, RepositoryRefusedError, StoredOtherwiseError
from bundler.report import Phases
from bundler.workers import each

Chunks = Callable[[int], Iterable[bytes]]


@dataclass
class Outcome:
    """What happened, counted from many threads' results in one."""

    sent: dict[Descriptor, None] = field(default_factory=dict)
    reused: dict[Descriptor, None] = field(default_factory=dict)
    failed: dict[Root, BundlerError] = field(default_factory=dict)


class Push(Phases):
    """One import's writes. The steps are called in order: blobs, children, tags, read_back."""

    def __init__(
        self, plan: ImportPlan, manifests: Manifests, registries: Registries, *, jobs: int, progress: Progress
    ) -> None:
        super().__init__(registries.settings.hosts.clock)
        self.outcome = Outcome()
        self._plan = plan
        self._manifests = manifests
        self._registries = registries
        self._jobs = jobs
        self._progress = progress
        self._lost: dict[tuple[RepositoryName, Digest], BundlerError] = {}
        self._closed: dict[RepositoryName, BundlerError] = {}
        self._source: BlobSource | None = None

    # --- blobs -----------------------------------------------------------------------------------

    def blobs(self, source: BlobSource) -> None:
        """Every blob into the first repository that needs it, then into the others by mounting."""
        self._source = source
        firsts = [(upload, upload.repositories[0]) for upload in self._plan.uploads]
        others = [(upload, name) for upload in self._plan.uploads for name in upload.repositories[1:]]
        with self._progress.step("blobs", len(firsts) + len(others), self._plan.upload_bytes) as bar:
            for wave in (firsts, others):
                for (upload, name), done in each(wave, self._sent_from(source), jobs=self._jobs):
                    bar.advance(items=1, size=upload.blob.size if name == upload.repositories[0] else 0)
                    if isinstance(done, BundlerError):
                        raise done  # only what concerns the bundle itself comes this far

    def _sent_from(self, source: BlobSource) -> Callable[[tuple[Upload, RepositoryName]], None]:
        return lambda item: self.blob(item[0], item[1], partial(_whole, source, item[0].blob))

    def blob(self, upload: Upload, name: RepositoryName, chunks: Chunks) -> None:
        """One blob into one repository; what the target refuses is kept for the roots that need it."""
        first = upload.repositories[0]
        if name in self._closed:
            self._lost[name, upload.blob.digest] = self._closed[name]
            return
        try:
            target = self._registries.target(name)
            mount_from = None if name == first or (first, upload.blob.digest) in self._lost else first
            if target.has(upload.blob) or not target.add(upload.blob, chunks, mount_from=mount_from):
                self.outcome.reused[upload.blob] = None
            else:
                self.outcome.sent[upload.blob] = None
        except BundlerError as error:
            if isinstance(error, IntegrityError) and not isinstance(error, StoredOtherwiseError):
                raise  # the bundle itself is not what was verified
            if isinstance(error, (RepositoryRefusedError, AuthError)):
                self._closed[name] = error
            self._lost[name, upload.blob.digest] = error

    # --- manifests -------------------------------------------------------------------------------

    def children(self) -> None:
        """Manifests below the roots, level by level, by digest."""
        for level in self._plan.children:
            with self._progress.step("manifests of indexes", len(level)) as bar:

                def put(item: tuple[RepositoryName, Manifest]) -> None:
                    self._put(item[0], item[1], item[1].blob.digest)

                for (name, manifest), done in each(level, put, jobs=self._jobs):
                    bar.advance(items=1)
                    if isinstance(done, BundlerError):
                        self._lost[name, manifest.blob.digest] = done

    def tags(self) -> None:
        """The roots, versions before the tags that move; then all of them are read back."""
        steps = list(self._plan.to_push)
        waves = ([step for step in steps if step.wave == number] for number in range(3))
        with self._progress.step("tags", len(steps)) as bar:
            for wave in waves:
                for step, done in each(wave, self._tag, jobs=self._jobs):
                    bar.advance(items=1)
                    if isinstance(done, BundlerError):
                        self.outcome.failed[step.root] = done
        self._make_findable()
        self._read_back([step for step in steps if step.root not in self.outcome.failed])

    def _make_findable(self) -> None:
        """Referrers whose index the bundle does not have are listed at the target."""

        def make(listing: Listing) -> None:
            make_findable(listing, self._registries)

        listings = [found for listing in self._plan.listings if (found := self._arrived(listing)).referrers]
        for listing, done in each_shown(
            self._progress, "lists of referrers", listings, make, jobs=self._jobs
        ):
            if isinstance(done, BundlerError):
                root = Root(listing.repository, None, listing.referrers[0].blob.digest)
                self.outcome.failed[root] = done

    def _arrived(self, listing: Listing) -> Listing:
        """The listing without what the target did not take."""
        name = listing.repository
        referrers = (
            referrer
            for referrer in listing.referrers
            if (name, referrer.blob.digest) not in self._lost
            and Root(name, None, referrer.blob.digest) not in self.outcome.failed
        )
        return listing._replace(referrers=tuple(referrers))

    def _tag(self, step: Step) -> None:
        root = step.root
        for manifest in bottom_up([root.digest], self._manifests) if self._lost else ():
            for digest in (manifest.blob.digest, *(blob.digest for blob in manifest.blobs)):
                if error := self._lost.get((root.repository, digest)):
                    raise error
        self._put(root.repository, step.manifest, root.tag or root.digest)

    def _put(self, name: RepositoryName, manifest: Manifest, reference: Tag | Digest) -> None:
        target = self._registries.target(name)
        try:
            target.put_manifest(manifest, reference)
        except MissingContentError as error:
            if is_sparse(manifest):
                next_step = (
                    "export it with all platforms, or import into a registry that takes sparse indexes"
                )
                raise TargetRefusedError(error.item, error.cause, next_step) from error
            if self._source is None:
                raise
            # It said that it had the blobs, and now that it doesn't: send them without asking.
            for blob in manifest.blobs:
                target.add(blob, partial(_whole, self._source, blob))
            target.put_manifest(manifest, reference)

    def _read_back(self, steps: list[Step]) -> None:
        with self._progress.step("reading back", len(steps)) as bar:
            for step, answer in each(
                steps, lambda step: points_to(step.root, self._registries), jobs=self._jobs
            ):
                bar.advance(items=1)
                if isinstance(answer, BundlerError):
                    self.outcome.failed[step.root] = answer
                elif answer != (expected := step.manifest.blob.digest):
                    cause = f"read back, it points to {answer or 'nothing'} instead of {expected}"
                    self.outcome.failed[step.root] = IntegrityError(
                        str(step.root), cause, "run the import again"
                    )


def _whole(source: BlobSource, blob: Descriptor, offset: int) -> Iterator[bytes]:
    """A blob's chunks; uploads always begin at its start."""
    assert offset == 0
    return source.chunks(blob)
