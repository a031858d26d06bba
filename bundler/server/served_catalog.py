"""Manifests and tags of each repository, read from an inventory or `index.json`.

In the `index.json` of a registry's directory, each descriptor is named `repository:tag` or
`repository@digest` (`org.opencontainers.image.ref.name`), without a host. An exported bundle names
`host/repository:tag`, and says the same in `io.containerd.image.name`: by that the two are told apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bundler.bundle.inventory import CONTAINERD_NAME, REF_NAME, Inventory, descriptor, roots_of
from bundler.errors import ContentError, UsageError
from bundler.layout import INDEX_FILE
from bundler.limits import Limits
from bundler.oci import Descriptor, Digest, RepositoryName, RepositoryPath, Tag, strict_json
from bundler.oci.manifest import INDEXES, MANIFEST_NAMES, OCI_INDEX, parse_manifest


@dataclass(frozen=True, slots=True)
class ServedRepository:
    """One repository: its tags with their digests, and every manifest that it has."""

    tags: Mapping[Tag, Digest] = field(default_factory=dict)
    manifests: Mapping[Digest, Descriptor] = field(default_factory=dict)

    def resolve(self, reference: Tag | Digest) -> Descriptor | None:
        """Return the manifest of a tag or digest; None if it is not here."""
        digest = reference if isinstance(reference, Digest) else self.tags.get(reference)
        return self.manifests.get(digest) if digest else None

    def with_manifest(self, manifest: Descriptor, tag: Tag | None) -> ServedRepository:
        """Return the repository with one more manifest. A moved tag's old manifest stays, by its digest."""
        tags = {**self.tags, tag: manifest.digest} if tag else self.tags
        return ServedRepository(tags, {**self.manifests, manifest.digest: manifest})

    def without_tag(self, tag: Tag) -> ServedRepository:
        """Return the repository without a tag."""
        return ServedRepository(
            {name: digest for name, digest in self.tags.items() if name != tag}, self.manifests
        )


Catalog = Mapping[RepositoryPath, ServedRepository]


class ServedManifest(NamedTuple):
    """One manifest of one repository, under a tag or by digest alone."""

    source: str
    """Full name of the repository at its source."""
    repository: RepositoryPath
    tag: Tag | None
    manifest: Descriptor


def catalog_of(entries: Iterable[ServedManifest]) -> dict[RepositoryPath, ServedRepository]:
    """Return all entries by repository. Raises UsageError when two sources would become one repository."""
    sources: dict[RepositoryPath, str] = {}
    tags: defaultdict[RepositoryPath, dict[Tag, Digest]] = defaultdict(dict)
    manifests: defaultdict[RepositoryPath, dict[Digest, Descriptor]] = defaultdict(dict)
    for source, name, tag, manifest in entries:
        if sources.setdefault(name, source) != source:
            cause = f"without its host it is the same repository as {sources[name]}"
            raise UsageError(source, cause, "serve them from two bundles")
        manifests[name][manifest.digest] = manifest
        if tag:
            tags[name][tag] = manifest.digest
    return {name: ServedRepository(tags[name], manifests_of) for name, manifests_of in manifests.items()}


def with_children(
    entries: Iterable[ServedManifest],
    read: Callable[[Descriptor], bytes],
    has: Callable[[Descriptor], bool],
    limits: Limits,
) -> Iterator[ServedManifest]:
    """Yield the entries, and the manifests that their indexes list.

    What a sparse index leaves out is passed over. Raises ContentError for a malformed or endless index,
    and whatever `read` raises.
    """
    seen: set[tuple[RepositoryPath, Digest]] = set()
    level = list(entries)
    for _ in range(limits.index_depth):
        yield from level
        children = (child for entry in level for child in _children(entry, read, limits, seen))
        level = [child for child in children if has(child.manifest)]
        if not level:
            return
    raise ContentError(INDEX_FILE, f"indexes nested more than {limits.index_depth} deep")


def _children(
    entry: ServedManifest,
    read: Callable[[Descriptor], bytes],
    limits: Limits,
    seen: set[tuple[RepositoryPath, Digest]],
) -> Iterator[ServedManifest]:
    key = (entry.repository, entry.manifest.digest)
    if entry.manifest.media_type not in INDEXES or key in seen:
        return
    seen.add(key)
    data = read(entry.manifest)
    index = parse_manifest(data, entry.manifest.media_type, entry.manifest.digest, limits=limits)
    for child in index.children:
        yield entry._replace(tag=None, manifest=child)


def inventory_entries(inventory: Inventory) -> Iterator[ServedManifest]:
    """Yield the manifests that a bundle names, hosts dropped."""
    manifests = {blob.digest: blob for blob in inventory.manifests}
    for root in roots_of(inventory):
        yield ServedManifest(root.repository, root.repository.path, root.tag, manifests[root.digest])


# --- index.json ------------------------------------------------------------------------------------


def encode_index(catalog: Catalog) -> bytes:
    """Return `index.json`: one descriptor per (repository, tag), and per manifest without a tag."""
    manifests = [
        {**descriptor(manifest), "annotations": {REF_NAME: name}}
        for path, repository in sorted(catalog.items())
        for name, manifest in _named(path, repository)
    ]
    return strict_json.canonical({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})


def _named(path: RepositoryPath, repository: ServedRepository) -> Iterator[tuple[str, Descriptor]]:
    for tag, digest in sorted(repository.tags.items()):
        yield f"{path}:{tag}", repository.manifests[digest]
    for digest in sorted(repository.manifests.keys() - set(repository.tags.values())):
        yield f"{path}@{digest}", repository.manifests[digest]


def decode_index(data: bytes, limits: Limits) -> Iterator[ServedManifest]:
    """Read `index.json`. Raises ContentError for one that this module would not write."""
    document = strict_json.loads(
        data, item=INDEX_FILE, depth=limits.json_depth, values=limits.json_values, names=MANIFEST_NAMES
    )
    try:
        for fields in document["manifests"] or ():
            yield _entry(fields)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        cause = f"not the index of a registry's directory or a bundle: {error}"
        raise ContentError(INDEX_FILE, cause) from error


def _entry(fields: Mapping[str, Any]) -> ServedManifest:
    manifest = Descriptor(str(fields["mediaType"]), Digest.parse(fields["digest"]), int(fields["size"]))
    name = str(fields["annotations"][REF_NAME])
    source, at, _ = name.partition("@")
    tag = None
    if not at:
        source, _, text = name.rpartition(":")
        tag = Tag.parse(text)
    if fields["annotations"].get(CONTAINERD_NAME) == name:
        return ServedManifest(source, RepositoryName.parse(source).path, tag, manifest)
    return ServedManifest(source, RepositoryPath.parse(source), tag, manifest)
