"""A Sigstore on a stage: an authority like Fulcio, a certificate log, a log like Rekor, and their root.

What it makes is what the real ones make (sigstore/fulcio, docs/oid-info.md; RFC 6962 for logged
certificates and Merkle trees; C2SP tlog-checkpoint). `forged` names one thing that a thief made instead.
"""

from __future__ import annotations

import base64
import json
import struct
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from bundler.oci.content import Digest
from tests.builders import SIGSTORE, Content, Document
from tests.trust.attached import (
    PREDICATE,
    attach_by_referrer,
    attach_by_tag,
    envelope,
    simple_payload,
    statement,
    statement_message,
)

WORKFLOW = "https://github.com/team/app/.github/workflows/release.yml@refs/tags/v1.0.0"
ISSUER = "https://token.actions.githubusercontent.com"
SIGNED = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
_ISSUER_OIDS = ("1.3.6.1.4.1.57264.1.1", "1.3.6.1.4.1.57264.1.8")
_SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")

Forged = Literal["", "authority", "sct", "set", "checkpoint", "proof", "signature"]
Key = ec.EllipticCurvePrivateKey


class Terms(NamedTuple):
    """What a signature is to be."""

    identity: str = WORKFLOW
    issuer: str = ISSUER
    about: str = ""
    """Another digest than that of the manifest."""
    predicate: str = PREDICATE
    logged: timedelta = timedelta(minutes=1)
    """After the certificate was issued, which is good for ten minutes."""
    forged: Forged = ""
    media_type: str = SIGSTORE
    """Of a bundle; older ones have the authority's certificate, too."""


USUAL = Terms()


def a_key() -> Key:
    """A new key pair."""
    return ec.generate_private_key(ec.SECP256R1())


def signed(key: Key, message: bytes) -> bytes:
    """A signature."""
    return key.sign(message, ec.ECDSA(SHA256()))


def spki(key: Key) -> bytes:
    """The public key, as logs are named after it."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def b64(data: bytes) -> str:
    """Base64."""
    return base64.b64encode(data).decode()


class Leaf(NamedTuple):
    """A short-lived certificate, and its key."""

    key: Key
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)


class StagedSigstore:
    """Keys of all its parts, and the signatures that they make together."""

    def __init__(self) -> None:
        self._authority, self._certificates, self._log, self._thief = a_key(), a_key(), a_key(), a_key()
        self._root = self._authority_certificate()

    def _maker(self, what: Forged, terms: Terms, right: Key) -> Key:
        return self._thief if terms.forged == what else right

    # --- the authority, and the log of what it issues ---

    def _authority_certificate(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "staged")])
        public = self._authority.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(public)
            .serial_number(1)
            .not_valid_before(SIGNED - timedelta(days=100))
            .not_valid_after(SIGNED + timedelta(days=3000))
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self._authority, SHA256())
        )

    def issue(self, terms: Terms) -> Leaf:
        """A certificate of an identity, logged."""
        key, authority = a_key(), self._maker("authority", terms, self._authority)
        older, newer = map(ObjectIdentifier, _ISSUER_OIDS)
        public = self._authority.public_key()
        name = (
            x509.UniformResourceIdentifier if "://" in terms.identity else x509.RFC822Name
        )(terms.identity)  # fmt: skip
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._root.subject)
            .public_key(key.public_key())
            .serial_number(7)
            .not_valid_before(SIGNED)
            .not_valid_after(SIGNED + timedelta(minutes=10))
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(x509.UnrecognizedExtension(older, terms.issuer.encode()), critical=False)
            .add_extension(x509.UnrecognizedExtension(newer, asn1.encode_der(terms.issuer)), critical=False)
        )
        tbs = builder.sign(authority, SHA256()).tbs_certificate_bytes
        stamps = self._logged_certificate(tbs, self._maker("sct", terms, self._certificates))
        builder = builder.add_extension(x509.UnrecognizedExtension(_SCT_LIST, stamps), critical=False)
        return Leaf(key, builder.sign(authority, SHA256()))

    def _logged_certificate(self, tbs: bytes, log: Key) -> bytes:
        """The list of one signed time stamp, by RFC 6962, 3.2 and 3.3."""
        time = int(SIGNED.timestamp()) * 1000
        issuer = sha256(spki(self._authority)).digest()
        entry = issuer + len(tbs).to_bytes(3, "big") + tbs
        signature = signed(log, struct.pack("!BBQH", 0, 0, time, 1) + entry + b"\0\0")
        stamp = struct.pack("!B32sQH", 0, sha256(spki(self._certificates)).digest(), time, 0)
        stamp += struct.pack("!BBH", 4, 3, len(signature)) + signature
        sized = struct.pack("!H", len(stamp)) + stamp
        return asn1.encode_der(struct.pack("!H", len(sized)) + sized)

    # --- the log of signatures ---

    def logged(self, body: Document, terms: Terms) -> Document:
        """An entry, as a Sigstore bundle has it: promise, and proof in a tree of two."""
        data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
        time = int((SIGNED + terms.logged).timestamp())
        name = sha256(spki(self._log)).digest()
        promise = {"body": b64(data), "integratedTime": time, "logID": name.hex(), "logIndex": 41}
        message = json.dumps(promise, sort_keys=True, separators=(",", ":")).encode()
        other = sha256(b"\0other").digest()
        root = sha256(b"\1" + other + sha256(b"\0" + data).digest()).digest()
        note = f"staged.example - 1\n2\n{b64(root)}\n"
        checked = signed(self._maker("checkpoint", terms, self._log), note.encode())
        path = sha256(b"forged").digest() if terms.forged == "proof" else other
        return {
            "logIndex": "41",
            "logId": {"keyId": b64(name)},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "integratedTime": str(time),
            "inclusionPromise": {
                "signedEntryTimestamp": b64(signed(self._maker("set", terms, self._log), message))
            },
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": b64(root),
                "treeSize": "2",
                "hashes": [b64(path)],
                "checkpoint": {"envelope": f"{note}\n\u2014 staged.example {b64(name[:4] + checked)}\n"},
            },
            "canonicalizedBody": b64(data),
        }

    # --- signatures ---

    def _signature(self, leaf: Leaf, message: bytes, terms: Terms) -> bytes:
        return signed(self._maker("signature", terms, leaf.key), message)

    def by_tag(self, content: Content, digest: Digest, terms: Terms = USUAL) -> None:
        """cosign 2: a layer under the tag of the digest."""
        attach_by_tag(content, digest, *self.simple(digest, terms))

    def simple(self, digest: str, terms: Terms = USUAL) -> tuple[bytes, dict[str, str]]:
        """Simple signing, and annotations with the certificate and the log's promise."""
        leaf, payload = self.issue(terms), simple_payload(terms.about or digest)
        signature = self._signature(leaf, payload, terms)
        return payload, {
            "dev.cosignproject.cosign/signature": b64(signature),
            "dev.sigstore.cosign/certificate": leaf.pem.decode(),
            "dev.sigstore.cosign/chain": self._root.public_bytes(Encoding.PEM).decode(),
            "dev.sigstore.cosign/bundle": self.promise(hashed(payload, signature, leaf), terms),
        }

    def promise(self, body: Document, terms: Terms) -> str:
        """The annotation that cosign 2 makes of an entry."""
        entry = self.logged(body, terms)
        payload = {
            "body": entry["canonicalizedBody"],
            "integratedTime": int(entry["integratedTime"]),
            "logIndex": int(entry["logIndex"]),
            "logID": base64.b64decode(entry["logId"]["keyId"]).hex(),
        }
        return json.dumps(
            {"SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"], "Payload": payload}
        )

    def by_referrer(self, content: Content, digest: Digest, terms: Terms = USUAL) -> None:
        """cosign 3: a Sigstore bundle with a DSSE envelope."""
        attach_by_referrer(content, digest, self.bundle(digest, terms))

    def bundle(self, digest: str, terms: Terms = USUAL) -> bytes:
        """A Sigstore bundle around a statement."""
        leaf, payload = self.issue(terms), statement(terms.about or digest, terms.predicate)
        signature = self._signature(leaf, statement_message(payload), terms)
        envelope_ = envelope(payload, signature)
        return self._bundled(
            leaf, enveloped(envelope_, payload, signature, leaf), terms, dsseEnvelope=envelope_
        )

    def plain_bundle(self, message: bytes, terms: Terms = USUAL) -> bytes:
        """A Sigstore bundle around a signature of the manifest itself."""
        leaf = self.issue(terms)
        signature = self._signature(leaf, message, terms)
        body = hashed(message, signature, leaf)
        hint = {"algorithm": "SHA2_256", "digest": b64(sha256(message).digest())}
        plain = {"messageDigest": hint, "signature": b64(signature)}
        return self._bundled(leaf, body, terms, messageSignature=plain)

    def _bundled(self, leaf: Leaf, body: Document, terms: Terms, **signature: Document) -> bytes:
        chain = [{"rawBytes": b64(one.public_bytes(Encoding.DER))} for one in (leaf.certificate, self._root)]
        older = {"x509CertificateChain": {"certificates": chain}}
        material: Document = {
            **(older if terms.media_type != SIGSTORE else {"certificate": chain[0]}),
            "tlogEntries": [self.logged(body, terms)],
        }
        document = {"mediaType": terms.media_type, "verificationMaterial": material, **signature}
        return json.dumps(document).encode()

    # --- what proves all that ---

    def trusted_root(self, path: Path) -> str:
        """`trusted_root.json`."""
        since = {"start": (SIGNED - timedelta(days=100)).isoformat().replace("+00:00", "Z")}
        authority = {
            "subject": {"organization": "staged", "commonName": "staged"},
            "uri": "https://fulcio.invalid",
            "certChain": {"certificates": [{"rawBytes": b64(self._root.public_bytes(Encoding.DER))}]},
            "validFor": since,
        }
        document = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_log(self._log, since)],
            "certificateAuthorities": [authority],
            "ctlogs": [_log(self._certificates, since)],
            "timestampAuthorities": [],
        }
        path.write_text(json.dumps(document))
        return str(path)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _log(key: Key, since: Document) -> Document:
    public = {"rawBytes": b64(spki(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": since}
    name = {"keyId": b64(sha256(spki(key)).digest())}
    return {"baseUrl": "https://log.invalid", "hashAlgorithm": "SHA2_256", "publicKey": public, "logId": name}


def hashed(message: bytes, signature: bytes, leaf: Leaf) -> Document:
    """What Rekor logs of a signature of bytes."""
    data = {"hash": {"algorithm": "sha256", "value": sha256(message).hexdigest()}}
    made = {"content": b64(signature), "publicKey": {"content": b64(leaf.pem)}}
    return {"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {"data": data, "signature": made}}


def enveloped(envelope_: Document, payload: bytes, signature: bytes, leaf: Leaf) -> Document:
    """What Rekor logs of an envelope."""
    spec = {
        "envelopeHash": {"algorithm": "sha256", "value": sha256(json.dumps(envelope_).encode()).hexdigest()},
        "payloadHash": {"algorithm": "sha256", "value": sha256(payload).hexdigest()},
        "signatures": [{"signature": b64(signature), "verifier": b64(leaf.pem)}],
    }
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}
