"""cosign's signatures on modules, as they stand in a registry, and public keys to check them with.

Two forms: a layer of simple signing under the tag `sha256-<hex>.sig` (sigstore/cosign,
specs/SIGNATURE_SPEC.md), and a Sigstore bundle as a referrer (sigstore/protobuf-specs, bundle v0.3) with
a DSSE envelope (secure-systems-lab/dsse, protocol.md) around an in-toto statement. A signature counts
only if it is about the very digest of the manifest, and says of itself that it is a signature: what the
same key signed for another purpose is none. Keys need no network and no log; what a certificate signed is
left to `bundler.trust.keyless`.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from bundler.errors import ContentError, UsageError
from bundler.oci import Digest, Manifest, strict_json

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"

SIGSTORE_BUNDLE = "application/vnd.dev.sigstore.bundle"

SIGNATURE = "dev.cosignproject.cosign/signature"

CERTIFICATE = "dev.sigstore.cosign/certificate"

PROMISE = "dev.sigstore.cosign/bundle"

SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"

_SIMPLE = "cosign container image signature"
"""What a payload of simple signing says it is."""

_IN_TOTO = "application/vnd.in-toto+json"

_STATEMENT_TYPES = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")

LARGEST = 1 << 20
"""Bytes of a payload or bundle that is read."""

_DEPTH = 32

_PAYLOAD = frozenset(
    {"critical", "identity", "docker-reference", "image", "docker-manifest-digest", "type", "optional"}
)
"""The names of simple signing. Source: containers/image, containers-signature(5)."""

_BUNDLE = frozenset(
    {
        "mediaType", "verificationMaterial", "publicKey", "hint", "certificate", "rawBytes",
        "x509CertificateChain", "certificates", "tlogEntries", "logIndex", "logId", "kindVersion", "kind",
        "version", "integratedTime", "inclusionPromise", "signedEntryTimestamp", "inclusionProof", "rootHash",
        "treeSize", "hashes", "checkpoint", "envelope", "canonicalizedBody", "timestampVerificationData",
        "rfc3161Timestamps", "signedTimestamp", "messageSignature", "messageDigest", "algorithm", "digest",
        "signature", "dsseEnvelope", "payload", "payloadType", "signatures", "sig",
    }
)  # fmt: skip
"""The names of a Sigstore bundle, apart from `keyId` of a log and `keyid` of an envelope."""

_STATEMENT = frozenset({"_type", "subject", "name", "digest", "predicateType", "predicate"})
"""The names of an in-toto statement."""


class Key(NamedTuple):
    """A public key, and the file that it came from."""

    name: str
    public: Any

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Return True if the key made this signature of these bytes."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            if isinstance(self.public, ec.EllipticCurvePublicKey):
                self.public.verify(signature, message, ec.ECDSA(SHA256()))
            else:
                self.public.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def read_key(name: str, data: bytes) -> Key:
    """Read a `cosign.pub`: PEM of an ECDSA P-256 or Ed25519 key. Raises UsageError."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        cause = "cosign's signatures need the library cryptography"
        raise UsageError(name, cause, "pip install 'timoni-bundler[cosign]'") from None
    try:
        public = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(name, "not a public key in PEM", "name the .pub file of the key pair") from None
    p256 = isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == "secp256r1"
    if not (p256 or isinstance(public, ed25519.Ed25519PublicKey)):
        raise UsageError(name, "not an ECDSA P-256 or Ed25519 key", "use a key that cosign made")
    return Key(name, public)


class Promised(NamedTuple):
    """The annotations of a layer that cosign 2 keeps beside a certificate's signature."""

    certificate: str
    """PEM."""
    promise: str
    """JSON: the log's entry, and its word that it took it."""


class Bundled(NamedTuple):
    """The Sigstore bundle that cosign 3 keeps of a certificate's signature."""

    data: bytes
    enveloped: bool
    """True if the signature is that of a DSSE envelope."""


class Evidence(NamedTuple):
    """One signature as it stands in the registry: a signature over a message."""

    signature: bytes
    message: bytes
    certified: Promised | Bundled | None = None
    """The proof of a keyless signature."""


def simple_signing(digest: Digest, payload: bytes, annotations: Mapping[str, str]) -> Evidence | None:
    """Read a layer of a cosign 2 signature; None if it is about another manifest, or can't be read."""
    document = _document(payload, _PAYLOAD)
    critical = _object(document.get("critical"))
    if critical.get("type") != _SIMPLE:
        return None
    if _object(critical.get("image")).get("docker-manifest-digest") != digest:
        return None
    certificate, promise = annotations.get(CERTIFICATE, ""), annotations.get(PROMISE, "")
    certified = Promised(certificate, promise) if certificate else None
    signature = _decoded(annotations.get(SIGNATURE))
    return Evidence(signature, payload, certified) if signature else None


def sigstore_bundle(subject: Manifest, data: bytes) -> Evidence | None:
    """Read a Sigstore bundle; None if it is no signature of this manifest, or can't be read in one way."""
    document = _document(data, _BUNDLE)
    material = _object(document.get("verificationMaterial"))
    if not str(document.get("mediaType")).startswith(SIGSTORE_BUNDLE):
        return None
    if _count(document, _SIGNED) != 1 or _count(material, _PROVEN) != 1:
        return None
    enveloped = document.get("dsseEnvelope") is not None
    evidence = (
        _enveloped(subject, _object(document["dsseEnvelope"]))
        if enveloped
        else _plain(subject, _object(document["messageSignature"]))
    )
    if evidence and material.get("publicKey") is None:
        return evidence._replace(certified=Bundled(data, enveloped))
    return evidence


_SIGNED = ("dsseEnvelope", "messageSignature")

_PROVEN = ("publicKey", "certificate", "x509CertificateChain")


def _count(fields: Mapping[str, Any], alternatives: Iterable[str]) -> int:
    """Return how many of these fields there are; of two, each reader would take another."""
    return sum(fields.get(name) is not None for name in alternatives)


def _plain(subject: Manifest, signed: Mapping[str, Any]) -> Evidence | None:
    """Return the signature of the manifest itself, unless it says that it is of other bytes."""
    stated = _object(signed.get("messageDigest"))
    if stated and _decoded(stated.get("digest")) != hashlib.sha256(subject.data).digest():
        return None
    signature = _decoded(signed.get("signature"))
    return Evidence(signature, subject.data) if signature else None


def _enveloped(subject: Manifest, envelope: Mapping[str, Any]) -> Evidence | None:
    """Return the signature of a DSSE envelope, if its statement is that this manifest was signed."""
    payload, signatures = _decoded(envelope.get("payload")), envelope.get("signatures")
    if envelope.get("payloadType") != _IN_TOTO or not isinstance(signatures, list) or len(signatures) != 1:
        return None
    statement = _document(payload, _STATEMENT)
    if statement.get("_type") not in _STATEMENT_TYPES or statement.get("predicateType") != SIGN_PREDICATE:
        return None
    if not any(_names(named, subject.blob.digest) for named in _list(statement.get("subject"))):
        return None
    signature = _decoded(_object(signatures[0]).get("sig"))
    return Evidence(signature, pae(_IN_TOTO, payload)) if signature else None


def _names(subject: object, digest: Digest) -> bool:
    return _object(_object(subject).get("digest")).get(digest.algorithm) == digest.encoded


def pae(kind: str, payload: bytes) -> bytes:
    """Return the bytes that a DSSE signature signs. Source: dsse, protocol.md, "Signature Definition"."""
    encoded = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(encoded), encoded, len(payload), payload)


def _document(data: bytes, names: frozenset[str]) -> Mapping[str, Any]:
    """Return an object; an empty one for what can't be read, or can be read in two ways."""
    try:
        return _object(strict_json.loads(data, item="signature", depth=_DEPTH, names=names))
    except ContentError:
        return {}


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Iterator[object]:
    return iter(value) if isinstance(value, list) else iter(())


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""
