"""Keyless signatures: what a given trusted root proves of them, and nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundler.errors import UsageError
from bundler.oci.manifest import Manifest
from bundler.trust.cosign import Evidence, Promised, sigstore_bundle, simple_signing
from bundler.trust.keyless import Checked, Keyless, read_trusted_root
from bundler.trust.policy import Identity, is_narrow
from tests.builders import a_module
from tests.trust.sigstores import ISSUER, USUAL, WORKFLOW, Forged, StagedSigstore, Terms

MODULE = a_module("1.0.0")
SUBJECT = MODULE.parsed()[MODULE.tags["1.0.0"]]
ACCEPTED = f"{WORKFLOW} ({ISSUER})"
WANTED = Identity("https://github.com/team/app/*", ISSUER)


def by_tag(stage: StagedSigstore, subject: Manifest, terms: Terms) -> Evidence | None:
    return simple_signing(subject.blob.digest, *stage.simple(subject.blob.digest, terms))


def by_referrer(stage: StagedSigstore, subject: Manifest, terms: Terms) -> Evidence | None:
    return sigstore_bundle(subject, stage.bundle(subject.blob.digest, terms))


def by_plain_referrer(stage: StagedSigstore, subject: Manifest, terms: Terms) -> Evidence | None:
    return sigstore_bundle(subject, stage.plain_bundle(subject.data, terms))


Form = Callable[[StagedSigstore, Manifest, Terms], Evidence | None]
FORMS: tuple[Form, ...] = (by_tag, by_referrer, by_plain_referrer)
STAGE = StagedSigstore()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The staged Sigstore's root."""
    return STAGE.trusted_root(tmp_path_factory.mktemp("root") / "trusted_root.json")


@pytest.fixture(scope="module")
def keyless(root: str) -> Keyless:
    """What is wanted, with it."""
    return Keyless(read_trusted_root(root), [WANTED])


def check(keyless: Keyless, evidence: Evidence | None) -> Checked:
    """What becomes of a signature that is about the manifest, and by a certificate."""
    assert evidence is not None
    assert evidence.certified is not None
    return keyless.check(evidence)


# --- what counts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_signature_by_a_wanted_identity_counts_and_is_told(form: Form, keyless: Keyless) -> None:
    assert check(keyless, form(STAGE, SUBJECT, USUAL)) == Checked(True, ACCEPTED)


@pytest.mark.parametrize("form", FORMS)
def test_one_of_several_identities_is_enough(form: Form, root: str) -> None:
    wanted = [Identity("dev@example.org", "https://accounts.example.org"), WANTED]
    for terms in (USUAL, Terms(identity=wanted[0].identity, issuer=wanted[0].issuer)):
        assert check(Keyless(read_trusted_root(root), wanted), form(STAGE, SUBJECT, terms)).accepted


def test_an_older_bundle_with_its_chain_counts(keyless: Keyless) -> None:
    terms = Terms(media_type="application/vnd.dev.sigstore.bundle+json;version=0.2")
    assert check(keyless, by_referrer(STAGE, SUBJECT, terms)) == Checked(True, ACCEPTED)


# --- what does not -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "wanted",
    [
        Identity("https://github.com/other/app/*", ISSUER),
        Identity(WORKFLOW.upper(), ISSUER),
        Identity(f"{WORKFLOW}1", ISSUER),
        Identity(WORKFLOW, "https://token.actions.githubusercontent.com/other"),
        Identity(WORKFLOW, "*"),
    ],
    ids=str,
)
def test_another_identity_or_issuer_does_not_count_and_is_named(
    wanted: Identity, form: Form, root: str
) -> None:
    found = check(Keyless(read_trusted_root(root), [wanted]), form(STAGE, SUBJECT, USUAL))
    assert found == Checked(False, f"by {ACCEPTED}")


@pytest.mark.parametrize("form", FORMS)
def test_identity_and_issuer_must_be_of_one_pair(form: Form, root: str) -> None:
    wanted = [Identity(WORKFLOW, "https://other.example"), Identity("dev@example.org", ISSUER)]
    assert not check(Keyless(read_trusted_root(root), wanted), form(STAGE, SUBJECT, USUAL)).accepted


@pytest.mark.parametrize("form", FORMS)
def test_without_identities_nothing_counts(form: Form, root: str) -> None:
    assert not check(Keyless(read_trusted_root(root), []), form(STAGE, SUBJECT, USUAL)).accepted


@pytest.mark.parametrize("form", FORMS)
def test_what_another_sigstore_made_does_not_count(form: Form, keyless: Keyless) -> None:
    assert not check(keyless, form(StagedSigstore(), SUBJECT, USUAL)).accepted


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("forged", ["authority", "sct", "set", "signature"])
def test_what_is_forged_does_not_count(forged: Forged, form: Form, keyless: Keyless) -> None:
    found = check(keyless, form(STAGE, SUBJECT, Terms(forged=forged)))
    assert (found.accepted, found.told[:9]) == (False, "not valid")


@pytest.mark.parametrize("form", [by_referrer, by_plain_referrer])
@pytest.mark.parametrize("forged", ["checkpoint", "proof"])
def test_a_forged_proof_of_inclusion_does_not_count(forged: Forged, form: Form, keyless: Keyless) -> None:
    assert not check(keyless, form(STAGE, SUBJECT, Terms(forged=forged))).accepted


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("minutes", [-1, 11])
def test_what_was_logged_while_the_certificate_was_not_good_does_not_count(
    minutes: int, form: Form, keyless: Keyless
) -> None:
    assert not check(keyless, form(STAGE, SUBJECT, Terms(logged=timedelta(minutes=minutes)))).accepted


@pytest.mark.parametrize("form", [by_tag, by_referrer])
def test_a_signature_about_another_digest_is_none(form: Form) -> None:
    assert form(STAGE, SUBJECT, Terms(about=f"sha256:{'0' * 64}")) is None


def test_a_signature_of_other_bytes_does_not_count(keyless: Keyless) -> None:
    other = sigstore_bundle(SUBJECT, STAGE.plain_bundle(b"other"))
    assert not check(keyless, other).accepted


def test_an_attestation_is_no_signature() -> None:
    assert by_referrer(STAGE, SUBJECT, Terms(predicate="https://slsa.dev/provenance/v1")) is None


@pytest.mark.parametrize("form", FORMS)
def test_a_changed_payload_does_not_count(form: Form, keyless: Keyless) -> None:
    made = form(STAGE, SUBJECT, USUAL)
    assert made is not None
    assert not check(keyless, made._replace(message=made.message + b" ")).accepted


@pytest.mark.parametrize("part", ["certificate", "promise"])
def test_parts_of_two_valid_signatures_make_none(part: str, keyless: Keyless) -> None:
    one, other = (by_tag(STAGE, SUBJECT, USUAL) for _ in range(2))
    assert one is not None
    assert other is not None
    assert isinstance(one.certified, Promised)
    assert isinstance(other.certified, Promised)
    mixed = one.certified._replace(**{part: getattr(other.certified, part)})
    assert not check(keyless, one._replace(certified=mixed)).accepted


# --- rubbish -----------------------------------------------------------------------------------------

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
    return not checked.accepted or (same and checked.told == ACCEPTED)


@given(st.sampled_from(BUNDLES), st.integers(0, 1 << 20), st.integers(0, 7))
@often
def test_a_flipped_bit_of_a_bundle_never_counts_nor_raises(
    keyless: Keyless, data: bytes, at: int, bit: int
) -> None:
    found = sigstore_bundle(SUBJECT, flipped(data, at, bit))
    assert unchanged(keyless, found, sigstore_bundle(SUBJECT, data))


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


@given(st.text(max_size=200), json_values.map(json.dumps) | st.text(max_size=200))
@often
def test_no_annotation_does_harm(keyless: Keyless, certificate: str, promise: str) -> None:
    for certified in (
        Promised(certificate, promise),
        Promised(ANNOTATIONS["dev.sigstore.cosign/certificate"], promise),
        Promised("0" * (1 << 20), promise),
    ):
        assert not keyless.check(Evidence(b"0", PAYLOAD, certified)).accepted


# --- roots and globs ---------------------------------------------------------------------------------


def test_a_root_that_is_none_is_refused_by_name(root: str, tmp_path: Path) -> None:
    good = json.loads(Path(root).read_text())
    rubbish = {"rawBytes": "AAAA"}
    wrong: list[object] = [
        [], {}, {**good, "mediaType": "text/plain"}, {**good, "tlogs": []}, {**good, "ctlogs": []},
        {**good, "certificateAuthorities": []}, {**good, "timestampAuthorities": [{}]},
        {**good, "ctlogs": [{**good["ctlogs"][0], "publicKey": {
            **good["ctlogs"][0]["publicKey"], **rubbish}}]},
        {**good, "certificateAuthorities": [{**good["certificateAuthorities"][0], "certChain": {
            "certificates": [rubbish]}}]},
    ]  # fmt: skip
    file = tmp_path / "root.json"
    for text in ("", "{", "\0", *map(json.dumps, wrong)):
        file.write_text(text)
        with pytest.raises(UsageError, match=r"root\.json: not a trusted root of Sigstore"):
            read_trusted_root(str(file))


def test_a_root_that_is_not_there_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json: not a trusted root.*No such file"):
        read_trusted_root(str(tmp_path / "none.json"))


def test_without_the_extra_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sigstore.models", None)
    with pytest.raises(UsageError, match=r"pip install 'timoni-bundler\[sigstore\]'"):
        read_trusted_root("trusted_root.json")


@pytest.mark.parametrize(
    ("glob", "narrow"),
    [
        (WORKFLOW, True),
        ("https://github.com/team/*", True),
        ("https://github.com/team/app/.github/workflows/release.yml@refs/tags/v*", True),
        ("spiffe://example.org/ns/*", True),
        ("dev@example.org", True),
        ("*@example.org", True),
        ("", False),
        ("*", False),
        ("**", False),
        ("?*", False),
        ("[!x]*", False),
        ("https://*", False),
        ("https://github.com/*", False),
        ("https://github.com//*", False),
        ("https://github.com/team*", False),
        ("https://*/team/app/*", False),
        ("*@refs/heads/main", False),
        ("*/.github/workflows/release.yml@refs/heads/main", False),
        ("*@*", False),
        ("*@*.org", False),
        ("dev@*", False),
    ],
)
def test_a_glob_must_say_whose_identities_it_means(glob: str, *, narrow: bool) -> None:
    assert is_narrow(glob) is narrow
