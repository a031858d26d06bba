"""Signatures as text: what ssh-keygen writes, and nothing else."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ContentError
from bundler.limits import DEFAULT_LIMITS
from bundler.trust.armor import NAMESPACE, armored, signatures_in
from tests.trust.keys import a_certificate, a_key, keygen


@pytest.fixture(scope="session")
def signed(alice: Path) -> bytes:
    """A signature's text."""
    return keygen().sign(alice, b"message").armored


def blob_of(text: bytes) -> bytes:
    return base64.b64decode(b"".join(text.splitlines()[1:-1]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_it_is_read_as_it_was_written(kind: str, tmp_path: Path) -> None:
    key = a_key(tmp_path, "key", kind=kind)
    made = keygen().sign(key, b"message")
    assert signatures_in(made.armored) == (made,)
    assert armored(blob_of(made.armored)) == made.armored
    assert (made.namespace, made.key) == (NAMESPACE, keygen().fingerprint(key))
    assert kind in made.kind


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_certificate_is_called_by_its_key_as_ssh_keygen_does(
    kind: str, tmp_path: Path, alice: Path
) -> None:
    key = a_key(tmp_path, "key", kind=kind)
    certificate = a_certificate(key, alice, "carol")
    made = keygen().sign(certificate, b"message")
    assert made.key == keygen().fingerprint(certificate) == keygen().fingerprint(key)
    assert made.certificate == keygen().certificate(certificate) != keygen().certificate(key) == ""


def test_several_stand_one_behind_the_other(alice: Path, bob: Path) -> None:
    made = tuple(keygen().sign(key, b"message") for key in (alice, bob))
    assert signatures_in(made[0].armored + made[1].armored) == made


def test_as_many_are_read_as_the_limit_says(signed: bytes) -> None:
    most = DEFAULT_LIMITS.signers
    assert len(signatures_in(signed * most)) == most
    with pytest.raises(ContentError, match="more than the limit of 16"):
        signatures_in(signed * (most + 1))


def test_it_may_be_as_large_as_the_limit_and_no_larger(signed: bytes) -> None:
    at = DEFAULT_LIMITS._replace(signatures=len(signed))
    assert signatures_in(signed, limits=at)
    with pytest.raises(ContentError, match="larger than the limit"):
        signatures_in(signed, limits=at._replace(signatures=len(signed) - 1))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: b"",
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: b"\n" + text,
        lambda text: text + b"\n",
        lambda text: text[:-1],
        lambda text: text.replace(b"SSH", b"PGP"),
        lambda text: b"hello\n",
        lambda text: text.replace(b"U1NIU0lH", b"U1NIU0lI"),
        lambda text: text.splitlines(keepends=True)[0] + text.splitlines(keepends=True)[-1],
        lambda text: text.replace(b"\n", b"\n\n", 1),
        lambda text: text.replace(b"\n", b"", 2).replace(b"-U", b"-\nU"),
        lambda text: armored(blob_of(text) + b"\0"),
        lambda text: armored(blob_of(text)[:-1]),
        lambda text: armored(blob_of(text).replace(b"timoni-bundler\0\0\0\0", b"timoni-bundler\0\0\0\1x")),
        lambda text: armored(blob_of(text)[:12]),
        lambda text: armored(blob_of(text).replace(b"sha512", b"sha999")),
        lambda text: armored(blob_of(text).replace(b"\0\0\0\6sha512", b"\0\0\0\4sha1")),
    ],
)  # fmt: skip
def test_anything_else_is_refused(spoil: object, signed: bytes) -> None:
    assert callable(spoil)
    assert spoil(signed) != signed
    with pytest.raises(ContentError):
        signatures_in(spoil(signed))


@given(st.binary(max_size=300))
def test_no_bytes_make_more_than_an_error(data: bytes) -> None:
    with pytest.raises(ContentError):
        signatures_in(armored(data))


def test_what_it_claims_can_be_printed(signed: bytes) -> None:
    hostile = armored(blob_of(signed).replace(b"timoni-bundler", b"\x1b[2Jni-bundler"))
    assert signatures_in(hostile)[0].namespace == ".[2Jni-bundler"
