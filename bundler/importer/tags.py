"""Tags moved, repository by repository all or none: only where all content of all of them was confirmed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from bundler.bundle.inventory import Root
from bundler.errors import BundlerError, IntegrityError
from bundler.importer.listing import make_findable
from bundler.importer.plan import Listing, Step
from bundler.importer.push import Push
from bundler.importer.rollback import BeforeTags, moves_of
from bundler.importer.survey import points_to
from bundler.oci.graph import bottom_up
from bundler.oci.reference import RepositoryName
from bundler.progress import each_shown

WAVES = ("tags of signatures", "versions", "tags that move")


class Tags:
    """The last part of an import. `ready` first, then `move`."""

    def __init__(self, push: Push) -> None:
        self._push = push
        self._failed = push.outcome.failed

    def ready(self) -> list[Step]:
        """The steps whose repository has everything; the others have failed, or are held back."""
        steps = list(self._push.plan.to_push)
        lacking: dict[RepositoryName, BundlerError] = {}
        for step in steps:
            if error := next(self._missing(step), None):
                self._failed[step.root] = error
                lacking.setdefault(step.root.repository, error)
        for step in steps:
            if (error := lacking.get(step.root.repository)) and step.root not in self._failed:
                cause = f"held back, because the repository has not everything: {error.item}: {error.cause}"
                self._failed[step.root] = type(error)(str(step.root), cause, "run the import again")
        return [step for step in steps if step.root not in self._failed]

    def _missing(self, step: Step) -> Iterator[BundlerError]:
        name = step.root.repository
        for manifest in (step.manifest, *bottom_up([step.root.digest], self._push.known)):
            for digest in (manifest.blob.digest, *(blob.digest for blob in manifest.blobs)):
                if error := self._push.lost.get((name, digest)):
                    yield error

    def move(self, steps: list[Step]) -> None:
        """Signatures, then versions, then the tags that move; then all of them are read back."""
        tagged = [step for step in steps if step.root.tag]
        for number, label in enumerate(WAVES):
            wave = [step for step in tagged if step.wave == number]
            self._note(self._each(label, wave, self._tag))
        self._make_findable()
        moved = [step for step in tagged if step.root not in self._failed]
        self._note(self._each("reading back", moved, self._read_back))

    def _each(
        self, label: str, steps: Collection[Step], work: Callable[[Step], None]
    ) -> Iterator[tuple[Step, BundlerError | None]]:
        return each_shown(self._push.progress, label, steps, work, jobs=self._push.jobs)

    def _note(self, results: Iterator[tuple[Step, BundlerError | None]]) -> None:
        for step, done in results:
            if isinstance(done, BundlerError):
                self._failed[step.root] = done

    def _tag(self, step: Step) -> None:
        self._push.put(step.root.repository, step.manifest, step.root.tag or step.root.digest)

    def _read_back(self, step: Step) -> None:
        root, expected = step.root, step.manifest.blob.digest
        if not self._push.registries.target(root.repository).shows(root.tag or root.digest, expected):
            found = points_to(root, self._push.registries)
            cause = f"read back, it points to {found or 'nothing'} instead of {expected}"
            raise IntegrityError(str(root), cause, "run the import again")

    def _make_findable(self) -> None:
        """Referrers whose index the bundle does not have are listed at the target."""

        def make(listing: Listing) -> None:
            make_findable(listing, self._push.registries)

        arrived = map(self._arrived, self._push.plan.listings)
        listings = [listing for listing in arrived if listing.referrers]
        for listing, done in each_shown(
            self._push.progress, "lists of referrers", listings, make, jobs=self._push.jobs
        ):
            if isinstance(done, BundlerError):
                root = Root(listing.repository, None, listing.referrers[0].blob.digest)
                self._failed[root] = done

    def _arrived(self, listing: Listing) -> Listing:
        """The listing without what the target did not take."""
        name = listing.repository
        referrers = (
            referrer
            for referrer in listing.referrers
            if (name, referrer.blob.digest) not in self._push.lost
            and Root(name, None, referrer.blob.digest) not in self._failed
        )
        return listing._replace(referrers=tuple(referrers))


def finish(push: Push, before_tags: BeforeTags | None) -> None:
    """Manifests, the proof that all is there, then the tags."""
    with push.phase("manifests"):
        push.put_manifests()
        push.confirm()
    tags = Tags(push)
    ready = tags.ready()
    with push.phase("tags"):
        if before_tags:
            before_tags(moves_of(ready))
        tags.move(ready)
