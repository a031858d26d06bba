"""What a client can pull by a tag is judged, however it is named, listed or spelled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler.__main__ import run
from tests.builders import (
    DOCKER_CONFIG,
    EMPTY_TYPE,
    OCI_CONFIG,
    OCI_LAYER,
    TIMONI_CONFIG,
    TIMONI_LAYER,
    Content,
    Document,
    a_bundle,
    a_module,
    descriptor_of,
    document_of,
    index_document,
    manifest_document,
)
from tests.doubles import MemoryRegistry
from tests.importer.test_policy_check import VIOLATED, Signer, policy, signed_module

pytestmark = pytest.mark.slow


def subject_of(content: Content, tag: str = "1.0.0") -> Document:
    """The descriptor of what has a tag."""
    media_type, data = content.manifests[content.tags[tag]]
    return {"mediaType": media_type, "digest": content.tags[tag], "size": len(data)}


def unsigned(content: Content, layer: str = TIMONI_LAYER, config: str = TIMONI_CONFIG, tag: str = "") -> Any:
    """A module or image of nobody, attached to the signed one."""
    layers = [content.add_blob(b"unsigned", layer)]
    document = manifest_document(content.add_blob(b"{}", config), layers, subject=subject_of(content))
    return content.add_manifest(document, tag)


def verified(folder: Path, content: Content, signer: Signer) -> int:
    """The exit code of `verify` with the key."""
    bundle = a_bundle(folder / "b.tar.zst", {"ghcr.io/team/app": content})
    return run(["verify", str(bundle), "-q", "--cosign-key", signer.public(folder / "cosign.pub")])


@pytest.mark.parametrize("suffix", ["", ".att", ".sbom"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_list_out_of_which_a_module_is_pulled_is_judged(
    suffix: str, tmp_path: Path, *, nested: bool
) -> None:
    content, signer = signed_module()
    child = unsigned(content)
    if nested:
        child = content.add_manifest(index_document(child, subject=subject_of(content)))
    content.add_manifest(index_document(child), content.tags["1.0.0"].replace(":", "-") + suffix)
    assert verified(tmp_path, content, signer) == 11


def test_a_list_in_a_delta_is_judged_like_one_of_the_base(tmp_path: Path) -> None:
    content, signer = signed_module()
    base, night = tmp_path / "a.tar.zst", tmp_path / "b.tar.zst"
    key = ["--cosign-key", signer.public(tmp_path / "cosign.pub")]
    with MemoryRegistry({"app": content}) as server:
        export = ["export", f"{server.host}/app", "-q", "-o"]
        assert run([*export, str(base)]) == 0
        content.add_manifest(index_document(unsigned(content)), content.tags["1.0.0"].replace(":", "-"))
        assert run([*export, str(night), "--base", str(base)]) == 0
    assert run(["verify", str(base), "-q", *key]) == 0
    assert run(["verify", str(night), "-q", *key]) == 11


@pytest.mark.parametrize("demand", ["--cosign-key", "--require"])
def test_an_export_judges_the_list_that_a_version_brings(demand: str, tmp_path: Path) -> None:
    content, signer = signed_module()
    content.add_manifest(index_document(unsigned(content)), content.tags["1.0.0"].replace(":", "-"))
    key, out = signer.public(tmp_path / "cosign.pub"), tmp_path / "o.tar.zst"
    with MemoryRegistry({"app": content}) as server:
        export = ["export", f"{server.host}/app:1.0.0", "-o", str(out), "-q"]
        assert run([*export, demand, key if demand == "--cosign-key" else "signature"]) in (7, 11)
    assert not out.exists()


@pytest.mark.parametrize(
    ("layer", "config"),
    [
        ("Application/vnd.oci.image.layer.v1.tar+gzip", OCI_CONFIG),
        ("application/vnd.docker.image.other", DOCKER_CONFIG),
        ("APPLICATION/VND.TIMONI.CONTENT.V1.TAR+GZIP", "x/y"),
        ("application/octet-stream", OCI_CONFIG),
        ("text/plain", TIMONI_CONFIG),
    ],
)
def test_a_module_is_judged_in_any_spelling_of_its_types(layer: str, config: str, tmp_path: Path) -> None:
    content, signer = signed_module()
    unsigned(content, layer, config, content.tags["1.0.0"].replace(":", "-") + ".att")
    assert verified(tmp_path, content, signer) == 11


def test_a_listed_file_with_an_empty_config_is_exempt(tmp_path: Path) -> None:
    content, signer = signed_module()
    file = unsigned(content, OCI_LAYER, EMPTY_TYPE)
    content.add_manifest(index_document(file), content.tags["1.0.0"].replace(":", "-"))
    assert verified(tmp_path, content, signer) == 0


@pytest.mark.parametrize("tag", ["SHA256-{0}", "sha256-{0}.SIG", "sha256-{0}.sig.att", "sha384-{0}"])
def test_a_tag_only_like_that_of_an_attachment_is_judged(tag: str, tmp_path: Path) -> None:
    content, signer = signed_module()
    name = tag.format(content.tags["1.0.0"].encoded)
    unsigned(content, "application/spdx+json", EMPTY_TYPE, name)
    assert verified(tmp_path, content, signer) == 11


@pytest.mark.parametrize("form", ["tag", "list", "version"])
def test_an_attachment_in_another_repository_is_judged(form: str, tmp_path: Path) -> None:
    first, signer = signed_module()
    other = a_module("5.0.0", name="other")
    signer.by_tag(other, other.tags["5.0.0"])
    tag = first.tags["1.0.0"].replace(":", "-")
    layers = [other.add_blob(b"unsigned", "text/plain")]
    document = manifest_document(other.add_blob(b"{}", EMPTY_TYPE), layers, subject=subject_of(first))
    entry = other.add_manifest(document, {"tag": f"{tag}.att", "version": "6.0.0"}.get(form, ""))
    if form == "list":
        other.add_manifest(index_document(entry), tag)
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/a": first, "h.example/b": other})
    key = ["--cosign-key", signer.public(tmp_path / "cosign.pub")]
    assert run(["verify", str(bundle), "-q", *key]) == 11


HOLLOW: dict[str, Callable[[Content], list[Document]]] = {
    "the empty descriptor": lambda content: [content.add_blob(b"{}", EMPTY_TYPE)],
    "the empty object": lambda content: [content.add_blob(b"{}", "application/spdx+json")],
    "an empty blob": lambda content: [content.add_blob(b"", "application/spdx+json")],
    "a layer that is elsewhere": lambda content: [
        document_of(descriptor_of(b"elsewhere", "application/vnd.oci.image.layer.nondistributable.v1.tar"))
    ],
}


@pytest.mark.parametrize("form", ["manifest", "index", "tag"])
@pytest.mark.parametrize("name", HOLLOW)
def test_an_sbom_without_content_satisfies_no_requirement(name: str, form: str, tmp_path: Path) -> None:
    content, _ = signed_module()
    config, layers = content.add_blob(b"{}", EMPTY_TYPE), HOLLOW[name](content)
    more = {"subject": subject_of(content), "artifactType": "application/spdx+json"}
    document = manifest_document(config, layers, **more)
    if form == "index":
        document = index_document(content.add_manifest(manifest_document(config, layers)), **more)
    tag = content.tags["1.0.0"].replace(":", "-")
    entry = content.add_manifest(document, f"{tag}.sbom" if form == "tag" else "")
    if form != "tag":
        content.add_manifest(index_document(entry), tag)
    bundle = a_bundle(tmp_path / "b.tar.zst", {"ghcr.io/team/app": content})
    assert run(["verify", str(bundle), "-q", *policy(tmp_path, VIOLATED["a referrer"])]) == 7
    with MemoryRegistry({"app": content}) as server:
        out = str(tmp_path / "o.tar.zst")
        assert run(["export", f"{server.host}/app", "-o", out, "--require", "sbom", "-q"]) == 7


@pytest.mark.parametrize(
    "text",
    [
        "limits: {bundleBytes: null}",
        "limits: ~",
        "sources: null\ntargets: [x]",
        'require: [{repositories: ["*"], referrers: null}]',
        'require: [{repositories: ["*"], keyless: ~}]',
        "signers: {allowed: allowed, revoked: null}",
        "require: {}",
        "signers: {}",
        "# sources: [x]",
    ],
)
def test_a_policy_with_a_rule_of_nothing_is_a_mistake(text: str, tmp_path: Path) -> None:
    (tmp_path / "allowed").write_text("")
    (tmp_path / "policy.yaml").write_text(f"version: 1\n{text}\n")
    content, _ = signed_module()
    bundle = a_bundle(tmp_path / "b.tar.zst", {"ghcr.io/team/app": content})
    assert run(["verify", str(bundle), "-q", "--policy", str(tmp_path / "policy.yaml")]) == 2
