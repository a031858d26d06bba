"""Whatever a stranger makes of a keyless signature: it never counts, and never raises."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundler.trust.cosign import Evidence, Promised, sigstore_bundle, simple_signing
from bundler.trust.keyless import Keyless, read_trusted_root
from bundler.trust.policy import Identity
from tests.builders import a_module
from tests.trust.authorities import ISSUER, WORKFLOW
from tests.trust.sigstores import StagedSigstore

MODULE, STAGE = a_module("1.0.0"), StagedSigstore()
SUBJECT = MODULE.parsed()[MODULE.tags["1.0.0"]]
ACCEPTED = f"{WORKFLOW} ({ISSUER})"


@pytest.fixture(scope="module")
def keyless() -> Keyless:
    """What is wanted."""
    root = json.dumps(STAGE.root_document()).encode()
    return Keyless(read_trusted_root("trusted_root.json", root), [Identity(WORKFLOW, ISSUER)])


BUNDLES = [STAGE.bundle(SUBJECT.blob.digest), STAGE.plain_bundle(SUBJECT.data)]
PAYLOAD, ANNOTATIONS = STAGE.simple(SUBJECT.blob.digest)
often = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def flipped(data: bytes, at: int, bit: int) -> bytes:
    """The same, but for one bit."""
    place = at % len(data)
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def unchanged(keyless: Keyless, found: Evidence | None, original: Evidence | None) -> bool:
    """Whether a signature does not count, or says what it said before."""
    if found is None or found.certified is None or original is None:
        return True
    checked = keyless.check(found)
    same = (found.signature, found.message) == (original.signature, original.message)
    return not checked.accepted or (same and checked.detail == ACCEPTED)


@pytest.mark.slow
@given(st.sampled_from(BUNDLES), st.integers(0, 1 << 20), st.integers(0, 7))
@often
def test_a_flipped_bit_of_a_bundle_never_counts_nor_raises(
    keyless: Keyless, data: bytes, at: int, bit: int
) -> None:
    found = sigstore_bundle(SUBJECT, flipped(data, at, bit))
    assert unchanged(keyless, found, sigstore_bundle(SUBJECT, data))


@pytest.mark.slow
@given(st.sampled_from(sorted(ANNOTATIONS)), st.integers(0, 1 << 20), st.integers(0, 7))
@often
def test_a_flipped_bit_of_an_annotation_never_counts_nor_raises(
    keyless: Keyless, name: str, at: int, bit: int
) -> None:
    text = flipped(ANNOTATIONS[name].encode(), at, bit).decode("latin-1")
    found = simple_signing(SUBJECT.blob.digest, PAYLOAD, {**ANNOTATIONS, name: text})
    assert unchanged(keyless, found, simple_signing(SUBJECT.blob.digest, PAYLOAD, ANNOTATIONS))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)
PATHS = [
    ("mediaType",), ("verificationMaterial",), ("verificationMaterial", "certificate"),
    ("verificationMaterial", "certificate", "rawBytes"), ("verificationMaterial", "tlogEntries"),
    *(("verificationMaterial", "tlogEntries", 0, name) for name in (
        "logIndex", "logId", "kindVersion", "integratedTime", "inclusionPromise", "inclusionProof",
        "canonicalizedBody",
    )),
]  # fmt: skip


@pytest.mark.slow
@given(st.sampled_from(BUNDLES), st.sampled_from(PATHS), json_values)
@often
def test_any_value_anywhere_in_a_bundle_never_counts_nor_raises(
    keyless: Keyless, data: bytes, path: tuple[str | int, ...], value: object
) -> None:
    document = json.loads(data)
    *above, last = path
    place = document
    for step in above:
        place = place[step]
    place[last] = value
    found = sigstore_bundle(SUBJECT, json.dumps(document).encode())
    assert found is None or found.certified is None or not keyless.check(found).accepted


@pytest.mark.slow
@given(st.text(max_size=200), json_values.map(json.dumps) | st.text(max_size=200))
@often
def test_no_annotation_does_harm(keyless: Keyless, certificate: str, promise: str) -> None:
    for certified in (
        Promised(certificate, promise),
        Promised(ANNOTATIONS["dev.sigstore.cosign/certificate"], promise),
        Promised("0" * (1 << 20), promise),
    ):
        assert not keyless.check(Evidence(b"0", PAYLOAD, certified)).accepted
