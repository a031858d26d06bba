"""Keyless signatures: what a given trusted root proves of them, and nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest

from bundler.errors import UsageError
from bundler.oci.manifest import Manifest
from bundler.trust.cosign import Evidence, Promised, sigstore_bundle, simple_signing
from bundler.trust.keyless import CheckedSignature, Keyless, read_trusted_root
from bundler.trust.policy import Identity, is_narrow
from tests.builders import a_module
from tests.trust.authorities import ISSUER, USUAL, WORKFLOW, Forged, Terms
from tests.trust.sigstores import StagedSigstore

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


def wanting(*wanted: Identity) -> Keyless:
    """These identities, and the staged Sigstore's root."""
    return Keyless(read_trusted_root("trusted_root.json", json.dumps(STAGE.root_document()).encode()), wanted)


@pytest.fixture(scope="module")
def keyless() -> Keyless:
    """What is wanted."""
    return wanting(WANTED)


def check(keyless: Keyless, evidence: Evidence | None) -> CheckedSignature:
    """What becomes of a signature that is about the manifest, and by a certificate."""
    assert evidence is not None
    assert evidence.certified is not None
    return keyless.check(evidence)


# --- what counts -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_signature_by_a_wanted_identity_counts_and_is_told(form: Form, keyless: Keyless) -> None:
    assert check(keyless, form(STAGE, SUBJECT, USUAL)) == CheckedSignature(True, ACCEPTED)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_one_of_several_identities_is_enough(form: Form) -> None:
    wanted = [Identity("dev@example.org", "https://accounts.example.org"), WANTED]
    for terms in (USUAL, Terms(identity=wanted[0].identity, issuer=wanted[0].issuer)):
        assert check(wanting(*wanted), form(STAGE, SUBJECT, terms)).accepted


def test_an_older_bundle_with_its_chain_counts(keyless: Keyless) -> None:
    terms = Terms(media_type="application/vnd.dev.sigstore.bundle+json;version=0.2")
    assert check(keyless, by_referrer(STAGE, SUBJECT, terms)) == CheckedSignature(True, ACCEPTED)


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
def test_another_identity_or_issuer_does_not_count_and_is_named(wanted: Identity, form: Form) -> None:
    found = check(wanting(wanted), form(STAGE, SUBJECT, USUAL))
    assert found == CheckedSignature(False, f"by {ACCEPTED}")


@pytest.mark.parametrize("form", FORMS)
def test_identity_and_issuer_must_be_of_one_pair(form: Form) -> None:
    wanted = [Identity(WORKFLOW, "https://other.example"), Identity("dev@example.org", ISSUER)]
    assert not check(wanting(*wanted), form(STAGE, SUBJECT, USUAL)).accepted


@pytest.mark.parametrize("form", FORMS)
def test_without_identities_nothing_counts(form: Form) -> None:
    assert not check(wanting(), form(STAGE, SUBJECT, USUAL)).accepted


@pytest.mark.parametrize("form", FORMS)
def test_what_another_sigstore_made_does_not_count(form: Form, keyless: Keyless) -> None:
    assert not check(keyless, form(StagedSigstore(), SUBJECT, USUAL)).accepted


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("forged", ["authority", "sct", "set", "signature"])
def test_what_is_forged_does_not_count(forged: Forged, form: Form, keyless: Keyless) -> None:
    found = check(keyless, form(STAGE, SUBJECT, Terms(forged=forged)))
    assert (found.accepted, found.detail[:9]) == (False, "not valid")


@pytest.mark.parametrize("form", [by_referrer, by_plain_referrer])
@pytest.mark.parametrize("forged", ["checkpoint", "proof"])
def test_a_forged_proof_of_inclusion_does_not_count(forged: Forged, form: Form, keyless: Keyless) -> None:
    assert not check(keyless, form(STAGE, SUBJECT, Terms(forged=forged))).accepted


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("minutes", [-1, 11])
def test_what_was_logged_outside_the_certificates_time_is_void(
    minutes: int, form: Form, keyless: Keyless
) -> None:
    assert not check(keyless, form(STAGE, SUBJECT, Terms(logged=timedelta(minutes=minutes)))).accepted


@pytest.mark.parametrize("form", [by_tag, by_referrer])
def test_a_signature_about_another_digest_is_none(form: Form) -> None:
    assert form(STAGE, SUBJECT, Terms(about=f"sha256:{'0' * 64}")) is None


def test_a_signature_of_other_bytes_does_not_count(keyless: Keyless) -> None:
    assert sigstore_bundle(SUBJECT, STAGE.plain_bundle(b"other")) is None
    document = json.loads(STAGE.plain_bundle(b"other"))
    del document["messageSignature"]["messageDigest"]
    other = sigstore_bundle(SUBJECT, json.dumps(document).encode())
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


# --- roots and globs ---------------------------------------------------------------------------------


def test_a_root_that_is_none_is_refused_by_name() -> None:
    good = STAGE.root_document()
    log, authority, rubbish = good["ctlogs"][0], good["certificateAuthorities"][0], {"rawBytes": "AAAA"}
    wrong: list[object] = [
        [], {}, {**good, "mediaType": "text/plain"}, {**good, "tlogs": []}, {**good, "ctlogs": []},
        {**good, "certificateAuthorities": []}, {**good, "timestampAuthorities": [{}]},
        {**good, "ctlogs": [{**log, "publicKey": {**log["publicKey"], **rubbish}}]}, {**good, "tlogs": [7]},
        {**good, "certificateAuthorities": [{**authority, "certChain": {"certificates": [rubbish]}}]},
    ]  # fmt: skip
    for text in ("", "{", "\0", *map(json.dumps, wrong)):
        with pytest.raises(UsageError, match=r"root\.json: not a trusted root of Sigstore"):
            read_trusted_root("root.json", text.encode())


def test_a_root_as_cosign_makes_it_is_read() -> None:
    document = STAGE.root_document()
    for log in (*document["tlogs"], *document["ctlogs"]):
        del log["baseUrl"]
    authority = document["certificateAuthorities"][0]
    del authority["uri"], authority["subject"], document["timestampAuthorities"]
    found = Keyless(read_trusted_root("root.json", json.dumps(document).encode()), [WANTED])
    assert check(found, by_tag(STAGE, SUBJECT, USUAL)).accepted


def test_without_the_extra_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sigstore.verify", None)
    with pytest.raises(UsageError, match=r"pip install 'timoni-bundler\[sigstore\]'"):
        read_trusted_root("trusted_root.json", b"{}")


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
