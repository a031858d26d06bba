"""OpenSSH signatures as text: `statement.sig` cut into single ones, and what each says of itself. No I/O.

Only what `ssh-keygen -Y sign` writes passes, byte for byte. Nothing here proves anything: the key and
the namespace are what the signature claims, until ssh-keygen has verified it.
Source: OpenSSH, PROTOCOL.sshsig.
"""

from __future__ import annotations

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
_COLUMNS = 70


class Signature(NamedTuple):
    """One signature, and what it claims."""

    armored: bytes
    kind: str
    """The key's type: `ssh-ed25519`."""
    key: str
    """The key's fingerprint: `SHA256:...`."""
    namespace: str


def signatures_in(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> tuple[Signature, ...]:
    """The signatures, one behind the other. Raises ContentError for anything else."""
    if len(data) > limits.signatures:
        raise ContentError(SIGNATURE_FILE, f"larger than the limit of {limits.signatures:,} bytes")
    found: list[Signature] = []
    start = 0
    while start < len(data):
        if len(found) == limits.signers:
            raise ContentError(SIGNATURE_FILE, f"more than the limit of {limits.signers} signatures")
        match = _ARMORED.match(data, start)
        if match is None:
            raise ContentError(SIGNATURE_FILE, "not OpenSSH signatures as ssh-keygen writes them")
        found.append(_signature(match))
        start = match.end()
    if not found:
        raise ContentError(SIGNATURE_FILE, "it holds no signature")
    return tuple(found)


def armored(blob: bytes) -> bytes:
    """A signature's text, as ssh-keygen spells it."""
    text = base64.b64encode(blob)
    lines = [text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS)]
    return b"\n".join((b"-----BEGIN SSH SIGNATURE-----", *lines, b"-----END SSH SIGNATURE-----", b""))


def _signature(match: re.Match[bytes]) -> Signature:
    try:
        blob = base64.b64decode(match[1].replace(b"\n", b""), validate=True)
        key, namespace = _claims(blob)
        kind, _ = _string(key)
    except (binascii.Error, ValueError) as error:
        raise ContentError(SIGNATURE_FILE, f"not an OpenSSH signature: {error}") from None
    if armored(blob) != match[0]:
        raise ContentError(SIGNATURE_FILE, "a signature that is not spelled as ssh-keygen spells it")
    fingerprint = base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
    return Signature(match[0], _text(kind), f"SHA256:{fingerprint}", _text(namespace))


def _claims(blob: bytes) -> tuple[bytes, bytes]:
    """The public key and the namespace. Raises ValueError unless the blob is whole and nothing more."""
    if not blob.startswith(_MAGIC):
        raise ValueError("not version 1")
    key, rest = _string(blob[len(_MAGIC) :])
    namespace, rest = _string(rest)
    # ssh-keygen skips the reserved field: with content, one signature could be spelled in many ways.
    reserved, rest = _string(rest)
    _, rest = _string(rest)
    _, rest = _string(rest)
    if reserved or rest:
        raise ValueError("it holds more than a signature")
    return key, namespace


def _string(data: bytes) -> tuple[bytes, bytes]:
    """A string as SSH writes it, and what follows."""
    end = 4 + int.from_bytes(data[:4], "big")
    if len(data) < 4 or len(data) < end:
        raise ValueError("it ends too early")
    return data[4:end], data[end:]


def _text(data: bytes) -> str:
    return printable(data.decode("utf-8", "replace"), 60)
