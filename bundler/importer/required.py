"""The blobs that a delta leaves out: found at the target, or beside it, before anything is written."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from bundler.bundle.inventory import Inventory, Required
from bundler.bundle.reader import Bundle
from bundler.bundle.unpacked import check_own_layout
from bundler.errors import BundlerError, NotFoundError, UsageError
from bundler.importer.destination import Destination
from bundler.importer.import_plan import ImportPlan, PlannedUpload
from bundler.mapping import target_name
from bundler.oci import BlobSource, Descriptor, Digest, RepositoryName
from bundler.session import Session

Place = tuple[Required, RepositoryName]
"""A blob, and a repository at the target that may have it."""

Found = tuple[Digest, RepositoryName]


class AvailableContent:
    """The content of a bundle itself, of others beside it, and that the target can give. A BlobSource."""

    def __init__(self, bundle: BlobSource, inventory: Inventory, beside: Sequence[Bundle]) -> None:
        self._bundle = bundle
        self._required = {blob.digest for blob in inventory.required}
        for other in beside:
            check_own_layout(other.path)
        self._beside = {blob.digest: other for other in beside for blob in other.inventory.content}
        self._at_target: dict[Digest, BlobSource] = {}

    def has_beside(self, blob: Descriptor) -> bool:
        """Return True if a bundle beside has the blob."""
        return blob.digest in self._beside

    def is_at(self, digest: Digest, place: BlobSource) -> None:
        """Say which repository at the target can give it."""
        self._at_target[digest] = place

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """Yield a blob's bytes, verified."""
        if blob.digest not in self._required:
            return self._bundle.chunks(blob)
        source = self._beside.get(blob.digest) or self._at_target.get(blob.digest)
        if source is None:
            cause = "the target said that it has this blob, so the bundle does not include it"
            raise NotFoundError(
                f"blob {blob.digest}", cause, "run the import again, and name the base with --with"
            )
        return source.chunks(blob)


class Target(NamedTuple):
    """The place to look for required blobs."""

    session: Session
    destination: Destination


def find_required(
    plan: ImportPlan, inventory: Inventory, content: AvailableContent, target: Target
) -> ImportPlan:
    """Leave uploads out that the target has already; mount or copy a required blob that is elsewhere.

    One HEAD for each required blob in each repository that needs it. Raises NotFoundError that names the
    bundles to import first.
    """
    required = {blob.digest: blob for blob in inventory.required}
    uploads = [upload for upload in plan.uploads if upload.blob.digest in required]
    held_by = _there(
        [(required[upload.blob.digest], name) for upload in uploads for name in upload.repositories], target
    )
    nowhere = [
        required[upload.blob.digest]
        for upload in uploads
        if not any((upload.blob.digest, name) in held_by for name in upload.repositories)
    ]
    homes = _there([(blob, home) for blob in nowhere if (home := _home(blob, target))], target)
    having = dict(sorted(held_by | homes))
    if missing := [blob for blob in nowhere if blob.digest not in having and not content.has_beside(blob)]:
        raise _missing(missing, inventory, target)
    for digest, name in having.items():
        content.is_at(digest, target.session.registries.source(name))
    left = (_left(upload, held_by, having) for upload in plan.uploads)
    return plan._replace(uploads=tuple(upload for upload in left if upload.repositories))


def _there(places: Collection[Place], target: Target) -> set[Found]:
    """Return the places that have their blob. Raises the first error: no write without an answer."""
    places_with_it: set[Found] = set()
    registries = target.session.registries
    for (blob, name), answer in target.session.each(
        "what the bundle builds on", places, lambda place: registries.target(place[1]).has(place[0])
    ):
        if isinstance(answer, BundlerError):
            raise answer
        if answer:
            places_with_it.add((blob.digest, name))
    return places_with_it


def _left(
    upload: PlannedUpload, held_by: set[Found], having: Mapping[Digest, RepositoryName]
) -> PlannedUpload:
    """Return the upload where it is still needed, mounted from where the target has it."""
    digest = upload.blob.digest
    names = tuple(name for name in upload.repositories if (digest, name) not in held_by)
    return PlannedUpload(upload.blob, names, having.get(digest))


def _home(blob: Required, target: Target) -> RepositoryName | None:
    """Return the target's name for the repository that has it in the base; None if it can't be there."""
    with suppress(UsageError):
        return target_name(blob.repository, target.destination.prefix, target.destination.mapping)
    return None


def _missing(missing: Sequence[Required], inventory: Inventory, target: Target) -> BundlerError:
    names = " and ".join(inventory.base)
    cause = (
        f"needs bundle {names}: {target.destination.prefix} lacks {len(missing)} of the blobs that it "
        f"brought, the first {missing[0].digest}"
    )
    return NotFoundError("import", cause, "import that bundle first, or name its file with --with")
