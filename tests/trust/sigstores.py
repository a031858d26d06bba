"""A Sigstore on a stage: an authority like Fulcio, a certificate log, a log like Rekor, and their root.

What it makes is what the real ones make (RFC 6962 for Merkle trees; C2SP tlog-checkpoint; protobuf-specs
for bundles and roots). `forged` in its terms names one thing that a thief made instead.
"""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from bundler.oci.digest import Digest
from tests.builders import SIGSTORE, Content, Document
from tests.trust.attached import (
    attach_by_referrer,
    attach_by_tag,
    envelope,
    simple_payload,
    statement,
    statement_message,
)
from tests.trust.authorities import SIGNED, USUAL, Key, Leaf, StagedAuthority, Terms, a_key, b64, signed, spki


class StagedSigstore:
    """All its parts, and the signatures that they make together."""

    def __init__(self) -> None:
        self._authority, self._log = StagedAuthority(), a_key()

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
        checked = signed(terms.maker("checkpoint", self._log), note.encode())
        path = sha256(b"forged").digest() if terms.forged == "proof" else other
        return {
            "logIndex": "41",
            "logId": {"keyId": b64(name)},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "integratedTime": str(time),
            "inclusionPromise": {"signedEntryTimestamp": b64(signed(terms.maker("set", self._log), message))},
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
        return signed(terms.maker("signature", leaf.key), message)

    def by_tag(self, content: Content, digest: Digest, terms: Terms = USUAL) -> None:
        """cosign 2: a layer under the tag of the digest."""
        attach_by_tag(content, digest, *self.simple(digest, terms))

    def simple(self, digest: str, terms: Terms = USUAL) -> tuple[bytes, dict[str, str]]:
        """Simple signing, and annotations with the certificate and the log's promise."""
        leaf, payload = self._authority.issue(terms), simple_payload(terms.about or digest)
        signature = self._signature(leaf, payload, terms)
        return payload, {
            "dev.cosignproject.cosign/signature": b64(signature),
            "dev.sigstore.cosign/certificate": leaf.pem.decode(),
            "dev.sigstore.cosign/chain": self._authority.certificate.public_bytes(Encoding.PEM).decode(),
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
        leaf, payload = self._authority.issue(terms), statement(terms.about or digest, terms.predicate)
        signature = self._signature(leaf, statement_message(payload), terms)
        envelope_ = envelope(payload, signature)
        return self._bundled(
            leaf, enveloped(envelope_, payload, signature, leaf), terms, dsseEnvelope=envelope_
        )

    def plain_bundle(self, message: bytes, terms: Terms = USUAL) -> bytes:
        """A Sigstore bundle around a signature of the manifest itself."""
        leaf = self._authority.issue(terms)
        signature = self._signature(leaf, message, terms)
        body = hashed(message, signature, leaf)
        hint = {"algorithm": "SHA2_256", "digest": b64(sha256(message).digest())}
        plain = {"messageDigest": hint, "signature": b64(signature)}
        return self._bundled(leaf, body, terms, messageSignature=plain)

    def _bundled(self, leaf: Leaf, body: Document, terms: Terms, **signature: Document) -> bytes:
        chain = [
            {"rawBytes": b64(one.public_bytes(Encoding.DER))}
            for one in (leaf.certificate, self._authority.certificate)
        ]
        older = {"x509CertificateChain": {"certificates": chain}}
        material: Document = {
            **(older if terms.media_type != SIGSTORE else {"certificate": chain[0]}),
            "tlogEntries": [self.logged(body, terms)],
        }
        document = {"mediaType": terms.media_type, "verificationMaterial": material, **signature}
        return json.dumps(document).encode()

    # --- what proves all that ---

    def trusted_root(self, path: Path) -> str:
        """The file `trusted_root.json`."""
        path.write_text(json.dumps(self.root_document()))
        return str(path)

    def root_document(self) -> Document:
        """What stands in it."""
        since = {"start": (SIGNED - timedelta(days=100)).isoformat().replace("+00:00", "Z")}
        authority = {
            "subject": {"organization": "staged", "commonName": "staged"},
            "uri": "https://fulcio.invalid",
            "certChain": {
                "certificates": [{"rawBytes": b64(self._authority.certificate.public_bytes(Encoding.DER))}]
            },
            "validFor": since,
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_log(self._log, since)],
            "certificateAuthorities": [authority],
            "ctlogs": [_log(self._authority.log, since)],
            "timestampAuthorities": [],
        }


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
