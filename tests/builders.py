"""Deterministic content in memory, and ways to put it into registries and bundles."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urljoin

import requests
import zstandard

from bundler.bundle.bundle_format import (
    END_OF_ARCHIVE,
    FRAME_CONTENT,
    Frame,
    digest_frame,
    member_header,
    padding,
    seek_table,
)
from bundler.bundle.inventory import Inventory, Root, take_inventory
from bundler.bundle.sealing import write_sidecar
from bundler.bundle.writer import files_of, write_bundle
from bundler.errors import NotFoundError
from bundler.oci.content import CHUNK, Verifier, verified
from bundler.oci.digest import Descriptor, Digest, sha256
from bundler.oci.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Manifest,
    parse_manifest,
)
from bundler.oci.reference import RepositoryName, Tag
from bundler.reporting.progress import SILENCE

Document = dict[str, Any]

TIMONI_CONFIG = "application/vnd.timoni.config.v1+json"
TIMONI_LAYER = "application/vnd.timoni.content.v1.tar+gzip"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


def noise(name: str, size: int) -> bytes:
    """Bytes that don't compress, the same for the same name."""
    return Random(name).randbytes(size)


def document_of(blob: Descriptor) -> Document:
    """A descriptor as a manifest has it."""
    return {"mediaType": blob.media_type, "digest": str(blob.digest), "size": blob.size}


def dumped(document: Document) -> bytes:
    """A document as one registry's client may have written it."""
    return json.dumps(document, indent=1).encode()


def descriptor_of(data: bytes, media_type: str = "", algorithm: str = "sha256") -> Descriptor:
    """The descriptor of these bytes."""
    return Descriptor(
        media_type, Digest(f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"), len(data)
    )


@dataclass
class Content:
    """What one repository holds: children are added before their parents."""

    tags: dict[str, Digest] = field(default_factory=dict)
    manifests: dict[Digest, tuple[str, bytes]] = field(default_factory=dict)
    blobs: dict[Digest, bytes] = field(default_factory=dict)

    def add_blob(
        self, content: bytes, media_type: str = OCI_LAYER, *, algorithm: str = "sha256", **more: Any
    ) -> Document:
        """Keep a blob; the result is the descriptor to write into a manifest."""
        blob = descriptor_of(content, media_type, algorithm)
        self.blobs[blob.digest] = content
        return {"mediaType": media_type, "digest": str(blob.digest), "size": blob.size, **more}

    def add_manifest(self, document: Document, tag: str = "", *, media_type: str = "") -> Document:
        """Keep a manifest or index, under a tag if there is one; the result is its descriptor."""
        return self.add_bytes(dumped(document), media_type or document["mediaType"], tag)

    def add_bytes(self, data: bytes, media_type: str, tag: str = "") -> Document:
        """Keep a manifest of exactly these bytes."""
        digest = sha256(data)
        self.manifests[digest] = (media_type, data)
        if tag:
            self.tags[tag] = digest
        return {"mediaType": media_type, "digest": str(digest), "size": len(data)}

    def add_image(self, name: str, tag: str = "", *, layers: int = 1, **more: Any) -> Document:
        """An OCI image whose config and layers are made from `name`."""
        config = self.add_blob(dumped({"architecture": "amd64", "name": name}), OCI_CONFIG)
        parts = [self.add_blob(noise(f"{name}/{number}", 700)) for number in range(layers)]
        return self.add_manifest(manifest_document(config, parts, **more), tag)

    def parsed(self) -> dict[Digest, Manifest]:
        """The manifests as the package reads them."""
        return {
            digest: parse_manifest(data, media_type, digest)
            for digest, (media_type, data) in self.manifests.items()
        }

    def roots(self, repository: str) -> list[Root]:
        """One root per tag."""
        return [Root(RepositoryName(repository), Tag(tag), digest) for tag, digest in self.tags.items()]

    def everything(self) -> Iterator[tuple[Digest, bytes]]:
        """All bytes by digest, manifests first."""
        manifests = ((digest, data) for digest, (_, data) in self.manifests.items())
        return chain(manifests, self.blobs.items())


def manifest_document(config: Document, layers: list[Document], **more: Any) -> Document:
    """An OCI manifest."""
    return {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers, **more}


def index_document(*children: Document, **more: Any) -> Document:
    """An OCI index."""
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(children), **more}


# --- shapes of content -------------------------------------------------------------------------------


def a_module(*versions: str, name: str = "app", size: int = 1500, created: str = "") -> Content:
    """A Timoni module: a vendor layer that all versions share, and a module layer for each."""
    content = Content()
    for version in versions or ("1.0.0", "1.1.0"):
        add_version(content, version, name=name, size=size, created=created)
    return content


def add_version(
    content: Content, version: str, *, name: str = "app", size: int = 1500, created: str = ""
) -> Digest:
    """One more version of a module."""
    config = content.add_blob(dumped({"created": "2024-05-01T10:00:00Z", "v": version}), TIMONI_CONFIG)
    layers = [
        content.add_blob(
            noise(f"{name} {part}", size), TIMONI_LAYER, annotations={"sh.timoni.content.type": kind}
        )
        for part, kind in (("vendor", "module/vendor"), (version, "module"))
    ]
    annotations = {"org.opencontainers.image.version": version}
    annotations |= {"org.opencontainers.image.created": created} if created else {}
    content.add_manifest(manifest_document(config, layers, annotations=annotations), version)
    return content.tags[version]


def an_index(of: int = 2, *, tag: str = "latest", docker: bool = False) -> Content:
    """An index of images, or Docker's manifest list."""
    content = Content()
    children = []
    for number in range(of):
        child = (add_docker_image if docker else Content.add_image)(content, f"p{number}")
        children.append({**child, "platform": {"architecture": f"p{number}", "os": "linux"}})
    media_type = DOCKER_LIST if docker else OCI_INDEX
    content.add_manifest({**index_document(*children), "mediaType": media_type}, tag)
    return content


def an_index_of_indexes(depth: int = 2, *, tag: str = "latest") -> Content:
    """`depth` indexes above one image."""
    content = Content()
    child = content.add_image("deep")
    for level in range(depth):
        child = content.add_manifest(index_document(child), tag if level == depth - 1 else "")
    return content


def add_docker_image(content: Content, name: str, tag: str = "") -> Document:
    """Docker schema 2."""
    config = content.add_blob(dumped({"docker": name}), DOCKER_CONFIG)
    layer = content.add_blob(noise(name, 900), DOCKER_LAYER)
    return content.add_manifest({**manifest_document(config, [layer]), "mediaType": DOCKER_MANIFEST}, tag)


def a_docker_image() -> Content:
    """A repository with one Docker image."""
    content = Content()
    add_docker_image(content, "docker", "1.0.0")
    return content


def an_artifact(*, tag: str = "1.0.0", **more: Any) -> Content:
    """An artifact with the empty config; `subject=...` makes it a referrer."""
    content = Content()
    config = content.add_blob(b"{}", EMPTY_TYPE)
    layer = content.add_blob(b"hello artifact\n", "text/plain")
    content.add_manifest(manifest_document(config, [layer], artifactType="application/vnd.test", **more), tag)
    return content


def document_in(content: Content, tag: str) -> Document:
    """The manifest under a tag."""
    document: Document = json.loads(content.manifests[content.tags[tag]][1])
    return document


SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGSTORE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def sign_by_tag(content: Content, digest: Digest, suffix: str = "sig", *texts: str) -> Digest:
    """What cosign 2 does: a tag named after the digest, with one layer for each signature."""
    layers = [
        content.add_blob(f"{suffix} {text} of {digest}".encode(), SIMPLE_SIGNING)
        for text in texts or ("one",)
    ]
    config = content.add_blob(dumped({"signed": suffix}), OCI_CONFIG)
    tag = f"{digest.replace(':', '-')}.{suffix}"
    content.add_manifest(manifest_document(config, layers), tag)
    return content.tags[tag]


def sign_by_subject(
    content: Content,
    subject: Digest,
    text: str = "one",
    *,
    listed: bool = True,
    stated: Document | None = None,
    **annotations: str,
) -> Digest:
    """What cosign 3 does: a referrer; `listed` also under the fallback tag, with a wrong artifactType.

    `stated` is what it says wrongly about its subject.
    """
    media_type, data = content.manifests[subject]
    referrer = content.add_manifest(
        manifest_document(
            content.add_blob(b"{}", EMPTY_TYPE),
            [content.add_blob(f"bundle {text} of {subject}".encode(), SIGSTORE)],
            artifactType=SIGSTORE,
            subject={"mediaType": media_type, "digest": str(subject), "size": len(data), **(stated or {})},
            annotations=annotations or {"text": text},
        )
    )
    if listed:
        tag = subject.replace(":", "-")[:71]
        known = (
            json.loads(content.manifests[content.tags[tag]][1])["manifests"] if tag in content.tags else []
        )
        content.add_manifest(index_document(*known, {**referrer, "artifactType": "application/wrong"}), tag)
    return Digest(referrer["digest"])


def a_signed_module() -> Content:
    """Four versions: signed by tag, by subject, by both with an attestation and a signed SBOM, and not."""
    content = a_module("1.0.0", "1.1.0", "1.2.0", "1.3.0")
    sign_by_tag(content, content.tags["1.0.0"])
    sign_by_subject(content, content.tags["1.1.0"])
    third = content.tags["1.2.0"]
    sign_by_tag(content, third, "sig", "one", "two")
    sign_by_tag(content, third, "att")
    sign_by_tag(content, sign_by_tag(content, third, "sbom"))
    sign_by_subject(content, sign_by_subject(content, third), "of the signature")
    return content


def _a_referrer() -> Content:
    content = Content()
    subject = content.add_image("subject", "image")
    artifact = an_artifact(tag="signature", subject=subject)
    return Content(
        content.tags | artifact.tags, content.manifests | artifact.manifests, content.blobs | artifact.blobs
    )


def _with_data() -> Content:
    content = Content()
    data = b"carried in the descriptor too"
    config = content.add_blob(b"{}", EMPTY_TYPE, data=base64.b64encode(b"{}").decode())
    layer = content.add_blob(data, "text/plain", data=base64.b64encode(data).decode())
    content.add_manifest(manifest_document(config, [layer]), "1.0.0")
    return content


def _not_distributed() -> Content:
    content = Content()
    config = content.add_blob(b"{}", OCI_CONFIG)
    foreign = document_of(
        descriptor_of(b"elsewhere", "application/vnd.oci.image.layer.nondistributable.v1.tar")
    )
    here = content.add_blob(b"here")
    content.add_manifest(
        manifest_document(config, [{**foreign, "urls": ["http://169.254.169.254/"]}, here]), "1.0.0"
    )
    return content


def _custom_fields() -> Content:
    content = Content()
    config = content.add_blob(b'{"rootfs":{}}', OCI_CONFIG, custom="field")
    content.add_manifest(manifest_document(config, [], org_example={"nested": [1, 2.5, None, True]}), "1.0.0")
    return content


def _sha512() -> Content:
    content = Content()
    config = content.add_blob(b"{}", OCI_CONFIG, algorithm="sha512")
    layer = content.add_blob(noise("sha512", 300), algorithm="sha512")
    content.add_manifest(manifest_document(config, [layer]), "1.0.0")
    return content


def an_image(tag: str = "1.0.0", *, layers: int = 1) -> Content:
    """One OCI image."""
    content = Content()
    content.add_image("image", tag, layers=layers)
    return content


def _empty_blob() -> Content:
    content = Content()
    config, layer = content.add_blob(b"", OCI_CONFIG), content.add_blob(b"")
    content.add_manifest(manifest_document(config, [layer]), "1.0.0")
    return content


def _an_index_with(**more: Any) -> Content:
    content = Content()
    content.add_manifest(index_document(content.add_image("child"), **more), "1.0.0")
    return content


MISSING = document_of(descriptor_of(b"nobody has this subject", OCI_MANIFEST))

SHAPES: dict[str, Callable[[], Content]] = {
    "module": a_module,
    "image": an_image,
    "two layers": lambda: an_image(layers=2),
    "no layers": lambda: an_image(layers=0),
    "index": an_index,
    "empty index": lambda: an_index(of=0),
    "index of index": an_index_of_indexes,
    "docker image": a_docker_image,
    "docker list": lambda: an_index(docker=True),
    "artifact": an_artifact,
    "subject": _a_referrer,
    "missing subject": lambda: an_artifact(subject=MISSING),
    "index with subject": lambda: _an_index_with(subject=MISSING),
    "artifact index": lambda: _an_index_with(artifactType="application/vnd.test"),
    "data field": _with_data,
    "not distributed": _not_distributed,
    "custom fields": _custom_fields,
    "empty blob": _empty_blob,
    "sha512": _sha512,
}
"""The content shapes of the distribution specification's conformance suite, and some more."""


# --- where it goes -----------------------------------------------------------------------------------


class MemoryStore:
    """Blobs in a dictionary: a BlobSource and a BlobSink."""

    def __init__(self, *contents: Content) -> None:
        self.blobs: dict[Digest, bytes] = {}
        for content in contents:
            self.blobs.update(content.everything())

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        """A blob's bytes, verified."""
        return verified(blob, self._chunks(blob))

    def _chunks(self, blob: Descriptor) -> Iterator[bytes]:
        if blob.digest not in self.blobs:
            raise NotFoundError(f"blob {blob.digest}", "not in memory")
        data = self.blobs[blob.digest]
        return iter([data[start : start + CHUNK] for start in range(0, len(data), CHUNK)])

    def has(self, blob: Descriptor) -> bool:
        """Whether it is there, whole."""
        return len(self.blobs.get(blob.digest, b"")) == blob.size and blob.digest in self.blobs

    def add(self, blob: Descriptor, chunks: Callable[[int], Iterable[bytes]]) -> None:
        """Keep it if it is right."""
        verifier, parts = Verifier(blob), []
        for chunk in chunks(0):
            verifier.update(chunk)
            parts.append(chunk)
        verifier.finish()
        self.blobs[blob.digest] = b"".join(parts)


def push_to(base: str, path: str, content: Content, auth: tuple[str, str] | None = None) -> None:
    """Put content into a real registry with plain requests, and nothing of this package."""
    with requests.Session() as session:
        session.auth = auth
        for digest, data in content.blobs.items():
            begun = session.post(f"{base}/v2/{path}/blobs/uploads/")
            begun.raise_for_status()
            address = urljoin(begun.url, begun.headers["Location"])
            session.put(address, params={"digest": digest}, data=data).raise_for_status()
        names = {digest: tag for tag, digest in content.tags.items()}
        for digest, (media_type, data) in content.manifests.items():
            _put(session, f"{base}/v2/{path}/manifests/{names.get(digest, digest)}", media_type, data)
        for tag, digest in content.tags.items():
            if names[digest] != tag:
                _put(session, f"{base}/v2/{path}/manifests/{tag}", *content.manifests[digest])


def _put(session: requests.Session, url: str, media_type: str, data: bytes) -> None:
    session.put(url, data=data, headers={"Content-Type": media_type}).raise_for_status()


def packed(contents: Mapping[str, Content]) -> tuple[Inventory, MemoryStore]:
    """What a bundle of these repositories is made from; the names are `host/path`."""
    roots = [root for name, content in contents.items() for root in content.roots(name)]
    manifests = {digest: item for content in contents.values() for digest, item in content.parsed().items()}
    return take_inventory(roots, manifests), MemoryStore(*contents.values())


def a_bundle(path: Path, contents: Mapping[str, Content], *, sidecar: bool = True) -> Path:
    """A bundle file with its sidecar."""
    inventory, store = packed(contents)
    with path.open("wb") as file:
        written = write_bundle(file.write, inventory, store, SILENCE)
    if sidecar:
        write_sidecar(path, written.sha256)
    return path


# --- bundles that no export would write --------------------------------------------------------------


def members_of(contents: Mapping[str, Content]) -> list[tuple[str, bytes]]:
    """The members of a bundle, as names and data, for a test to change."""
    inventory, store = packed(contents)
    blobs = [(blob.digest.path, store.blobs[blob.digest]) for blob in inventory.content]
    return [*files_of(inventory), *blobs]


def tar_of(members: Iterable[tuple[str, bytes]]) -> bytes:
    """A tar stream in the bundle's own form."""
    parts = [member_header(name, len(data)) + data + padding(len(data)) for name, data in members]
    return b"".join([*parts, END_OF_ARCHIVE])


def framed(stream: bytes) -> bytes:
    """Any tar stream in valid frames, with the seek table that belongs to them."""
    pieces = [stream[start : start + FRAME_CONTENT] for start in range(0, len(stream), FRAME_CONTENT)]
    return with_seek_table([(frame_of(piece), len(piece)) for piece in pieces])


def frame_of(content: bytes) -> bytes:
    """One frame of the format."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        1, window_log=FRAME_CONTENT.bit_length() - 1, write_checksum=True, write_content_size=True
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(content)


def with_seek_table(frames: Iterable[tuple[bytes, int]]) -> bytes:
    """Frames, given with the size of their content, and their seek table."""
    known = list(frames)
    content = b"".join(data for data, _ in known)
    end = digest_frame(hashlib.sha256(content).digest())
    return content + end + seek_table([Frame(len(data), size) for data, size in known])
