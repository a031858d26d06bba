"""`index.json`: derived from a bundle's inventory, for other tools that read OCI image layouts."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from bundler.bundle.inventory import Inventory, Root, descriptor, roots_of
from bundler.errors import ContentError
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import strict_json
from bundler.oci.content import Descriptor, sha256
from bundler.oci.manifest import MANIFEST_NAMES, OCI_INDEX, parse_manifest

REF_NAME = "org.opencontainers.image.ref.name"

CONTAINERD_NAME = "io.containerd.image.name"


def encode_index(inventory: Inventory) -> bytes:
    """Return the bytes of `index.json`: one descriptor per root, named so that skopeo finds it."""
    blobs = {blob.digest: blob for blob in inventory.manifests}
    entries = [
        {**descriptor(blobs[root.digest]), "annotations": {REF_NAME: str(root), CONTAINERD_NAME: str(root)}}
        for root in roots_of(inventory)
    ]
    return strict_json.canonical({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})


def check_index(data: bytes, inventory: Inventory, *, limits: Limits = DEFAULT_LIMITS) -> None:
    """Raise ContentError unless `index.json` is an index, and names exactly what the inventory names."""
    own = len(encode_index(inventory))
    # Somebody else may have written it anew, with more words; not with megabytes of them.
    if len(data) > own + limits.manifest:
        raise ContentError("index.json", f"{len(data):,} bytes, where {own:,} would do")
    blobs = {blob.digest: blob for blob in inventory.manifests}
    expected = (_of(root, blobs[root.digest]) for root in roots_of(inventory))
    if any(one != other for one, other in zip_longest(_named_in(data, limits), expected)):
        raise ContentError("index.json", "it does not agree with bundle.json")
    # As strictly as any index: other tools read it too, once the bundle is unpacked.
    own_limits = limits._replace(manifest=limits.inventory, manifest_values=limits.json_values)
    parse_manifest(data, OCI_INDEX, sha256(data), limits=own_limits)


def _named_in(data: bytes, limits: Limits) -> list[tuple[object, ...]]:
    document = strict_json.loads(
        data, item="index.json", depth=limits.json_depth, values=limits.json_values, known=MANIFEST_NAMES
    )
    try:
        return [_essence(entry) for entry in document["manifests"]]
    except (LookupError, TypeError, AttributeError):
        raise ContentError("index.json", "not an OCI image index") from None


def _of(root: Root, manifest: Descriptor) -> tuple[object, ...]:
    return (str(root), manifest.digest, manifest.size, manifest.media_type)


def _essence(entry: Mapping[str, Any]) -> tuple[object, ...]:
    return (entry["annotations"][REF_NAME], entry["digest"], entry["size"], entry["mediaType"])
