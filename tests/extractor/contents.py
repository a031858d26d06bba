"""Versions with layers that can be unpacked, and bundles of them."""

from __future__ import annotations

import gzip
from pathlib import Path

from bundler.bundle.reader import Bundle, open_bundle
from bundler.oci.digest import Descriptor
from bundler.timoni.module import archive, pack_module
from tests.builders import EMPTY_TYPE, TIMONI_LAYER, Content, a_bundle, manifest_document, members_of

SOURCE = "ghcr.io/team/modules/app"
HELM_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
FLUX_LAYER = "application/vnd.cncf.flux.content.v1.tar+gzip"

MODULE = {
    "timoni.cue": b"package main\n",
    "templates/config.cue": b"#Config: {}\n",
    "cue.mod/module.cue": b'module: "timoni.sh/app"\n',
    "cue.mod/gen/k8s.io/api/core/v1/pod.cue": b"package v1\n" * 200,
}


def a_packed_module(*versions: str) -> Content:
    """Versions as `timoni mod push` makes them, each with a file that says which it is."""
    content = Content()
    for version in versions:
        files = {**MODULE, "VERSION": version.encode()}
        source = "https://example.com/app"
        packed = pack_module(
            files, version=version, created="2026-01-01T00:00:00Z", source=source, revision="x"
        )
        content.blobs |= {blob.digest: data for blob, data in packed.blobs.items()}
        content.add_bytes(packed.manifest.data, packed.manifest.blob.media_type, version)
    return content


def a_version_of(*layers: bytes, media_type: str = TIMONI_LAYER) -> Content:
    """One version, `1.0.0`, of these layers."""
    content = Content()
    parts = [content.add_blob(layer, media_type) for layer in layers]
    content.add_manifest(manifest_document(content.add_blob(b"{}", EMPTY_TYPE), parts), "1.0.0")
    return content


def layer_of(files: dict[str, bytes]) -> bytes:
    """Files as a layer."""
    return gzip.compress(b"".join(archive(files)), 1, mtime=0)


def bundle_of(folder: Path, content: Content, name: str = SOURCE) -> Bundle:
    """A bundle file of one repository, opened."""
    return open_bundle(a_bundle(folder / "b.tar.zst", {name: content}))


def unpacked_bundle(folder: Path, content: Content) -> Path:
    """The same as a directory, for a test to damage."""
    for name, data in members_of({SOURCE: content}):
        (folder / "bundle" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "bundle" / name).write_bytes(data)
    return folder / "bundle"


def largest(content: Content) -> Descriptor:
    """The largest blob."""
    digest, data = max(content.blobs.items(), key=lambda item: len(item[1]))
    return Descriptor("", digest, len(data))


def files_in(folder: Path) -> dict[str, bytes]:
    """What a directory holds."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
