"""A certificate authority like Fulcio on a stage, and the log of what it issues.

Its certificates are as the real one's (sigstore/fulcio, docs/oid-info.md; RFC 6962).
"""

from __future__ import annotations

import base64
import struct
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from tests.builders import SIGSTORE
from tests.trust.attached import PREDICATE

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

    def maker(self, what: Forged, right: Key) -> Key:
        """Whose key makes a part: the right one, or a thief's."""
        return a_key() if self.forged == what else right


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


class StagedAuthority:
    """Issues certificates that are good for ten minutes."""

    def __init__(self) -> None:
        self._key, self.log = a_key(), a_key()
        self.certificate = self._own()

    def _own(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "staged")])
        public = self._key.public_key()
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
            .sign(self._key, SHA256())
        )

    def issue(self, terms: Terms) -> Leaf:
        """A certificate of an identity, logged."""
        key, authority = a_key(), terms.maker("authority", self._key)
        older, newer = map(ObjectIdentifier, _ISSUER_OIDS)
        public = self._key.public_key()
        name = (
            x509.UniformResourceIdentifier if "://" in terms.identity else x509.RFC822Name
        )(terms.identity)  # fmt: skip
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.certificate.subject)
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
        stamps = self._logged(tbs, terms.maker("sct", self.log))
        builder = builder.add_extension(x509.UnrecognizedExtension(_SCT_LIST, stamps), critical=False)
        return Leaf(key, builder.sign(authority, SHA256()))

    def _logged(self, tbs: bytes, log: Key) -> bytes:
        """The list of one signed time stamp, by RFC 6962, 3.2 and 3.3."""
        time = int(SIGNED.timestamp()) * 1000
        issuer = sha256(spki(self._key)).digest()
        entry = issuer + len(tbs).to_bytes(3, "big") + tbs
        signature = signed(log, struct.pack("!BBQH", 0, 0, time, 1) + entry + b"\0\0")
        stamp = struct.pack("!B32sQH", 0, sha256(spki(self.log)).digest(), time, 0)
        stamp += struct.pack("!BBH", 4, 3, len(signature)) + signature
        sized = struct.pack("!H", len(stamp)) + stamp
        return asn1.encode_der(struct.pack("!H", len(sized)) + sized)


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
