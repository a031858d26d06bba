"""An image is judged although its layers say that they are signatures; and who demands so, is heard."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from pathlib import Path

import pytest
import zstandard

from bundler import Destination, Ledger, Session, import_bundle, open_bundle, parse_prefix, verify_bundle
from bundler.attachments.referrers import attachment_tags, begins_an_archive
from bundler.errors import TrustError, UsageError
from bundler.importer.policy_check import PolicyCheck
from bundler.trust.job import Job
from bundler.trust.policy import Demand, Policy
from tests.builders import (
    OCI_CONFIG,
    SIMPLE_SIGNING,
    Content,
    MemoryStore,
    a_bundle,
    a_module,
    dumped,
    manifest_document,
)
from tests.doubles import MemoryRegistry
from tests.importer.test_policy_check import VIOLATED, policy, signed_module, verify
from tests.processes import bundler


def a_tar() -> bytes:
    """An archive with one file."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("evil"))
    return made.getvalue()


def printable_tar() -> bytes:
    """An archive of nothing but text: an old header has no name of its format."""
    before = b'{"critical":"'.ljust(100, b"a") + b"0000644 " + b"0000000 " * 2 + b"00000000000 " * 2
    after = b"0".ljust(356)
    return before + b"%06o  " % (sum(before) + sum(after) + 8 * 32) + after


ARCHIVES = {
    "tar": a_tar(),
    "tar of text": printable_tar(),
    "gzip": gzip.compress(a_tar()),
    "xz": lzma.compress(a_tar()),
    "bzip2": bz2.compress(a_tar()),
    "zstd": zstandard.compress(a_tar()),
    "zstd behind a frame that is skipped": b"\x50*M\x18\0\0\0\0" + zstandard.compress(a_tar()),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_known_by_its_first_bytes(name: str) -> None:
    assert begins_an_archive(ARCHIVES[name][:512])
    assert not begins_an_archive(b'{"spdxVersion": "SPDX-2.3"}'.ljust(600))
    assert not begins_an_archive(ARCHIVES["tar of text"][:512].replace(b"critical", b"CRITICAL"))


def hidden(content: Content, layer: bytes) -> None:
    """An image under an attachment tag, whose layer has the type of a signature."""
    config = content.add_blob(dumped({"of": "hidden"}), OCI_CONFIG)
    layers = [content.add_blob(layer, SIMPLE_SIGNING)]
    tag = attachment_tags(content.tags["1.0.0"])[2]
    content.add_manifest(manifest_document(config, layers), tag)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tar", "gzip"])
def test_an_image_in_layers_of_other_types_is_judged(name: str, tmp_path: Path) -> None:
    content, signer = signed_module()
    key = ("--cosign-key", signer.public(tmp_path / "cosign.pub"))
    assert verify(tmp_path, content, *key) == (0, "")
    hidden(content, ARCHIVES[name])
    code, said = verify(tmp_path, content, *key)
    assert (code, ".att: no signature" in said) == (11, True), said
    with MemoryRegistry({"app": content}) as server:
        done = bundler("export", f"{server.host}/app", "-o", str(tmp_path / "o.tar.zst"), "-q", *key)
    assert (done.returncode, ".att: no signature" in done.stderr) == (11, True), done.stderr


@pytest.mark.slow
def test_a_module_is_not_its_own_sbom(tmp_path: Path) -> None:
    content = a_module("1.0.0")
    content.tags[attachment_tags(content.tags["1.0.0"])[3]] = content.tags["1.0.0"]
    code, said = verify(tmp_path, content, *policy(tmp_path, VIOLATED["a referrer"]))
    assert (code, "app:1.0.0: it has no sbom" in said or "2 tags" in said) == (7, True), said


@pytest.mark.slow
def test_from_python_a_policy_demands_signers_too(tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "b.tar.zst", {"ghcr.io/team/app": a_module("1.0.0")})
    target = Destination(parse_prefix("127.0.0.1:1/mirror"))
    with open_bundle(path) as bundle:
        check = PolicyCheck(Policy(allowed_signers="signers", job=Job("nightly")), {}, bundle)
        verified, ledger = verify_bundle(bundle), Ledger(tmp_path / "state")
        with pytest.raises(TrustError, match="no signature was checked"):
            import_bundle(verified, target, Session(), ledger, policy=check)


def test_from_python_a_demand_without_signers_is_refused() -> None:
    demand = Demand(("*",), cosign_keys=("team.pub",))
    with pytest.raises(UsageError, match="nobody is named"):
        PolicyCheck(Policy(demands=(demand,)), {}, MemoryStore())


@pytest.mark.slow
def test_a_demand_for_no_possible_repository_is_a_mistake(tmp_path: Path) -> None:
    rule = 'require: [{repositories: ["ghcr.io/Team/*"], referrers: [sbom]}]'
    code, said = verify(tmp_path, a_module("1.0.0"), *policy(tmp_path, rule))
    assert (code, "no repository can have this name" in said) == (2, True), said
