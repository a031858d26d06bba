"""What peers copy from a registry is carried from end to end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bundler.bundle.reader import open_bundle
from bundler.oci.digest import Descriptor
from bundler.oci.manifest import ARTIFACT_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.builders import Content, a_module, document_of, manifest_document
from tests.doubles import MemoryRegistry
from tests.flows import exported, imported
from tests.registries import RealRegistry

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


def test_odd_layers_and_annotations_go_from_registry_to_registry(
    target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content = Content()
    document = manifest_document(content.add_blob(b"{}"), [content.add_blob(b"layer") | {"mediaType": ""}])
    content.add_manifest(document | {"annotations": {"none": None, "long": "x" * 1_000_000}}, "1.0.0")
    assert carried(content, fresh("odd"), target_registry, tmp_path) == (0, 0)


def test_a_referrer_of_the_retired_type_goes_with_its_module(tmp_path: Path) -> None:
    content = a_module("1.0.0")
    subject = content.tags["1.0.0"]
    artifact = {
        "mediaType": ARTIFACT_MANIFEST,
        "artifactType": "application/x",
        "blobs": [content.add_blob(b"signature")],
        "subject": document_of(Descriptor(OCI_MANIFEST, subject, len(content.manifests[subject][1]))),
    }
    digest = content.add_manifest(artifact)["digest"]
    with MemoryRegistry({"app": content}, referrers=True) as source:
        assert exported(tmp_path / "b.tar.zst", f"{source.host}/app").exit_code == 0
    with open_bundle(tmp_path / "b.tar.zst") as bundle:
        assert digest in {blob.digest for blob in bundle.inventory.manifests}
