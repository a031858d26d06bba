"""What peers copy from a registry is carried from end to end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler.__main__ import run
from bundler.bundle.reader import open_bundle
from bundler.oci.digest import Descriptor
from bundler.oci.manifest import ARTIFACT_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.builders import (
    Content,
    Document,
    a_module,
    add_version,
    document_of,
    index_document,
    manifest_document,
)
from tests.doubles import MemoryRegistry
from tests.flows import exported, imported
from tests.registries import RealRegistry
from tests.server.client import writable_registry

Fresh = Callable[[str], str]


def carried(content: Content, path: str, target: RealRegistry, folder: Path) -> tuple[int, int]:
    """Exit codes of the export and the import."""
    with MemoryRegistry({path: content}) as source:
        report = exported(folder / "b.tar.zst", f"{source.host}/{path}")
        return report.exit_code, imported(folder / "b.tar.zst", target.host).exit_code


def test_an_index_of_blobs_goes_from_registry_to_registry(
    target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content = Content()
    cache = content.add_blob(b"{}", "application/vnd.buildkit.cacheconfig.v0")
    layer = content.add_blob(b"layer")
    content.add_manifest({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [layer, cache]}, "cache")
    assert carried(content, fresh("cache"), target_registry, tmp_path) == (0, 0)


@pytest.mark.slow
def test_odd_layers_and_annotations_go_from_registry_to_registry(
    target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content = Content()
    document = manifest_document(content.add_blob(b"{}"), [content.add_blob(b"layer") | {"mediaType": ""}])
    content.add_manifest(document | {"annotations": {"none": None, "long": "x" * 1_000_000}}, "1.0.0")
    assert carried(content, fresh("odd"), target_registry, tmp_path) == (0, 0)


def test_a_referrer_of_the_retired_type_goes_with_its_module(tmp_path: Path) -> None:
    content = a_module("1.0.0")
    digest = _retired(content)
    with MemoryRegistry({"app": content}, referrers=True) as source:
        assert exported(tmp_path / "b.tar.zst", f"{source.host}/app").exit_code == 0
    with open_bundle(tmp_path / "b.tar.zst") as bundle:
        assert digest in {blob.digest for blob in bundle.inventory.manifests}


# --- every command reads them -------------------------------------------------------------------------


def _odd(change: Callable[[Document], Document]) -> Callable[[Content], object]:
    """Return what adds an image whose manifest is changed so."""

    def add(content: Content) -> None:
        layers = [content.add_blob(b"odd layer"), content.add_blob(b"another")]
        content.add_manifest(change(manifest_document(content.add_blob(b"{}"), layers)), "odd")

    return add


def _with_layer(**fields: Any) -> Callable[[Document], Document]:
    """Return what changes the first layer; None removes a field."""

    def change(document: Document) -> Document:
        first = {**document["layers"][0], **fields}
        first = {name: value for name, value in first.items() if value is not REMOVED}
        return {**document, "layers": [first, *document["layers"][1:]]}

    return change


def _retired(content: Content) -> str:
    """Add a referrer of the retired type; return its digest."""
    subject = content.tags["1.0.0"]
    artifact = {
        "mediaType": ARTIFACT_MANIFEST,
        "artifactType": "application/x",
        "blobs": [content.add_blob(b"signature")],
        "subject": document_of(Descriptor(OCI_MANIFEST, subject, len(content.manifests[subject][1]))),
    }
    return str(content.add_manifest(artifact)["digest"])


def _odd_index(content: Content) -> None:
    children = [content.add_image(name) | {"annotations": {"none": None}} for name in ("one", "two")]
    content.add_manifest(index_document(*children, annotations={"none": None, "long": "x" * 900_000}), "odd")


REMOVED = object()
ODD: dict[str, Callable[[Content], object]] = {
    "a null annotation": _odd(lambda document: document | {"annotations": {"none": None, "some": "text"}}),
    "no annotations but null": _odd(lambda document: document | {"annotations": None}),
    "a null annotation of a layer": _odd(_with_layer(annotations={"none": None})),
    "no media type of a layer": _odd(_with_layer(mediaType=REMOVED)),
    "a null media type of a layer": _odd(_with_layer(mediaType=None)),
    "an empty media type of a layer": _odd(_with_layer(mediaType="")),
    "a very long annotation": _odd(lambda document: document | {"annotations": {"long": "x" * 2_000_000}}),
    "an index with odd annotations": _odd_index,
    "a retired artifact manifest": _retired,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ODD)
def test_every_command_carries_what_peers_carry(kind: str, fresh: Fresh, tmp_path: Path) -> None:
    content, path = a_module("1.0.0"), fresh("app")
    ODD[kind](content)
    base, night, whole, merged = (
        tmp_path / f"{name}.tar.zst" for name in ("base", "night", "whole", "merged")
    )
    with MemoryRegistry({path: content}, referrers=True) as source, writable_registry(tmp_path / "t") as to:
        export = ["export", f"{source.host}/{path}", "-q", "-o"]
        target = f"oci://{to.address}/mirror"
        assert run([*export, str(base)]) == 0
        assert run(["import", str(base), "--to", target, "-q"]) == 0
        assert run(["verify", str(base), "--against", target, "--deep", "-q"]) == 0
        add_version(content, "1.1.0")
        assert run([*export, str(night), "--base", str(base)]) == 0
        assert run([*export, str(whole)]) == 0
        assert run(["import", str(night), "--to", target, "-q"]) == 0
        assert run(["import", str(whole), "--to", target, "-q"]) == 0
        assert run(["verify", str(whole), "--against", target, "--deep", "-q"]) == 0
    assert run(["merge", str(base), str(night), "-o", str(merged), "-q"]) == 0
    assert merged.read_bytes() == whole.read_bytes()
    assert run(["inspect", str(merged)]) == 0
