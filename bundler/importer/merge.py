"""What a tag that holds belongings becomes where the target has one already: nothing there is lost.

An index of referrers is merged; a list of cosign signatures is replaced only by one that has all of
it. Source: distribution-spec 1.1, "Referrers Tag Schema".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bundler.oci import strict_json
from bundler.oci.content import Descriptor, sha256
from bundler.oci.manifest import OCI_INDEX, Manifest, parse_manifest
from bundler.oci.referrer import artifact_type_of


def merged(ours: Manifest, theirs: Manifest) -> Manifest:
    """Their index with the entries of ours that it lacks; theirs itself if it lacks none."""
    return extended(theirs, _entries(ours))


def lists_all_of(ours: Manifest, theirs: Manifest) -> bool:
    """Whether nothing of their index is lost when ours takes its place."""
    known = _entries(ours)
    return all(entry in known for entry in _entries(theirs))


def extended(index: Manifest, entries: Iterable[Mapping[str, Any]]) -> Manifest:
    """The index with these entries at its end, as far as it lacks them."""
    listed = _entries(index)
    known = {entry["digest"] for entry in listed}
    new = [entry for entry in entries if entry["digest"] not in known]
    return _index({**json.loads(index.data), "manifests": [*listed, *new]}) if new else index


def index_of(entries: Iterable[Mapping[str, Any]]) -> Manifest:
    """An index of referrers that has these entries."""
    return _index({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(entries)})


def entry_of(referrer: Manifest) -> dict[str, Any]:
    """A referrer as an index lists it: with what a reader filters by."""
    blob: Descriptor = referrer.blob
    entry: dict[str, Any] = {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}
    if referrer.annotations:
        entry["annotations"] = dict(referrer.annotations)
    if artifact_type := artifact_type_of(referrer):
        entry["artifactType"] = artifact_type
    return entry


def has_all_of(one: Manifest, other: Manifest) -> bool:
    """Whether one manifest has all the layers of another: cosign adds each signature as a layer."""
    return {layer.blob.digest for layer in one.layers} >= {layer.blob.digest for layer in other.layers}


def _entries(index: Manifest) -> list[dict[str, Any]]:
    """What an index lists; the last entry gone, some registries and tools leave null."""
    return json.loads(index.data).get("manifests") or []


def _index(document: Mapping[str, Any]) -> Manifest:
    data = strict_json.canonical(document)
    return parse_manifest(data, str(document.get("mediaType", OCI_INDEX)), sha256(data))
