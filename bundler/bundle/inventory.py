"""`bundle.json`: the inventory of a bundle, in file order; and `index.json`, which follows from it.

The bundle id is the sha256 of the exact bytes of `bundle.json`. The types here are both the values
that the package works with and, read by pydantic, the published schema.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Annotated, Any, Literal, NamedTuple, Self

from bundler.bundle.member_encoding import Member, member_of
from bundler.oci import Descriptor, Digest, RepositoryName, Tag, sha256, strict_json
from bundler.oci.document import Names, adapter_of
from bundler.oci.grammar import DocumentValue, Parsed, Size, document_value
from bundler.oci.graph import Manifests, bottom_up
from bundler.oci.manifest import OCI_INDEX, TIMONI_CONTENT_TYPE, Layer, Manifest
from bundler.selection.semver import version_order

INVENTORY_FILE = "bundle.json"

BUNDLE_SUFFIX, COMPACT_SUFFIX = ".tar.zst", ".compact.zst"

FORMAT = 1

REF_NAME = "org.opencontainers.image.ref.name"

CONTAINERD_NAME = "io.containerd.image.name"

_GROUPS = {"module/vendor": 0, "module": 1}


class TagOrDigest(Parsed):
    """Name of a manifest in its repository: a tag, or a digest for a manifest without one."""

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read either. Raises ValueError."""
        (Digest if isinstance(text, str) and ":" in text else Tag).parse(text)
        return cls(text)


Departed = Annotated[Mapping[Tag | Digest, Digest], Names(TagOrDigest, Digest)]
"""Tags, and digests of manifests without a tag, each with the digest that the base has."""


@document_value
class RepositoryEntry(DocumentValue):
    """One repository: its tags, and manifests taken by digest."""

    name: RepositoryName
    tags: Annotated[Mapping[Tag, Digest], Names(Tag, Digest)]
    untagged: tuple[Digest, ...] = ()
    removed: Departed = field(default_factory=dict)
    """In a delta: tags and digests of the base that are gone at the source, with the digests of the base."""
    deselected: Departed = field(default_factory=dict)
    """In a delta: tags and digests of the base that are no longer selected, with the digests of the base."""

    def roots(self) -> Iterator[Digest]:
        """Yield all digests that the repository must have, in order."""
        return chain(self.tags.values(), self.untagged)


@dataclass(frozen=True, slots=True)
class Required(Descriptor):
    """A blob that a delta leaves out, because its base has it."""

    repository: RepositoryName
    """A repository in which the base has it."""


@document_value
class Predecessor(DocumentValue):
    """The bundle that a job wrote before: it puts bundles in order, and names a file that is missing."""

    id: Digest
    job: str
    number: Size
    """Number of the bundle among those of its job."""
    time: Size
    """Seconds since 1970 when it was written, by the clock of the machine that wrote it."""
    file: str | None = None
    """Name of its file, without a folder; null for a pipe."""


@document_value
class Inventory(DocumentValue):
    """Inventory of a bundle. `manifests`, then `blobs`, is the order of the members in the file."""

    format: int
    kind: Literal["full", "delta"]
    repositories: tuple[RepositoryEntry, ...]
    manifests: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]
    omitted: tuple[Digest, ...] = ()
    """Children of indexes that were left out on purpose: those indexes are sparse."""
    base: tuple[Digest, ...] = ()
    """In a delta: ids of the bundles that must be imported before it."""
    required: tuple[Required, ...] = ()
    """In a delta: blobs that its manifests need and that the base brought."""
    state: Digest | None = None
    """In a delta: id of the full bundle that base and delta make together; in a full bundle that begins a
    chain anew, id of the full bundle without what it says of its predecessor."""
    base_state: Digest | None = None
    """In a delta: id of the full bundle that its bases make together."""
    follows: tuple[Predecessor, ...] = ()
    """The bundle that the same job wrote before, as its store knows it: base of a delta. For a full bundle
    that begins a chain anew, all bundles of the earlier chain, newest first."""

    @property
    def content(self) -> Iterator[Descriptor]:
        """Return everything under `blobs/`, in file order."""
        return chain(self.manifests, self.blobs)

    @property
    def members(self) -> Iterator[Member]:
        """Return the members of the archive that hold the content, in file order."""
        return map(member_of, self.content)


PARTS = (RepositoryEntry, Descriptor, Required, Predecessor)
"""Types of the parts of an inventory, for pydantic."""


def is_empty(inventory: Inventory) -> bool:
    """Return True for a delta that adds nothing, and of whose base nothing departed."""
    return inventory.kind == "delta" and not inventory.repositories


def only_deselects(inventory: Inventory) -> bool:
    """Return True for a delta that only says what is no longer selected."""
    changed = (entry.tags or entry.untagged or entry.removed for entry in inventory.repositories)
    return inventory.kind == "delta" and not any(changed)


class Root(NamedTuple):
    """One selected manifest, under a tag or by digest alone."""

    repository: RepositoryName
    tag: Tag | None
    digest: Digest

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}" if self.tag else f"{self.repository}@{self.digest}"


def bundle_order(root: Root) -> tuple[object, ...]:
    """Return the sort key of a root: versions by precedence, other tags by name, then untagged ones."""
    tag = version_order(root.tag) if root.tag else ()
    return (root.repository, root.tag is None, tag, root.digest)


def take_inventory(roots: Iterable[Root], manifests: Manifests, omitted: Iterable[Digest] = ()) -> Inventory:
    """Return the inventory of these roots, given in `bundle_order`, and of all that they reach.

    gzip layers of one repository share bytes, so vendor layers stand together in version order, then
    module layers: that is where compression finds them.
    """
    by_repository = _by_repository(roots)
    ordered: dict[Digest, Manifest] = {}
    layers: list[Layer] = []
    for repository_roots in by_repository.values():
        reached = bottom_up([root.digest for root in repository_roots], manifests)
        new = [manifest for manifest in reached if manifest.blob.digest not in ordered]
        ordered.update((manifest.blob.digest, manifest) for manifest in new)
        parts = [layer for manifest in new for layer in manifest.layers]
        layers += sorted(
            parts, key=lambda layer: _GROUPS.get(layer.annotations.get(TIMONI_CONTENT_TYPE, ""), 2)
        )
    configs = [manifest.config for manifest in ordered.values() if manifest.config]
    blobs: dict[Digest, Descriptor] = {}
    for part in (*configs, *(layer for layer in layers if layer.distributed)):
        if part.blob.digest not in ordered:
            # A blob with several media types has that of its first place.
            blobs.setdefault(part.blob.digest, part.blob)
    carried = tuple(manifest.blob for manifest in ordered.values())
    entries = tuple(_entry(name, repository_roots) for name, repository_roots in by_repository.items())
    return Inventory(FORMAT, "full", entries, carried, tuple(blobs.values()), tuple(sorted(omitted)))


def entries_of(roots: Iterable[Root]) -> tuple[RepositoryEntry, ...]:
    """Return the roots by repository."""
    return tuple(_entry(name, repository_roots) for name, repository_roots in _by_repository(roots).items())


def _by_repository(roots: Iterable[Root]) -> dict[RepositoryName, list[Root]]:
    by_name: dict[RepositoryName, list[Root]] = {}
    for root in roots:
        by_name.setdefault(root.repository, []).append(root)
    return dict(sorted(by_name.items()))


def _entry(name: RepositoryName, roots: Iterable[Root]) -> RepositoryEntry:
    tags = {root.tag: root.digest for root in roots if root.tag is not None}
    untagged = {root.digest for root in roots if root.tag is None}
    return RepositoryEntry(name, dict(sorted(tags.items())), tuple(sorted(untagged)))


# --- bundle.json -----------------------------------------------------------------------------------


def encode(inventory: Inventory) -> bytes:
    """Return the bytes of `bundle.json`: one spelling for one content."""
    omitted = {"omitted": list(inventory.omitted)} if inventory.omitted else {}
    return strict_json.canonical(
        {
            "format": inventory.format,
            "kind": inventory.kind,
            "repositories": [
                {
                    "name": entry.name,
                    "tags": {str(tag): digest for tag, digest in entry.tags.items()},
                    "untagged": list(entry.untagged),
                    **_departed(entry),
                }
                for entry in inventory.repositories
            ],
            "manifests": [descriptor(blob) for blob in inventory.manifests],
            "blobs": [descriptor(blob) for blob in inventory.blobs],
            **omitted,
            **_of_delta(inventory),
        }
    )


def _departed(entry: RepositoryEntry) -> dict[str, dict[str, Digest]]:
    named = {"removed": entry.removed, "deselected": entry.deselected}
    return {
        key: {str(name): digest for name, digest in departed.items()}
        for key, departed in named.items()
        if departed
    }


def _of_delta(inventory: Inventory) -> dict[str, Any]:
    states = {"state": inventory.state, "baseState": inventory.base_state}
    stated: dict[str, Any] = {name: id_ for name, id_ in states.items() if id_}
    if inventory.follows:
        stated["follows"] = [_predecessor(before) for before in inventory.follows]
    if inventory.kind == "full":
        return stated
    required = [{**descriptor(blob), "repository": blob.repository} for blob in inventory.required]
    return {"base": list(inventory.base), "required": required, **stated}


def _predecessor(before: Predecessor) -> dict[str, Any]:
    file = {"file": before.file} if before.file else {}
    return {"id": before.id, "job": before.job, "number": before.number, "time": before.time, **file}


def renewed_inventory(full: Inventory, delta: Inventory) -> Inventory:
    """Return the full bundle that begins a chain anew; `delta` says what departed since the last one."""
    departed = {entry.name: entry for entry in delta.repositories if entry.removed or entry.deselected}
    entries = {entry.name: entry for entry in full.repositories}
    repositories = tuple(
        replace(
            entries.get(name) or RepositoryEntry(name, {}),
            removed=departed[name].removed if name in departed else {},
            deselected=departed[name].deselected if name in departed else {},
        )
        for name in sorted({*entries, *departed})
    )
    state = bundle_id(encode(full))
    return replace(full, repositories=repositories, state=state, follows=delta.follows)


def plain_inventory(renewed: Inventory) -> Inventory:
    """Return the inventory of the same full bundle, without what it says of its predecessor."""
    kept = (replace(entry, removed={}, deselected={}) for entry in renewed.repositories)
    repositories = tuple(entry for entry in kept if entry.tags or entry.untagged)
    return replace(renewed, repositories=repositories, state=None, follows=())


def descriptor(blob: Descriptor) -> dict[str, str | int]:
    """Return a descriptor as documents spell it."""
    return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}


def bundle_id(encoded: bytes) -> Digest:
    """Return the identity of a bundle: the digest of its inventory's bytes."""
    return sha256(encoded)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of `bundle.json`."""
    described: dict[str, Any] = adapter_of(Inventory, *PARTS).json_schema()
    return described


def roots_of(inventory: Inventory) -> Iterator[Root]:
    """Yield every root, in the order of `index.json`."""
    for entry in inventory.repositories:
        for tag, digest in entry.tags.items():
            yield Root(entry.name, tag, digest)
        for digest in entry.untagged:
            yield Root(entry.name, None, digest)


# --- index.json ------------------------------------------------------------------------------------


def encode_index(inventory: Inventory) -> bytes:
    """Return the bytes of `index.json`: one descriptor per root, named so that skopeo finds it."""
    blobs = {blob.digest: blob for blob in inventory.manifests}
    entries = [
        {**descriptor(blobs[root.digest]), "annotations": {REF_NAME: str(root), CONTAINERD_NAME: str(root)}}
        for root in roots_of(inventory)
    ]
    return strict_json.canonical({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
