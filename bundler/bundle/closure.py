"""The proof that an inventory and its manifests agree: same blobs, same sizes, same media types."""

from collections.abc import Mapping

from bundler.bundle.inventory import INVENTORY_FILE, Inventory
from bundler.errors import BUNDLE, ContentError, IntegrityError
from bundler.limits import Limits
from bundler.oci import Descriptor, Digest, Manifest, Tally, bottom_up
from bundler.oci.graph import heights, left_out, misstated_subject

_NOT_OURS = "it was not made by this program"


def check_closure(inventory: Inventory, manifests: Mapping[Digest, Manifest], limits: Limits) -> None:
    """Raise unless the inventory has exactly what its roots reach, as the manifests describe it.

    IntegrityError: a blob is missing or has another size, named with the manifest that needs it.
    ContentError: a blob that nothing needs, another media type than the manifests state, or a subject that
    is carried and is not as it is stated.
    """
    closure = _Closure(inventory)
    checked: set[Digest] = set()
    tally = Tally(BUNDLE, limits.needs, "blobs that its repositories need")
    for entry in inventory.repositories:
        if max(heights(entry.roots(), manifests).values(), default=0) > limits.index_depth:
            raise ContentError(entry.name, f"indexes nested more than {limits.index_depth} deep")
        for manifest in bottom_up(entry.roots(), manifests):
            tally.add(manifest.descriptors)
            if manifest.blob.digest not in checked:
                checked.add(manifest.blob.digest)
                closure.add(manifest, entry.name)
                if cause := misstated_subject(manifest, manifests):
                    item = f"manifest {manifest.blob.digest} of {entry.name}"
                    raise ContentError(item, cause, "have it attached anew outside, and export again")
    closure.finish()


class _Closure:
    """Blobs that the manifests need so far, compared with an inventory."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._listed = {blob.digest: blob for blob in (*inventory.content, *inventory.required)}
        self._needed: set[Digest] = set()
        self._typed = {blob.digest for blob in inventory.manifests}
        """Blobs whose media type in the inventory is one that a manifest states."""
        self._children: set[Digest] = set()
        """Children of indexes that are not among the manifests."""

    def add(self, manifest: Manifest, repository: str) -> None:
        """Compare one manifest's descriptors. Raises IntegrityError, ContentError."""
        self._needed.add(manifest.blob.digest)
        if self._inventory.omitted:
            self._children |= left_out(manifest)
        parent = f"manifest {manifest.blob.digest} of {repository}"
        for blob in manifest.blobs:
            if self._sized(blob, parent).media_type == blob.media_type:
                self._typed.add(blob.digest)
        for child in manifest.children:
            listed = self._sized(child, parent)
            if listed.media_type != child.media_type:
                raise _other_type(listed, f"{parent} states {child.media_type}")

    def _sized(self, blob: Descriptor, parent: str) -> Descriptor:
        self._needed.add(blob.digest)
        listed = self._listed.get(blob.digest)
        if listed is None or listed.size != blob.size:
            state = "missing" if listed is None else f"{listed.size:,} bytes"
            cause = f"{state}, but {parent} needs {blob.size:,} bytes"
            raise IntegrityError(f"blob {blob.digest}", cause, "export it again")
        return listed

    def finish(self) -> None:
        """Raise ContentError for what the inventory has, and no manifest states."""
        if extra := [digest for digest in self._listed if digest not in self._needed]:
            cause = f"{len(extra)} blobs that no tag needs, the first {extra[0]}"
            raise ContentError(BUNDLE, cause, _NOT_OURS)
        if untyped := next((digest for digest in self._listed if digest not in self._typed), None):
            raise _other_type(self._listed[untyped], "no manifest states that")
        if strange := set(self._inventory.omitted) - self._children:
            cause = f"it lists {min(strange)} as omitted, which no index has as a child"
            raise ContentError(INVENTORY_FILE, cause, _NOT_OURS)


def _other_type(listed: Descriptor, cause: str) -> ContentError:
    cause = f"blob {listed.digest} has the media type {listed.media_type}, but {cause}"
    return ContentError(INVENTORY_FILE, cause, _NOT_OURS)
