"""Manifests and indexes: strict reading, and what each one reaches.

Bytes stay what they are; only what is needed to walk the graph is read from them. These parsers run
on every tag of every export, so they are plain code; a test holds them against pydantic models of
the same types. Source: image-spec 1.1, manifest.md and image-index.md; Docker manifest v2 schema 2.
"""

import base64
import re
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from bundler.errors import ContentError
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import strict_json
from bundler.oci.digest import Descriptor, Digest
from bundler.oci.grammar import LARGEST_SIZE

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"

OCI_INDEX = "application/vnd.oci.image.index.v1+json"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"

DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1"

ARTIFACT_MANIFEST = "application/vnd.oci.artifact.manifest.v1+json"
"""Retired before image-spec 1.1; some referrers are of this type."""

INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})

ACCEPTED = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST, ARTIFACT_MANIFEST)
"""Every type that is asked for. All of them: some registries answer schema 1 for less."""

NOT_DISTRIBUTED = (
    "application/vnd.oci.image.layer.nondistributable.",
    "application/vnd.docker.image.rootfs.foreign.",
)

MEDIA_TYPE = re.compile(r"[\x20-\x7e]{1,255}")
"""Looser than RFC 6838, because registries are; tight enough for every log and document."""

MANIFEST_NAMES = frozenset(
    {
        "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject",
        "annotations", "blobs", "digest", "size", "urls", "data",
        "platform", "architecture", "os", "os.version", "os.features", "variant",
    }
)  # fmt: skip
"""Names of fields in manifests, indexes and their descriptors. Source: image-spec 1.1."""

EMPTY = "application/vnd.oci.empty.v1+json"
"""The type of a config or layer that stands for none. Source: image-spec 1.1."""

OCTETS = "application/octet-stream"
"""The type of a layer that names none: peers carry such layers."""

TIMONI_CONTENT_TYPE = "sh.timoni.content.type"

CREATED = "org.opencontainers.image.created"

VERSION = "org.opencontainers.image.version"

REVISION = "org.opencontainers.image.revision"


_PAIR = 100
"""Bytes that a dictionary takes for a name and its value, themselves not counted."""

NO_ANNOTATIONS: Mapping[str, str] = MappingProxyType({})


class Layer(NamedTuple):
    """A descriptor inside a manifest, with what it says of the content."""

    blob: Descriptor
    annotations: Mapping[str, str] = NO_ANNOTATIONS

    @property
    def distributed(self) -> bool:
        """Return False for layers that registries don't hold: they are never fetched."""
        return not self.blob.media_type.startswith(NOT_DISTRIBUTED)


class Manifest(NamedTuple):
    """A manifest or index, with its exact bytes."""

    blob: Descriptor
    data: bytes
    config: Layer | None
    layers: tuple[Layer, ...]
    children: tuple[Descriptor, ...]
    annotations: Mapping[str, str]
    subject: Descriptor | None = None
    """The manifest that this one refers to, as a referrer."""
    artifact_type: str = ""
    """`artifactType`; empty if absent."""

    @property
    def descriptors(self) -> int:
        """Return the number of its descriptors."""
        return 1 + len(self.layers) + len(self.children)

    @property
    def annotated(self) -> int:
        """Return about how many bytes of memory its annotations take."""
        parts = (self.config, *self.layers) if self.config else self.layers
        return sum(
            _PAIR + sys.getsizeof(name) + sys.getsizeof(text)
            for annotations in (self.annotations, *(part.annotations for part in parts))
            for name, text in annotations.items()
        )

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Return the blobs that must be carried with it, manifests excluded."""
        layers = tuple(layer.blob for layer in self.layers if layer.distributed)
        return (self.config.blob, *layers) if self.config else layers


@strict_json.alone
def parse_manifest(
    data: bytes, media_type: str, digest: Digest, *, limits: Limits = DEFAULT_LIMITS
) -> Manifest:
    """Read a manifest or index of `media_type`; `digest` is the proven digest of `data`.

    Raises ContentError: over a limit, malformed, schema 1, or one kind that poses as another.
    """
    blob = _checked(media_type, digest, len(data), limits)
    return _read(blob, data, _document(data, f"manifest {digest}", limits))


@strict_json.alone
def parse_served(
    data: bytes, declared: str, digest: Digest, *, item: str, limits: Limits = DEFAULT_LIMITS
) -> Manifest:
    """Read a manifest or index as it was served, or is to be: with the `Content-Type` that was declared.

    That is its media type, checked against the document's own. Without a useful one (missing, or
    `application/json`), the document decides. Raises what `parse_manifest` raises.
    """
    if data.lstrip()[:1] == b"<":
        raise ContentError(
            item, "an HTML page instead of a manifest", "a login or proxy page may be in between"
        )
    strict_json.check_width(data, item=item, most=limits.json_wide)
    document = _document(data, item, limits)
    media_type = _media_type_of(document, declared, item)
    return _read(_checked(media_type, digest, len(data), limits), data, document)


def _document(data: bytes, item: str, limits: Limits) -> object:
    return strict_json.loads(
        data, item=item, depth=limits.json_depth, values=limits.manifest_values, names=MANIFEST_NAMES
    )


def _checked(media_type: str, digest: Digest, size: int, limits: Limits) -> Descriptor:
    item = f"manifest {digest}"
    if media_type.startswith(DOCKER_SCHEMA1):
        raise ContentError(item, "Docker schema 1 is not supported", "push the image again with a newer tool")
    if media_type not in ACCEPTED:
        raise ContentError(item, f"media type {media_type!r} is not a manifest or an index")
    if size > limits.manifest:
        raise ContentError(item, f"larger than the limit of {limits.manifest:,} bytes")
    return Descriptor(media_type, digest, size)


def _media_type_of(document: object, declared: str, item: str) -> str:
    if not isinstance(document, dict):
        raise ContentError(item, "not a manifest: the answer is not a JSON object")
    media_type = document.get("mediaType") or ""  # null is an empty string to Go
    header = declared.partition(";")[0].strip().lower()
    if not isinstance(media_type, str):
        raise ContentError(item, "not a manifest: mediaType is not a string")
    if document.get("schemaVersion") == 1:
        return DOCKER_SCHEMA1
    if header in ACCEPTED and media_type and media_type != header:
        raise ContentError(item, f"sent as {header}, but says it is {media_type}")
    return header if header in ACCEPTED else media_type or _guessed(document)


def _guessed(document: Mapping[str, Any]) -> str:
    if "manifests" in document:
        return OCI_INDEX
    return OCI_MANIFEST if "config" in document else ""


def _read(blob: Descriptor, data: bytes, document: object) -> Manifest:
    try:
        return _manifest(blob, data, document)
    except ValueError as error:
        raise ContentError(f"manifest {blob.digest}", f"malformed: {error}") from error


def _manifest(blob: Descriptor, data: bytes, document: object) -> Manifest:
    fields = _object(document, "the document")
    if blob.media_type == ARTIFACT_MANIFEST:
        return _artifact(blob, data, fields)
    version = fields.get("schemaVersion")
    if type(version) is not int or version != 2:  # 2.0 and true are numbers to Python only
        raise ValueError("schemaVersion is not 2")
    if fields.get("mediaType") not in (None, blob.media_type):
        raise ValueError(f"it says it is {fields['mediaType']!r}")
    annotations = _annotations(fields.get("annotations"))
    refers = _refers(fields)
    if blob.media_type in INDEXES:
        if "layers" in fields or "config" in fields:
            raise ValueError("an index with layers or a config")
        entries = [_layer(entry, "manifests") for entry in _list(fields, "manifests")]
        blobs = tuple(entry for entry in entries if not _is_manifest(entry.blob.media_type))
        children = tuple(entry.blob for entry in entries if _is_manifest(entry.blob.media_type))
        return Manifest(blob, data, None, blobs, children, annotations, *refers)
    if "manifests" in fields:
        raise ValueError("a manifest with a list of manifests")
    config = _layer(fields.get("config"), "config")
    layers = tuple(_layer(entry, "layers") for entry in _list(fields, "layers"))
    return Manifest(blob, data, config, layers, (), annotations, *refers)


def _artifact(blob: Descriptor, data: bytes, fields: Mapping[str, Any]) -> Manifest:
    """Read an artifact manifest. Source: image-spec 1.1.0-rc2, artifact.md."""
    if fields.get("mediaType") != blob.media_type:
        raise ValueError("mediaType is not that of an artifact manifest")
    blobs = tuple(_layer(entry, "blobs") for entry in _list(fields, "blobs"))
    return Manifest(blob, data, None, blobs, (), _annotations(fields.get("annotations")), *_refers(fields))


def _is_manifest(media_type: str) -> bool:
    """Return whether an entry of an index is a manifest; BuildKit's caches list blobs there."""
    return media_type in ACCEPTED or "manifest" in media_type


def _refers(fields: Mapping[str, Any]) -> tuple[Descriptor | None, str]:
    """Return `subject` and `artifactType`."""
    subject, artifact_type = fields.get("subject"), fields.get("artifactType")
    if not isinstance(artifact_type, str | None):
        raise ValueError("artifactType is not a string")
    return None if subject is None else _layer(subject, "subject").blob, artifact_type or ""


def _layer(value: object, where: str) -> Layer:
    fields = _object(value, where)
    media_type, size = fields.get("mediaType"), fields.get("size")
    if where in ("layers", "blobs") and media_type in (None, ""):
        media_type = OCTETS
    if not isinstance(media_type, str) or not MEDIA_TYPE.fullmatch(media_type):
        raise ValueError(f"{where}: mediaType is missing or not one")
    # bool is an int to Python, and no size to anyone else.
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < LARGEST_SIZE:
        raise ValueError(f"{where}: size {size!r:.40} is not a number of bytes")
    digest = Digest.parse(fields.get("digest"))
    _check_embedded(fields.get("data"), digest, where)
    # Interned: there are few types, and many layers.
    return Layer(Descriptor(sys.intern(media_type), digest, size), _annotations(fields.get("annotations")))


def _check_embedded(data: object, digest: Digest, where: str) -> None:
    """Check the copy of a blob in a descriptor's `data`: a reader may use it instead of the blob."""
    if data is None:
        return
    if not isinstance(data, str):
        raise ValueError(f"{where}: data is not a string")
    embedded = base64.b64decode(data, validate=True)
    if digest.computed(embedded) != digest:
        raise ValueError(f"{where}: data is not the content of {digest}")


def _annotations(value: object) -> Mapping[str, str]:
    if value is None:
        return NO_ANNOTATIONS
    fields = _object(value, "annotations")
    if not all(isinstance(text, str | None) for text in fields.values()):
        raise ValueError("annotations: a value is not a string")
    return {name: text or "" for name, text in fields.items()}  # null is an empty string to Go


def _list(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if value is None:
        return []  # Go writes null for an empty list.
    if not isinstance(value, list):
        raise ValueError(f"{name} is not a list")
    return value


def _object(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not an object")
    return value
