"""Signatures by certificates, checked offline: with a trusted root that was given, and nothing else.

Fulcio's certificate chain and its log, the time of the signature, Rekor's proof or promise, and the
signature itself are checked by sigstore-python; whose signature is wanted, is decided here. What comes
from a registry is a stranger's: whatever the library makes of it, it counts or it does not. The only
module that knows `sigstore`.
"""

from __future__ import annotations

import base64
import json
import logging
import warnings
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from bundler.errors import UsageError, printable
from bundler.oci import strict_json
from bundler.trust.cosign import LARGEST, Bundled, Evidence, Promised, pae
from bundler.trust.policy import Identity

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier


_LONGEST = 300
"""Characters of a name that are told."""

_DEPTH = 8

_TRUSTED_ROOT = frozenset(
    {
        "mediaType", "tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities", "baseUrl",
        "hashAlgorithm", "publicKey", "rawBytes", "keyDetails", "validFor", "start", "end", "logId", "keyId",
        "checkpointKeyId", "subject", "organization", "commonName", "uri", "certChain", "certificates",
    }
)  # fmt: skip

_PROMISE = frozenset({"SignedEntryTimestamp", "Payload", "body", "integratedTime", "logIndex", "logID"})
"""The names of what cosign 2 keeps of a log's promise."""

_ENTRY = frozenset({"kind", "apiVersion", "spec"})


class CheckedSignature(NamedTuple):
    """The result of checking one signature."""

    accepted: bool
    detail: str
    """Who signed, and who vouched for that; or why it does not count."""


class Keyless:
    """A trusted root, and the identities that are wanted."""

    def __init__(self, verifier: Verifier, identities: Iterable[Identity]) -> None:
        self._verifier = verifier
        self._identities = tuple(identities)

    @property
    def descriptions(self) -> tuple[str, ...]:
        """Return the identities that are wanted, for people."""
        return tuple(map(str, self._identities))

    def check(self, evidence: Evidence) -> CheckedSignature:
        """Check whether one of the identities made a signature. Raises nothing, whatever is in it."""
        policy = _Wanted(self._identities)
        try:
            with warnings.catch_warnings():
                # Of certificates that are odd, cryptography warns on standard error.
                warnings.simplefilter("ignore")
                self._verify(evidence, policy)
        except Exception as error:  # a stranger's bytes, through four parsers: none of it counts
            return CheckedSignature(accepted=False, detail=policy.refusal or f"not valid: {printable(error)}")
        return CheckedSignature(accepted=policy.accepted is not None, detail=policy.accepted or "not valid")

    def _verify(self, evidence: Evidence, policy: _Wanted) -> None:
        if isinstance(evidence.certified, Promised):
            bundle = _promised(evidence.signature, evidence.certified)
            self._verifier.verify_artifact(evidence.message, bundle, policy)
        elif isinstance(evidence.certified, Bundled):
            self._verify_bundle(evidence, evidence.certified, policy)

    def _verify_bundle(self, evidence: Evidence, certified: Bundled, policy: _Wanted) -> None:
        from sigstore.models import Bundle

        bundle = Bundle.from_json(certified.data)
        if not certified.enveloped:
            self._verifier.verify_artifact(evidence.message, bundle, policy)
        elif pae(*self._verifier.verify_dsse(bundle, policy)) != evidence.message:
            raise ValueError("the signed statement is another")


def read_trusted_root(name: str, data: bytes) -> Verifier:
    """Return a verifier for what a `trusted_root.json` proves. Raises UsageError."""
    try:
        from sigstore.verify import Verifier
    except ImportError:
        cause = "keyless signatures need the library sigstore"
        raise UsageError(name, cause, "pip install 'timoni-bundler[sigstore]'") from None
    # Else its warnings would go to standard error: what matters in them is in the errors, too.
    logging.getLogger("sigstore").addHandler(logging.NullHandler())
    try:
        return Verifier(trusted_root=_trusted_root(data))
    except Exception as error:  # the file is wrong, and which of the library's parsers says so is its matter
        cause = f"not a trusted root of Sigstore: {printable(error)}"
        raise UsageError(name, cause, "create one with `cosign trusted-root create`") from None


def _trusted_root(data: bytes) -> TrustedRoot:
    """Make the root with the keys, which the library reads late, and leaves out if it can't."""
    from sigstore._internal.trust import KeyringPurpose
    from sigstore.models import TrustedRoot
    from sigstore_models.trustroot.v1 import TrustedRoot as Document

    document = strict_json.loads(data, item="JSON", depth=_DEPTH, names=_TRUSTED_ROOT)
    # Of no use here, but wanted by the library. cosign leaves them out, as protobuf does with what is empty.
    for log in (*document["tlogs"], *document["ctlogs"]):
        log.setdefault("baseUrl", "")
    for authority in (*document["certificateAuthorities"], *document.get("timestampAuthorities", ())):
        authority["subject"] = {"organization": "", "commonName": "", **authority.get("subject", {})}
    root = TrustedRoot(Document.from_json(json.dumps(document)))
    for keys in (root.ct_keyring(KeyringPurpose.VERIFY), root.rekor_keyring(KeyringPurpose.VERIFY)):
        if not keys._keyring:
            raise ValueError("a log without a key that can be read")
    root.get_timestamp_authorities()
    return root


class _Wanted:
    """The library's policy: called with a certificate whose chain is proven."""

    def __init__(self, identities: Iterable[Identity]) -> None:
        self._identities = identities
        self.accepted: str | None = None
        self.refusal: str | None = None

    def verify(self, cert: Certificate) -> None:
        """Raise the library's VerificationError for anybody else's."""
        from sigstore.errors import VerificationError

        name, issuer = _subject(cert), _issuer(cert)
        signer = f"{printable(name, _LONGEST)} ({printable(issuer, _LONGEST)})"
        if not any(fnmatchcase(name, who.identity) and issuer == who.issuer for who in self._identities):
            self.refusal = f"by {signer}"
            raise VerificationError(self.refusal)
        self.accepted = signer


def _subject(certificate: Certificate) -> str:
    """Return the one name that Fulcio certifies: a URL, an address, or a name of its own kind."""
    from cryptography.x509 import OtherName, SubjectAlternativeName

    (name,) = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    return _utf8_string(name.value) if isinstance(name, OtherName) else str(name.value)


def _issuer(certificate: Certificate) -> str:
    """Return who vouched for the name. Source: sigstore/fulcio, docs/oid-info.md."""
    from cryptography.x509 import ObjectIdentifier

    extensions = {extension.oid: extension.value for extension in certificate.extensions}
    if newer := extensions.get(ObjectIdentifier("1.3.6.1.4.1.57264.1.8")):
        return _utf8_string(newer.public_bytes())
    text: bytes = extensions[ObjectIdentifier("1.3.6.1.4.1.57264.1.1")].public_bytes()
    return text.decode()


def _utf8_string(der: bytes) -> str:
    """Return the text of a DER-encoded UTF8String."""
    from cryptography.hazmat import asn1

    text: str = asn1.decode_der(str, der)
    return text


# --- cosign 2 ----------------------------------------------------------------------------------------


def _promised(signature: bytes, certified: Promised) -> Bundle:
    """Return a bundle with the log's promise alone, which is all that cosign 2 keeps.

    The library insists on a proof of inclusion besides, in what it reads; so the entry is a kind of its
    own, in whose place the promise is verified. Were that ever not asked, what stands for the proof fails.
    """
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_pem_x509_certificate
    from sigstore.models import Bundle, TransparencyLogEntry
    from sigstore_models.bundle.v1 import Bundle as Document

    class LogEntry(TransparencyLogEntry):
        def _validate(self) -> None:
            """Accept it: there is no proof to be whole."""

        def _verify(self, keyring: Any) -> None:
            self._verify_set(keyring)

    class PromisedBundle(Bundle):
        def _verify(self) -> None:
            self._signing_certificate = certificate
            self._log_entry = LogEntry(self._inner.verification_material.tlog_entries[0])

    if len(certified.certificate) + len(certified.promise) > LARGEST:
        raise ValueError("its annotations are too large")
    certificate = load_pem_x509_certificate(certified.certificate.encode())
    der = certificate.public_bytes(Encoding.DER)
    material = {"certificate": {"rawBytes": _base64(der)}, "tlogEntries": [_entry(certified.promise)]}
    document = {
        "mediaType": Bundle.BundleType.BUNDLE_0_1.value,
        "verificationMaterial": material,
        "messageSignature": {"signature": _base64(signature)},
    }
    return PromisedBundle(Document.from_json(json.dumps(document)))


def _entry(promise: str) -> dict[str, Any]:
    """Return the log entry of a Sigstore bundle for cosign's annotation.

    Raises whatever a stranger's text deserves.
    """
    promised = strict_json.loads(promise.encode(), item="promise", depth=_DEPTH, names=_PROMISE)
    payload = promised["Payload"]
    entry = base64.b64decode(payload["body"])
    body = strict_json.loads(entry, item="entry", depth=_DEPTH, names=_ENTRY)
    return {
        "logIndex": str(payload["logIndex"]),
        "logId": {"keyId": _base64(bytes.fromhex(payload["logID"]))},
        "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
        "integratedTime": str(payload["integratedTime"]),
        "inclusionPromise": {"signedEntryTimestamp": promised["SignedEntryTimestamp"]},
        "inclusionProof": {"logIndex": "0", "treeSize": "1", "rootHash": "", "hashes": []},
        "canonicalizedBody": payload["body"],
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
