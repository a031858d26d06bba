"""Signatures as cosign attaches them: what is signed, and where that is kept."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from bundler.oci.digest import Digest
from bundler.trust.cosign import pae
from tests.builders import (
    OCI_CONFIG,
    SIGSTORE,
    SIMPLE_SIGNING,
    Content,
    Document,
    dumped,
    manifest_document,
)

IN_TOTO = "application/vnd.in-toto+json"
PREDICATE = "https://sigstore.dev/cosign/sign/v1"


def simple_payload(digest: str) -> bytes:
    """What cosign 2 signs."""
    return dumped(
        {
            "critical": {
                "identity": {"docker-reference": "ghcr.io/team/app"},
                "image": {"docker-manifest-digest": digest},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    )


def statement(digest: str, predicate: str = PREDICATE) -> bytes:
    """What cosign 3 signs, as an in-toto statement."""
    return dumped(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": digest.removeprefix("sha256:")}}],
            "predicateType": predicate,
            "predicate": {},
        }
    )


def statement_message(payload: bytes) -> bytes:
    """The bytes that the signature of an envelope is made of."""
    return pae(IN_TOTO, payload)


def envelope(payload: bytes, signature: bytes) -> Document:
    """A DSSE envelope."""
    encoded = base64.b64encode(payload).decode()
    signatures = [{"sig": base64.b64encode(signature).decode(), "keyid": ""}]
    return {"payload": encoded, "payloadType": IN_TOTO, "signatures": signatures}


def attach_by_tag(content: Content, digest: Digest, payload: bytes, annotations: Mapping[str, str]) -> None:
    """cosign 2: a layer under the tag of the digest."""
    layer = content.add_blob(payload, SIMPLE_SIGNING, annotations=annotations)
    tag = f"{digest.replace(':', '-')}.sig"
    content.add_manifest(manifest_document(content.add_blob(dumped({}), OCI_CONFIG), [layer]), tag)


def attach_by_referrer(content: Content, digest: Digest, bundle: bytes) -> None:
    """cosign 3: a Sigstore bundle as a referrer, under the fallback tag."""
    media_type, data = content.manifests[digest]
    referrer = content.add_manifest(
        manifest_document(
            content.add_blob(b"{}", "application/vnd.oci.empty.v1+json"),
            [content.add_blob(bundle, SIGSTORE)],
            artifactType=SIGSTORE,
            subject={"mediaType": media_type, "digest": str(digest), "size": len(data)},
        )
    )
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
    content.add_manifest({**index, "manifests": [referrer]}, digest.replace(":", "-"))
