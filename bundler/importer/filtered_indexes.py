"""Sparse indexes written anew, with only the children that the bundle carries. No I/O.

Most registries refuse an index whose children are missing. A filtered index has other bytes, so it has
another digest: it is written under tags only, and what signs the whole index does not hold for it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from bundler.attachments.referrers import attachment_tags, is_attachment_tag
from bundler.bundle.inventory import Root
from bundler.oci import Digest, RepositoryName, sha256, strict_json
from bundler.oci.graph import Manifests, bottom_up, left_out, reached
from bundler.oci.manifest import Manifest, parse_manifest

FILTERED_FROM = "io.github.timoni-bundler.filtered-from"
"""Annotation of a filtered index: the digest of the whole index that it was made from."""

NO_WHOLES: Mapping[Digest, Digest] = MappingProxyType({})


class RootsToImport(NamedTuple):
    """Roots at the target with the manifests that they reach, filtered indexes among them."""

    roots: list[Root]
    manifests: Manifests
    wholes: Mapping[Digest, Digest] = NO_WHOLES
    """Digest of each filtered index, with that of the whole index."""

    def keeping(self, points_to: Mapping[Root, Digest | None]) -> "RootsToImport":
        """Return them with the whole index under each tag that has it at the target already."""
        return self._replace(
            roots=[
                root._replace(digest=whole)
                if (whole := self.wholes.get(root.digest)) and points_to[root] == whole
                else root
                for root in self.roots
            ]
        )


def filter_indexes(roots: Sequence[Root], manifests: Manifests) -> RootsToImport:
    """Return the roots with a filtered index under each tag of a sparse one.

    A root without a tag stays what it is: its digest is its name.
    """
    filtered: dict[Digest, Manifest] = {}
    for manifest in bottom_up([root.digest for root in roots if root.tag], manifests):
        if left_out(manifest) or any(child.digest in filtered for child in manifest.children):
            filtered[manifest.blob.digest] = _without_gaps(manifest, filtered)
    changed = [
        root._replace(digest=filtered[root.digest].blob.digest)
        if root.tag and root.digest in filtered
        else root
        for root in roots
    ]
    new = {manifest.blob.digest: manifest for manifest in filtered.values()}
    wholes = {manifest.blob.digest: whole for whole, manifest in filtered.items()}
    return RootsToImport(changed, {**manifests, **new}, wholes)


def _without_gaps(index: Manifest, filtered: Mapping[Digest, Manifest]) -> Manifest:
    """Return the index without the children that are not carried, and with the filtered ones for others."""
    document = json.loads(index.data)
    gone = left_out(index)
    entries = [entry for entry in document["manifests"] if entry["digest"] not in gone]
    annotations = {**(document.get("annotations") or {}), FILTERED_FROM: index.blob.digest}
    document |= {
        "manifests": [_entry(entry, filtered.get(entry["digest"])) for entry in entries],
        "annotations": annotations,
    }
    data = strict_json.canonical(document)
    return parse_manifest(data, index.blob.media_type, sha256(data))


def _entry(entry: dict[str, Any], filtered: Manifest | None) -> dict[str, Any]:
    """Return an entry of an index, for a filtered index in the place of the whole one."""
    if filtered is None:
        return entry
    entry = {name: value for name, value in entry.items() if name != "data"}
    return {**entry, "digest": filtered.blob.digest, "size": filtered.blob.size}


def filtered_from(manifest: Manifest) -> Digest | None:
    """Return the digest of the whole index that a filtered one says it was made from."""
    annotation = manifest.annotations.get(FILTERED_FROM, "")
    return Digest(annotation) if Digest.grammar.fullmatch(annotation) else None


def lost_attachments(
    roots: Sequence[Root], manifests: Manifests, wholes: Mapping[Digest, Digest]
) -> Iterator[tuple[Root, list[Root]]]:
    """Yield each tag of a filtered index with the attachments of its whole index, which are not its own."""
    attached: dict[tuple[RepositoryName, str], list[Root]] = {}
    for root in roots:
        subject = manifests[root.digest].subject
        if is_attachment_tag(root.tag):
            attached.setdefault((root.repository, str(root.tag)), []).append(root)
        elif subject:
            attached.setdefault((root.repository, subject.digest), []).append(root)
    for root in roots:
        if root.tag is None or root.digest not in wholes:
            continue
        every = (wholes[digest] for digest in reached(root.digest, manifests) if digest in wholes)
        names = [name for whole in every for name in (whole, *attachment_tags(whole))]
        if lost := [item for name in names for item in attached.get((root.repository, name), ())]:
            yield root, lost
