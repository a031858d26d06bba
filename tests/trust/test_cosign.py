"""What a key signed counts only as what it was signed as."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from bundler.trust.cosign import Key, pae, sigstore_bundle, simple_signing
from bundler.trust.module_signers import Signers
from tests.builders import SIGSTORE, Document, a_module
from tests.trust.attached import IN_TOTO, envelope, simple_payload, statement

MODULE = a_module("1.0.0")
SUBJECT = MODULE.parsed()[MODULE.tags["1.0.0"]]
PRIVATE = ed25519.Ed25519PrivateKey.generate()
SIGNERS = Signers((Key("team.pub", PRIVATE.public_key()),))
PLAIN = {"signature": base64.b64encode(PRIVATE.sign(SUBJECT.data)).decode()}


def bundled(payload_type: str = IN_TOTO, *, says: Document | None = None, **more: Any) -> bytes:
    """A Sigstore bundle around a statement, and whatever else is said; all of it is rightly signed."""
    payload = json.dumps({**json.loads(statement(SUBJECT.blob.digest)), **(says or {})}).encode()
    signed = envelope(payload, PRIVATE.sign(pae(payload_type, payload)))
    document = {
        "mediaType": SIGSTORE,
        "verificationMaterial": {"publicKey": {"hint": "x"}},
        "dsseEnvelope": {**signed, "payloadType": payload_type},
        **more,
    }
    return json.dumps({name: part for name, part in document.items() if part is not None}).encode()


def simple(change: Callable[[Document], object] = lambda critical: None) -> tuple[bytes, dict[str, str]]:
    """A payload of simple signing, and the annotations of its layer; all of it is rightly signed."""
    document = json.loads(simple_payload(SUBJECT.blob.digest))
    change(document["critical"])
    payload = json.dumps(document).encode()
    return payload, {"dev.cosignproject.cosign/signature": base64.b64encode(PRIVATE.sign(payload)).decode()}


def accepted(evidence: Any) -> bool:
    """Whether the key counts as a signer."""
    return bool(evidence and SIGNERS.check([evidence]).by)


def test_what_is_signed_as_a_signature_counts() -> None:
    assert accepted(simple_signing(SUBJECT.blob.digest, *simple()))
    assert accepted(sigstore_bundle(SUBJECT, bundled()))
    assert accepted(sigstore_bundle(SUBJECT, bundled(dsseEnvelope=None, messageSignature=PLAIN)))


@pytest.mark.parametrize(
    "change", [lambda critical: critical.pop("type"), lambda critical: critical.update(type="atomic")]
)
def test_a_payload_of_another_type_is_no_signature(change: Callable[[Document], object]) -> None:
    assert simple_signing(SUBJECT.blob.digest, *simple(change)) is None


OTHERWISE: dict[str, bytes] = {
    "payload of another type": bundled("text/plain"),
    "payload without a type": bundled(""),
    "statement of another type": bundled(says={"_type": "https://example.com/Statement/v1"}),
    "predicate that only begins like it": bundled(
        says={"predicateType": "https://sigstore.dev/cosign/sign/v1x"}
    ),
    "document of another type": bundled(mediaType="text/plain"),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_was_signed_as_something_else_is_none(name: str) -> None:
    assert sigstore_bundle(SUBJECT, OTHERWISE[name]) is None


TWICE: dict[str, bytes] = {
    "two signatures": bundled(messageSignature=PLAIN),
    "two proofs": bundled(verificationMaterial={"publicKey": {"hint": "x"}, "certificate": {"rawBytes": ""}}),
    "no proof": bundled(verificationMaterial={}),
    "another digest": bundled(
        dsseEnvelope=None,
        messageSignature={**PLAIN, "messageDigest": {"algorithm": "SHA2_256", "digest": "AAAA"}},
    ),
}


@pytest.mark.parametrize("name", TWICE)
def test_a_bundle_of_which_readers_take_other_parts_is_none(name: str) -> None:
    assert sigstore_bundle(SUBJECT, TWICE[name]) is None
