"""The plan carried out at the target: blobs, manifests bottom-up, tags last, and everything read back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from bundler.bundle.inventory import Root
from bundler.errors import AuthError, BundlerError, IntegrityError
from bundler.importer.plan import ImportPlan, Step, Upload
from bundler.oci.content import BlobSource, Descriptor, Digest
from bundler.oci.graph import Manifests, bottom_up
from bundler.oci.manifest import Manifest
from bundler.oci.reference import RepositoryName, Tag
from bundler.progress import Progress
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


def survey(
    roots: Iterable[Root], registries: Registries, *, jobs: int, progress: Progress
) -> dict[Root, Digest | None]:
    """What each root's tag points to at the target now: one HEAD each.

    Raises the first error: a target that can't be asked must not be written to.
    """
    wanted = list(roots)
    existing: dict[Root, Digest | None] = {}
    with progress.step("looking at the target", len(wanted)) as bar:
        for root, answer in each(wanted, lambda root: _points_to(root, registries), jobs=jobs):
            bar.advance(items=1)
            if isinstance(answer, BundlerError):
                raise answer
            existing[root] = answer
    return existing


def _points_to(root: Root, registries: Registries) -> Digest | None:
    return registries.target(root.repository).digest_of(root.tag or root.digest)


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
        waves = ([step for step in steps if step.is_version], [step for step in steps if not step.is_version])
        with self._progress.step("tags", len(steps)) as bar:
            for wave in waves:
                for step, done in each(wave, self._tag, jobs=self._jobs):
                    bar.advance(items=1)
                    if isinstance(done, BundlerError):
                        self.outcome.failed[step.root] = done
        self._read_back([step for step in steps if step.root not in self.outcome.failed])

    def _tag(self, step: Step) -> None:
        root = step.root
        for manifest in bottom_up([root.digest], self._manifests):
            for digest in (manifest.blob.digest, *(blob.digest for blob in manifest.blobs)):
                if error := self._lost.get((root.repository, digest)):
                    raise error
        self._put(root.repository, self._manifests[root.digest], root.tag or root.digest)

    def _put(self, name: RepositoryName, manifest: Manifest, reference: Tag | Digest) -> None:
        target = self._registries.target(name)
        try:
            target.put_manifest(manifest, reference)
        except MissingContentError:
            if self._source is None:
                raise
            # It said that it had the blobs, and now that it doesn't: send them without asking.
            for blob in manifest.blobs:
                target.add(blob, partial(_whole, self._source, blob))
            target.put_manifest(manifest, reference)

    def _read_back(self, steps: list[Step]) -> None:
        with self._progress.step("reading back", len(steps)) as bar:
            for step, answer in each(
                steps, lambda step: _points_to(step.root, self._registries), jobs=self._jobs
            ):
                bar.advance(items=1)
                if isinstance(answer, BundlerError):
                    self.outcome.failed[step.root] = answer
                elif answer != step.root.digest:
                    cause = f"read back, it points to {answer or 'nothing'} instead of {step.root.digest}"
                    self.outcome.failed[step.root] = IntegrityError(
                        str(step.root), cause, "run the import again"
                    )


def _whole(source: BlobSource, blob: Descriptor, offset: int) -> Iterator[bytes]:
    """A blob's chunks; uploads always begin at its start."""
    assert offset == 0
    return source.chunks(blob)
