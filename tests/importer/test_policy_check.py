"""A border policy, and cosign's signatures checked with keys alone."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.inventory import Inventory
from bundler.bundle.reader import open_bundle
from bundler.errors import UsageError, ViolationsError
from bundler.importer.policy_check import PolicyCheck
from bundler.oci.digest import Descriptor, Digest, sha256
from bundler.oci.manifest import OCI_MANIFEST
from bundler.trust.cosign import read_key, simple_signing
from bundler.trust.policy import Policy
from tests.builders import (
    EMPTY_TYPE,
    SIGSTORE,
    Content,
    MemoryStore,
    a_bundle,
    a_module,
    dumped,
    index_document,
    manifest_document,
    sign_by_subject,
    sign_by_tag,
)
from tests.doubles import MemoryRegistry
from tests.processes import bundler
from tests.registries import RealRegistry
from tests.trust.attached import (
    attach_by_referrer,
    attach_by_tag,
    envelope,
    simple_payload,
    statement,
    statement_message,
)

pytestmark = pytest.mark.slow

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
KINDS: dict[str, Callable[[], Private]] = {
    "ECDSA P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


class Signer:
    """A key pair, and signatures in the two forms of cosign."""

    def __init__(self, kind: str = "ECDSA P-256") -> None:
        self._key = KINDS[kind]()

    def public(self, path: Path) -> str:
        """`cosign.pub`."""
        pem = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        path.write_bytes(pem)
        return str(path)

    def _signed(self, message: bytes) -> bytes:
        key = self._key
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(message, ec.ECDSA(SHA256()))
        return key.sign(message)

    def by_tag(self, content: Content, digest: Digest, *, about: str = "", certificate: bool = False) -> None:
        """cosign 2: a payload of simple signing, under the tag of the digest."""
        payload = simple_payload(about or digest)
        signature = base64.b64encode(self._signed(payload)).decode()
        annotations = {"dev.cosignproject.cosign/signature": signature}
        if certificate:
            annotations["dev.sigstore.cosign/certificate"] = "-----BEGIN CERTIFICATE-----"
        attach_by_tag(content, digest, payload, annotations)

    def by_referrer(
        self, content: Content, digest: Digest, *, about: str = "", keyless: bool = False
    ) -> None:
        """cosign 3: a Sigstore bundle with a DSSE envelope, as a referrer under the fallback tag."""
        payload = statement(about or digest)
        material = {"certificate": {"rawBytes": ""}} if keyless else {"publicKey": {"hint": "x"}}
        document = {
            "mediaType": SIGSTORE,
            "verificationMaterial": material,
            "dsseEnvelope": envelope(payload, self._signed(statement_message(payload))),
        }
        attach_by_referrer(content, digest, dumped(document))


def verify(folder: Path, content: Content, *options: str) -> tuple[int, str]:
    """`verify` of a bundle with this content: exit code, and what was said."""
    bundle = a_bundle(folder / "b.tar.zst", {"ghcr.io/team/app": content})
    done = bundler("verify", str(bundle), "-q", *options)
    return done.returncode, done.stderr


# --- cosign ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["by_tag", "by_referrer"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_by_the_key_lets_a_module_in(kind: str, form: str, tmp_path: Path) -> None:
    content, signer = a_module("1.0.0"), Signer(kind)
    getattr(signer, form)(content, content.tags["1.0.0"])
    assert verify(tmp_path, content, "--cosign-key", signer.public(tmp_path / "cosign.pub")) == (0, "")


@pytest.mark.parametrize("form", ["by_tag", "by_referrer"])
def test_a_signature_by_another_key_or_of_another_digest_is_none(form: str, tmp_path: Path) -> None:
    content, signer, other = a_module("1.0.0"), Signer(), Signer()
    getattr(other, form)(content, content.tags["1.0.0"])
    key = signer.public(tmp_path / "cosign.pub")
    code, said = verify(tmp_path, content, "--cosign-key", key)
    assert code == 11
    assert "app:1.0.0: no signature by cosign.pub: 1 by none of the keys" in said
    content = a_module("1.0.0")
    getattr(signer, form)(content, content.tags["1.0.0"], about=f"sha256:{'0' * 64}")
    code, said = verify(tmp_path, content, "--cosign-key", key)
    assert (code, "not signed" in said) == (11, True)


def test_every_version_without_a_signature_is_named(tmp_path: Path) -> None:
    content, signer = a_module("1.0.0", "1.1.0", "1.2.0"), Signer()
    signer.by_tag(content, content.tags["1.1.0"])
    code, said = verify(tmp_path, content, "--cosign-key", signer.public(tmp_path / "cosign.pub"))
    assert code == 11
    assert [version in said for version in ("app:1.0.0", "app:1.1.0", "app:1.2.0")] == [True, False, True]


def test_what_a_certificate_signed_is_said_to_be_not_checked(tmp_path: Path) -> None:
    content, signer = a_module("1.0.0", "1.1.0"), Signer()
    signer.by_tag(content, content.tags["1.0.0"], certificate=True)
    signer.by_referrer(content, content.tags["1.1.0"], keyless=True)
    code, said = verify(tmp_path, content, "--cosign-key", signer.public(tmp_path / "cosign.pub"))
    assert code == 11
    assert "2 tags (ghcr.io/team/app:1.0.0, ghcr.io/team/app:1.1.0): " in said
    assert "1 keyless, not checked" in said


def test_a_certificate_beside_the_key_is_said_to_be_not_checked(tmp_path: Path) -> None:
    content, signer = a_module("1.0.0"), Signer()
    signer.by_tag(content, content.tags["1.0.0"])
    signer.by_referrer(content, content.tags["1.0.0"], keyless=True)
    bundle = a_bundle(tmp_path / "b.tar.zst", {"ghcr.io/team/app": content})
    done = bundler("verify", str(bundle), "-q", "--cosign-key", signer.public(tmp_path / "cosign.pub"))
    assert done.stdout.splitlines()[-2:] == [
        "1 signed by cosign.pub",
        "1 keyless signature not checked",
    ]


def test_one_of_several_keys_is_enough(tmp_path: Path) -> None:
    content, old, new = a_module("1.0.0", "1.1.0"), Signer(), Signer("Ed25519")
    old.by_tag(content, content.tags["1.0.0"])
    new.by_referrer(content, content.tags["1.1.0"])
    keys = (
        "--cosign-key",
        old.public(tmp_path / "old.pub"),
        "--cosign-key",
        new.public(tmp_path / "new.pub"),
    )
    assert verify(tmp_path, content, *keys) == (0, "")


@given(st.binary(max_size=300))
def test_no_payload_does_harm(data: bytes) -> None:
    digest = Digest(f"sha256:{'1' * 64}")
    assert simple_signing(digest, data, {"dev.cosignproject.cosign/signature": "AAAA"}) is None


@pytest.mark.parametrize("text", ["", "text", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a public key"):
        read_key("cosign.pub", text.encode())


@pytest.mark.parametrize("command", [["verify"], ["import", "--to", "oci://127.0.0.1:1"]])
def test_a_wrong_key_is_told_before_the_bundle_is_read(command: list[str], tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "b.tar.zst", {"ghcr.io/team/app": a_module("1.0.0", size=100_000)})
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 1
    bundle.write_bytes(content)
    (tmp_path / "cosign.pub").write_text("no key")
    key = ("--cosign-key", str(tmp_path / "cosign.pub"))
    assert bundler(*command, str(bundle), "-q").returncode == 6
    assert bundler(*command, str(bundle), "-q", *key).returncode == 2


def test_other_curves_are_refused() -> None:
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    with pytest.raises(UsageError, match="not an ECDSA P-256 or Ed25519 key"):
        read_key("k.pub", other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


# --- policies ----------------------------------------------------------------------------------------

VIOLATED = {
    "a source": 'sources: ["ghcr.io/other/*"]',
    "a media type": 'mediaTypes: ["application/vnd.oci.*"]',
    "bytes in all": "limits: {bundleBytes: 10}",
    "bytes of a blob": "limits: {blobBytes: 1000}",
    "tags": "limits: {tags: 1}",
    "a referrer": 'require: [{repositories: ["*"], referrers: [sbom]}]',
}


def policy(folder: Path, *lines: str) -> tuple[str, str]:
    """The option, and the file."""
    allowing = "" if any(line.startswith("sources") for line in lines) else 'sources: ["ghcr.io/*"]\n'
    (folder / "policy.yaml").write_text("version: 1\n" + "\n".join(lines) + f"\n{allowing}")
    return "--policy", str(folder / "policy.yaml")


@pytest.mark.parametrize("rule", ['sources: ["*"]', 'mediaTypes: ["a/b", "*/*"]', 'targets: ["**"]'])
def test_a_policy_that_everything_matches_is_refused(rule: str, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(f"version: 1\n{rule}\n")
    code, said = verify(tmp_path, a_module("1.0.0"), "--policy", str(tmp_path / "all.yaml"))
    assert code == 2
    assert "the policy holds nothing back" in said


def test_a_policy_that_all_of_a_bundle_obeys_lets_it_in(tmp_path: Path) -> None:
    assert verify(tmp_path, a_module("1.0.0", "1.1.0"), *policy(tmp_path)) == (0, "")


@pytest.mark.parametrize("name", VIOLATED)
def test_what_a_policy_does_not_allow_is_7(name: str, tmp_path: Path) -> None:
    code, said = verify(tmp_path, a_module("1.0.0", "1.1.0"), *policy(tmp_path, VIOLATED[name]))
    assert code == 7, said
    assert "policy" in said


def test_all_violations_are_named_at_once(tmp_path: Path) -> None:
    lines = [line for name, line in VIOLATED.items() if not line.startswith("limits")]
    limits = "limits: {bundleBytes: 10, tags: 1}"
    code, said = verify(tmp_path, a_module("1.0.0", "1.1.0"), *policy(tmp_path, *lines, limits))
    assert code == 7
    assert len(said.splitlines()) >= 6


def test_however_many_violate_a_policy_the_line_counts_them(tmp_path: Path) -> None:
    content = a_module(*(f"1.{minor}.0" for minor in range(30)), size=10)
    lines = policy(tmp_path, "limits: {tags: 1}", VIOLATED["a referrer"])
    code, said = verify(tmp_path, content, *lines)
    assert (code, len(said.splitlines())) == (7, 2)
    assert "error: 30 tags (ghcr.io/team/app:1.0.0, " in said


def test_of_a_million_violations_twenty_thousand_are_kept() -> None:
    blobs = tuple(Descriptor("", sha256(str(number).encode()), 9) for number in range(20_200))
    border = PolicyCheck(Policy(blob_bytes=8), {}, MemoryStore())
    with pytest.raises(ViolationsError) as error:
        border.check(Inventory(1, "full", (), (), blobs), {})
    assert len(error.value.problems) == 20_001
    assert str(error.value).endswith("policy: and 200 more; correct these first")


def test_a_demand_is_for_its_repositories_only(tmp_path: Path) -> None:
    content = a_module("1.0.0")
    sign_by_tag(content, content.tags["1.0.0"])
    lines = 'require: [{repositories: ["ghcr.io/team/*"], referrers: [signature]}]'
    assert verify(tmp_path, content, *policy(tmp_path, lines))[0] == 0
    other = 'require: [{repositories: ["docker.io/*"], referrers: [sbom]}]'
    assert verify(tmp_path, content, *policy(tmp_path, other))[0] == 0


def test_keys_are_found_beside_the_policy(tmp_path: Path) -> None:
    content, signer = a_module("1.0.0"), Signer()
    signer.by_referrer(content, content.tags["1.0.0"])
    signer.public(tmp_path / "team.pub")
    lines = 'require: [{repositories: ["*"], cosignKeys: [team.pub]}]'
    assert verify(tmp_path, content, *policy(tmp_path, lines)) == (0, "")


def test_signers_of_the_bundle_may_stand_in_the_policy(tmp_path: Path) -> None:
    (tmp_path / "allowed").write_text("")
    code, said = verify(tmp_path, a_module("1.0.0"), *policy(tmp_path, "signers: {allowed: allowed}"))
    assert code == 11, said


@pytest.mark.parametrize("form", ["file", "pipe"])
def test_a_bundle_with_repositories_not_allowed_pushes_nothing(
    form: str, target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    """Case 76."""
    path = fresh("app")
    bundle = a_bundle(tmp_path / "b.tar.zst", {f"ghcr.io/{path}": a_module("1.0.0")})
    lines = policy(tmp_path, 'targets: ["mirror/*"]')
    with bundle.open("rb") as pipe:
        done = bundler(
            "import", str(bundle) if form == "file" else "-", "--to", target_registry.host, *lines, stdin=pipe
        )
    assert done.returncode == 7
    assert f"it would become {target_registry.host}/{path}" in done.stderr
    assert target_registry.accesses(path) == []


def test_a_policy_with_a_mistake_is_2_and_names_the_line(tmp_path: Path) -> None:
    code, said = verify(tmp_path, a_module("1.0.0"), *policy(tmp_path, "souces: []"))
    assert code == 2
    assert "policy.yaml:2" in said


@pytest.mark.parametrize(
    "lines",
    [
        "sources: []",
        "targets: []",
        "mediaTypes: []",
        "require: []",
        'require: [{repositories: ["*"]}]',
        'require: [{repositories: ["*"], referrers: []}]',
        'require: [{repositories: ["*"], cosignKeys: []}]',
    ],
)
def test_what_would_hold_nothing_back_is_a_mistake(lines: str, tmp_path: Path) -> None:
    code, said = verify(tmp_path, a_module("1.0.0"), *policy(tmp_path, lines))
    assert (code, "policy.yaml:2" in said) == (2, True), said


@pytest.mark.parametrize("text", ["version: 1\n", "version: 1\nlimits: {}\n"])
def test_a_policy_that_can_hold_nothing_back_is_a_mistake(text: str, tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    code, said = verify(tmp_path, a_module("1.0.0"), "--policy", str(tmp_path / "policy.yaml"))
    assert (code, "the policy holds nothing back" in said) == (2, True), said


# --- what is judged ------------------------------------------------------------------------------------


def signed_module() -> tuple[Content, Signer]:
    """A module whose only version is signed."""
    content, signer = a_module("1.0.0"), Signer()
    signer.by_tag(content, content.tags["1.0.0"])
    return content, signer


def with_subject(content: Content, subject: Digest, tag: str = "", **more: Any) -> Digest:
    """Something unsigned that names a subject."""
    size = len(content.manifests[subject][1]) if subject in content.manifests else 9
    data = {"mediaType": OCI_MANIFEST, "digest": subject, "size": size}
    layer = content.add_blob(b"unsigned", more.pop("layer", "text/plain"))
    config = content.add_blob(b"{}", EMPTY_TYPE)
    return Digest(
        content.add_manifest(manifest_document(config, [layer], subject=data, **more), tag)["digest"]
    )


NOWHERE = sha256(b"nobody has it")


@pytest.mark.parametrize("subject", ["the signed one", "nothing"])
def test_what_has_a_tag_is_judged_whatever_subject_it_names(subject: str, tmp_path: Path) -> None:
    content, signer = signed_module()
    with_subject(content, NOWHERE if subject == "nothing" else content.tags["1.0.0"], "2.0.0")
    key = signer.public(tmp_path / "cosign.pub")
    code, said = verify(tmp_path, content, "--cosign-key", key)
    assert (code, "app:2.0.0: no signature" in said) == (11, True), said


def test_a_module_under_an_attachment_tag_is_judged(tmp_path: Path) -> None:
    content, signer = signed_module()
    for digest in (NOWHERE, content.tags["1.0.0"]):
        module = a_module("2.0.0", name=digest)
        tag = digest.replace(":", "-")
        content.manifests.update(module.manifests)
        content.blobs.update(module.blobs)
        content.tags[tag] = module.tags["2.0.0"]
    key = signer.public(tmp_path / "cosign.pub")
    code, said = verify(tmp_path, content, "--cosign-key", key)
    assert (code, said.count(":sha256-"), "no signature by cosign.pub" in said) == (11, 2, True), said


def test_an_attachment_to_nothing_that_is_carried_is_judged(tmp_path: Path) -> None:
    content, signer = signed_module()
    with_subject(content, NOWHERE, NOWHERE.replace(":", "-") + ".att")
    key = signer.public(tmp_path / "cosign.pub")
    assert verify(tmp_path, content, "--cosign-key", key)[0] == 11


def test_a_list_with_something_of_another_subject_is_judged(tmp_path: Path) -> None:
    content, signer = signed_module()
    stranger = with_subject(content, NOWHERE)
    listed = {"mediaType": OCI_MANIFEST, "digest": stranger, "size": len(content.manifests[stranger][1])}
    content.add_manifest(index_document(listed), content.tags["1.0.0"].replace(":", "-"))
    key = signer.public(tmp_path / "cosign.pub")
    assert verify(tmp_path, content, "--cosign-key", key)[0] == 11


def test_what_is_attached_to_attachments_is_exempt(tmp_path: Path) -> None:
    content, signer = signed_module()
    sign_by_subject(content, sign_by_subject(content, content.tags["1.0.0"], listed=True))
    key = signer.public(tmp_path / "cosign.pub")
    assert verify(tmp_path, content, "--cosign-key", key) == (0, "")


def test_an_sbom_without_any_layer_is_none(tmp_path: Path) -> None:
    content = a_module("1.0.0")
    digest = content.tags["1.0.0"]
    config = content.add_blob(b"{}", EMPTY_TYPE)
    subject = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(content.manifests[digest][1])}
    document = manifest_document(config, [], subject=subject, artifactType="application/spdx+json")
    referrer = content.add_manifest(document)
    content.add_manifest(index_document(referrer), digest.replace(":", "-"))
    code, said = verify(tmp_path, content, *policy(tmp_path, VIOLATED["a referrer"]))
    assert (code, "it has no sbom" in said) == (7, True), said


def test_an_export_judges_what_has_a_tag_and_a_subject(tmp_path: Path) -> None:
    content, signer = signed_module()
    with_subject(content, content.tags["1.0.0"], "2.0.0")
    key, out = signer.public(tmp_path / "cosign.pub"), tmp_path / "o.tar.zst"
    with MemoryRegistry({"app": content}) as server:
        done = bundler("export", f"{server.host}/app", "-o", str(out), "--cosign-key", key, "-q")
    assert (done.returncode, "app:2.0.0: no signature" in done.stderr) == (8, True), done.stderr


def test_not_allowed_weighs_more_than_not_signed(tmp_path: Path) -> None:
    key = Signer().public(tmp_path / "cosign.pub")
    lines = policy(tmp_path, VIOLATED["tags"], VIOLATED["a source"])
    code, said = verify(tmp_path, a_module("1.0.0", "1.1.0"), *lines, "--cosign-key", key)
    assert code == 7
    assert "no signature by cosign.pub" in said


def test_an_export_leaves_out_what_is_not_signed(tmp_path: Path) -> None:
    content, signer = a_module("1.0.0", "1.1.0", "1.2.0"), Signer()
    signer.by_tag(content, content.tags["1.0.0"])
    signer.by_referrer(content, content.tags["1.1.0"])
    key, out = signer.public(tmp_path / "cosign.pub"), tmp_path / "o.tar.zst"
    with MemoryRegistry({"app": content}) as server:
        done = bundler("export", f"{server.host}/app", "-o", str(out), "--cosign-key", key, "-q")
    assert done.returncode == 8
    assert "app:1.2.0: no signature by cosign.pub" in done.stderr
    with open_bundle(out) as bundle:
        tags = bundle.inventory.repositories[0].tags
    assert {tag for tag in tags if not tag.startswith("sha256-")} == {"1.0.0", "1.1.0"}


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_lock_file_lifts_no_demand_for_signatures(dry: list[str], tmp_path: Path) -> None:
    key, lock = Signer().public(tmp_path / "cosign.pub"), str(tmp_path / "lock")
    with MemoryRegistry({"app": a_module("1.0.0")}) as server:
        first = ("export", f"{server.host}/app", "-o", str(tmp_path / "a.tar.zst"), "--lock", lock, "-q")
        assert bundler(*first).returncode == 0
        again = ("export", "-o", str(tmp_path / "b.tar.zst"), "--lock", lock, "-q", "--cosign-key", key, *dry)
        done = bundler(*again)
    assert (done.returncode, "the lock file pins it, but no signature" in done.stderr) == (11, True)
    assert not (tmp_path / "b.tar.zst").exists()
