"""Content brought to the target: blobs, then manifests bottom-up by digest; then it is confirmed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from bundler.bundle.inventory import Root
from bundler.errors import AuthError, BundlerError, IntegrityError, TargetRefusedError
from bundler.importer.import_plan import ImportPlan, PlannedTag, PlannedUpload
from bundler.importer.resume import has_blob
from bundler.oci import BlobSource, Descriptor, Digest, Manifest, RepositoryName, Tag
from bundler.oci.graph import is_sparse
from bundler.registry import quirks
from bundler.registry.blob_uploads import Arrival
from bundler.reporting.json_report import Phases
from bundler.session import Session
from bundler.workers import each

FILTER_HINT = "import it with --filter-indexes, or export it with all platforms"
"""The next step where a registry refuses a sparse index."""


class SparseIndexRefusedError(TargetRefusedError):
    """The target takes no index of which children are missing."""


Chunks = Callable[[int], Iterable[bytes]]


@dataclass
class Outcome:
    """The outcome of an import, counted from many threads' results in one."""

    sent: dict[Descriptor, None] = field(default_factory=dict)
    reused: dict[Descriptor, None] = field(default_factory=dict)
    failed: dict[Root, BundlerError] = field(default_factory=dict)
    changed: dict[Root, PlannedTag] = field(default_factory=dict)
    """Tags that somebody else moved since they were planned, planned again."""
    extended: dict[Root, PlannedTag] = field(default_factory=dict)
    """Lists of referrers that the bundle does not have, and that got entries at the target."""


class ContentPush(Phases):
    """Everything that one import writes before any tag moves. Called in order: blobs, manifests, confirm."""

    def __init__(self, plan: ImportPlan, session: Session) -> None:
        super().__init__(session.registries.settings.hosts.clock)
        self.outcome = Outcome()
        self.plan = plan
        self.session = session
        self.lost: dict[tuple[RepositoryName, Digest], BundlerError] = {}
        """The manifests and blobs that a repository at the target lacks, and why."""
        self._claimed: dict[tuple[RepositoryName, Descriptor], None] = {}
        """Blobs that the target should have by now, and whose digest no answer to their bytes has named."""
        self._put_there: dict[tuple[RepositoryName, Digest], Descriptor] = {}
        self._proven: dict[tuple[RepositoryName, Digest], None] = {}
        self._closed: dict[RepositoryName, BundlerError] = {}
        self._begun = dict(plan.begun)
        self._source: BlobSource | None = None

    # --- blobs -----------------------------------------------------------------------------------

    def blobs(self, source: BlobSource, uploads: Sequence[PlannedUpload]) -> None:
        """Send every blob to the first repository that needs it, then mount it in the others."""
        self._source = source
        firsts = [(upload, upload.repositories[0]) for upload in uploads]
        others = [(upload, name) for upload in uploads for name in upload.repositories[1:]]
        size = sum(upload.blob.size for upload in uploads)
        with self.session.progress.step("blobs", len(firsts) + len(others), size) as bar:
            for wave in (firsts, others):
                for (upload, name), done in each(wave, self._sent_from(source), jobs=self.session.jobs):
                    bar.advance(items=1, size=upload.blob.size if name == upload.repositories[0] else 0)
                    if isinstance(done, BundlerError):
                        raise done  # only what concerns the bundle itself comes this far

    def _sent_from(self, source: BlobSource) -> Callable[[tuple[PlannedUpload, RepositoryName]], None]:
        return lambda item: self.blob(item[0], item[1], partial(_whole, source, item[0].blob))

    def blob(self, upload: PlannedUpload, name: RepositoryName, chunks: Chunks) -> None:
        """Send one blob to one repository; keep what the target refuses for the roots that need it."""
        first = upload.repositories[0]
        if name in self._closed:
            self.lost[name, upload.blob.digest] = self._closed[name]
            return
        try:
            target = self.session.registries.target(name)
            lent = None if name == first or (first, upload.blob.digest) in self.lost else first
            mount_from = upload.mount_from or lent
            if name not in self.plan.new and has_blob(upload.blob, name, self.session):
                self.outcome.reused[upload.blob] = None
                return
            begun = None if mount_from else self._begun.pop(name, None)
            arrival = target.add(upload.blob, chunks, mount_from=mount_from, begun=begun)
            (self.outcome.reused if arrival is Arrival.LENT else self.outcome.sent)[upload.blob] = None
            # A mount is an answer like any other: what it promised may not be there.
            if arrival is not Arrival.NAMED:
                self._claimed[name, upload.blob] = None
        except BundlerError as error:
            if isinstance(error, IntegrityError) and not isinstance(error, quirks.StoredOtherwiseError):
                raise  # the bundle itself is not what was verified
            if isinstance(error, (quirks.RepositoryRefusedError, AuthError)):
                self._closed[name] = error
            self.lost[name, upload.blob.digest] = error

    def call_off(self) -> None:
        """Call off the uploads that were begun and not needed."""
        for name, upload in self._begun.items():
            self.session.registries.target(name).call_off(upload)

    # --- manifests -------------------------------------------------------------------------------

    def goes_directly(self, step: PlannedTag) -> bool:
        """Return whether a manifest is sent under its tag only: nobody pulls from a new repository yet."""
        name = step.root.repository
        return bool(step.root.tag) and name in self.plan.new and not self.is_proven(step)

    def is_proven(self, step: PlannedTag) -> bool:
        """Return whether the manifest of a step was read back at the target."""
        return (step.root.repository, step.manifest.blob.digest) in self._proven

    def put_manifests(self) -> None:
        """Send manifests by digest, those below the roots first, level by level; move no tag yet.

        Those that go directly under their tags are left out.
        """
        below = {(name, manifest.blob.digest) for level in self.plan.children for name, manifest in level}
        roots = {
            (step.root.repository, step.manifest.blob.digest): (step.root.repository, step.manifest)
            for step in self.plan.to_push
            if not self.goes_directly(step)
        }
        tagged = [item for key, item in roots.items() if key not in below]
        for level in (*self.plan.children, tuple(tagged)):
            for (name, manifest), done in self.session.each("manifests", level, self._by_digest):
                if isinstance(done, BundlerError):
                    self.lost[name, manifest.blob.digest] = done
                else:
                    self._put_there[name, manifest.blob.digest] = manifest.blob

    def _by_digest(self, item: tuple[RepositoryName, Manifest]) -> None:
        name, manifest = item
        # No tag of it will move; and on a full disk, Distribution keeps what it could write of a manifest.
        if closed := self._closed.get(name):
            raise closed
        for part in (*manifest.blobs, *manifest.children):
            if error := self.lost.get((name, part.digest)):
                raise error
        self.put(name, manifest, manifest.blob.digest)

    def confirm(self) -> None:
        """Read back what was sent or mounted: what an answer promised may not be there.

        Manifests are read and hashed. Of a blob, the first byte is read; not of one that was sent and that
        the answer to its bytes named by its digest.
        """
        content = [*self._claimed, *((name, blob) for (name, _), blob in self._put_there.items())]
        for (name, blob), confirmed in self.session.each("confirming", content, self._is_there):
            if isinstance(confirmed, BundlerError):
                self.lost[name, blob.digest] = confirmed
            elif confirmed:
                self._proven[name, blob.digest] = None
            else:
                self.lost[name, blob.digest] = _absent(name, blob.digest)

    def confirm_fully(self) -> None:
        """Read and hash every blob that the target must have; what is wrong there is sent again once."""
        content = [
            (name, upload.blob)
            for upload in self.plan.uploads
            for name in upload.repositories
            if (name, upload.blob.digest) not in self.lost
        ]
        for (name, blob), answer in self.session.each("reading back", content, self._read_whole):
            if isinstance(answer, BundlerError):
                self.lost[name, blob.digest] = answer

    def _read_whole(self, item: tuple[RepositoryName, Descriptor]) -> None:
        name, blob = item
        stored = self.session.registries.source(name)
        try:
            deque(stored.chunks(blob), maxlen=0)
        except IntegrityError:
            if self._source is None:
                raise
            self.session.registries.target(name).add(blob, partial(_whole, self._source, blob))
            deque(stored.chunks(blob), maxlen=0)

    def _is_there(self, item: tuple[RepositoryName, Descriptor]) -> bool:
        name, blob = item
        target = self.session.registries.target(name)
        if (name, blob.digest) in self._put_there:
            return target.holds(blob.digest)
        return target.keeps(blob)

    def bring(self, name: RepositoryName, manifest: Manifest) -> None:
        """Put a manifest by its digest, and prove that it is there. Raises: IntegrityError, ..."""
        self.put(name, manifest, manifest.blob.digest)
        if not self.session.registries.target(name).holds(manifest.blob.digest):
            raise _absent(name, manifest.blob.digest)

    def put(self, name: RepositoryName, manifest: Manifest, reference: Tag | Digest) -> None:
        """Send one manifest, under a tag or by digest; send blobs again that the target lacks after all."""
        target = self.session.registries.target(name)
        try:
            target.put_manifest(manifest, reference)
        except TargetRefusedError as error:
            if is_sparse(manifest) and not quirks.has_another_reason(error):
                cause = f"{error.cause}; it is a sparse index, of which children are missing"
                raise SparseIndexRefusedError(error.item, cause, FILTER_HINT) from error
            if self._source is None or not isinstance(error, quirks.MissingContentError):
                raise
            # It said that it had the blobs, and now that it doesn't: send them without asking.
            for blob in manifest.blobs:
                target.add(blob, partial(_whole, self._source, blob))
            target.put_manifest(manifest, reference)


def _absent(name: RepositoryName, digest: Digest) -> IntegrityError:
    cause = "it was sent or mounted, but the target does not have it"
    return IntegrityError(f"{name}@{digest}", cause, "run the import again")


def _whole(source: BlobSource, blob: Descriptor, offset: int) -> Iterator[bytes]:
    """Yield a blob's chunks; uploads always begin at its start."""
    assert offset == 0
    return source.chunks(blob)
