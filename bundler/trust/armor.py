"""OpenSSH signatures as text: `statement.sig` cut into single ones, and what each says of itself. No I/O.

Only what `ssh-keygen -Y sign` writes passes, byte for byte. Nothing here proves anything: the key and
the namespace are what the signature claims, until ssh-keygen has verified it.
Source: OpenSSH, PROTOCOL.sshsig.
"""

import base64
import binascii
import hashlib
import re
from typing import NamedTuple

from bundler.errors import ContentError, printable
from bundler.limits import DEFAULT_LIMITS, Limits

SIGNATURE_FILE = "statement.sig"

NAMESPACE = "timoni-bundler"

_ARMORED = re.compile(rb"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)\n-----END SSH SIGNATURE-----\n")

_MAGIC = b"SSHSIG\0\0\0\1"

_CERTIFICATE = b"-cert-v01@openssh.com"

# What of a certificate is its key: the key's own kind, and the fields that it has behind the nonce.
# Source: OpenSSH, PROTOCOL.certkeys, PROTOCOL.u2f.
_CERTIFIED = {
    b"ssh-ed25519": (b"ssh-ed25519", 1),
    b"ssh-rsa": (b"ssh-rsa", 2),
    b"ecdsa-sha2-nistp256": (b"ecdsa-sha2-nistp256", 2),
    b"ecdsa-sha2-nistp384": (b"ecdsa-sha2-nistp384", 2),
    b"ecdsa-sha2-nistp521": (b"ecdsa-sha2-nistp521", 2),
    b"sk-ssh-ed25519": (b"sk-ssh-ed25519@openssh.com", 2),
    b"sk-ecdsa-sha2-nistp256": (b"sk-ecdsa-sha2-nistp256@openssh.com", 3),
}

_HASHES = (b"sha256", b"sha512")

_COLUMNS = 70


class Signature(NamedTuple):
    """One signature, and what it claims."""

    armored: bytes
    kind: str
    """The key's type: `ssh-ed25519`."""
    key: str
    """The key's fingerprint, as `ssh-keygen -l` has it: `SHA256:...`. A certificate has that of its key."""
    namespace: str
    certificate: str = ""
    """The fingerprint of the whole certificate; empty for a key without one."""


def signatures_in(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> tuple[Signature, ...]:
    """Return the signatures, one behind the other. Raises ContentError for anything else."""
    if len(data) > limits.signatures:
        raise ContentError(SIGNATURE_FILE, f"larger than the limit of {limits.signatures:,} bytes")
    signatures: list[Signature] = []
    start = 0
    while start < len(data):
        if len(signatures) == limits.signers:
            raise ContentError(SIGNATURE_FILE, f"more than the limit of {limits.signers} signatures")
        match = _ARMORED.match(data, start)
        if match is None:
            raise ContentError(SIGNATURE_FILE, "not OpenSSH signatures as ssh-keygen writes them")
        signatures.append(_signature(match))
        start = match.end()
    if not signatures:
        raise ContentError(SIGNATURE_FILE, "it has no signature")
    return tuple(signatures)


def armored(blob: bytes) -> bytes:
    """Return a signature's text, as ssh-keygen spells it."""
    text = base64.b64encode(blob)
    lines = [text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS)]
    return b"\n".join((b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----", b""))


def _signature(match: re.Match[bytes]) -> Signature:
    try:
        blob = base64.b64decode(match[1].replace(b"\n", b""), validate=True)
        key, namespace = _claims(blob)
        kind, _ = _string(key)
        bare = _bare(key)
    except (binascii.Error, ValueError) as error:
        raise ContentError(SIGNATURE_FILE, f"not an OpenSSH signature: {error}") from None
    if armored(blob) != match[0]:
        raise ContentError(SIGNATURE_FILE, "a signature that is not in the exact form of ssh-keygen")
    certificate = "" if bare == key else _fingerprint(key)
    return Signature(match[0], _text(kind), _fingerprint(bare), _text(namespace), certificate)


def certificate_in(text: bytes) -> str:
    """Return the fingerprint of the whole certificate in a file of a public key; empty if it has none."""
    kind, _, rest = text.partition(b" ")
    if not kind.endswith(_CERTIFICATE):
        return ""
    try:
        return _fingerprint(base64.b64decode(rest.split()[0], validate=True))
    except (binascii.Error, IndexError):
        return ""


def _fingerprint(key: bytes) -> str:
    return f"SHA256:{base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip('=')}"


def _bare(key: bytes) -> bytes:
    """Return the key alone, of a certificate too: one key is one signer, whatever was certified of it."""
    kind, rest = _string(key)
    if not kind.endswith(_CERTIFICATE):
        return key
    if kind.removesuffix(_CERTIFICATE) not in _CERTIFIED:
        raise ValueError("a certificate of a kind that is not known")
    kind_of_key, count = _CERTIFIED[kind.removesuffix(_CERTIFICATE)]
    _, rest = _string(rest)
    start = rest
    for _ in range(count):
        _, rest = _string(rest)
    return len(kind_of_key).to_bytes(4, "big") + kind_of_key + start[: len(start) - len(rest)]


def _claims(blob: bytes) -> tuple[bytes, bytes]:
    """Read the public key and the namespace. Raises ValueError unless the blob is whole and nothing more."""
    if not blob.startswith(_MAGIC):
        raise ValueError("not version 1")
    key, rest = _string(blob[len(_MAGIC) :])
    namespace, rest = _string(rest)
    # ssh-keygen skips the reserved field: with content, one signature could be spelled in many ways.
    reserved, rest = _string(rest)
    hash_name, rest = _string(rest)
    _, rest = _string(rest)
    if reserved or rest:
        raise ValueError("it holds more than a signature")
    if hash_name not in _HASHES:
        raise ValueError("its hash is neither sha256 nor sha512")
    return key, namespace


def _string(data: bytes) -> tuple[bytes, bytes]:
    """Read a string as SSH writes it, and what follows."""
    end = 4 + int.from_bytes(data[:4], "big")
    if len(data) < 4 or len(data) < end:
        raise ValueError("it ends too early")
    return data[4:end], data[end:]


def _text(data: bytes) -> str:
    return printable(data.decode("utf-8", "replace"), 60)
