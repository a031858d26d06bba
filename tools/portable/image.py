"""The container image of the program: an OCI archive, written without a container engine.

Its one layer is the portable folder, with a home and a folder for temporary files. There is no shell in it,
so the entry point starts the dynamic linker as the wrapper does.
Sources: image-spec 1.1, config.md, image-layout.md, annotations.md.
"""

from __future__ import annotations

import hashlib
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bundler.about import PROGRAM, VERSION
from bundler.bundle.bundle_format import END_OF_ARCHIVE, member_header, padding
from bundler.bundle.inventory import REF_NAME, descriptor
from bundler.bundle.member_encoding import member_of
from bundler.layout import INDEX_FILE, LAYOUT, LAYOUT_FILE
from bundler.oci import Descriptor, sha256, strict_json
from bundler.oci.manifest import OCI_INDEX, OCI_MANIFEST
from bundler.timoni.module import gzip
from tools.portable.archive import Owned, write_tar

USER = 65532
"""Nobody in particular: as other images without a shell have it, and as the Kubernetes examples say."""

PLACE = f"opt/{PROGRAM}"

HOME = f"/home/{PROGRAM}"

DIRECTORIES = (
    Owned("home", 0o755),
    Owned(HOME.lstrip("/"), 0o700, USER),
    Owned("opt", 0o755),
    Owned("tmp", 0o1777),
)

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""Go's names, which OCI uses, by those of the kernel."""

DESCRIPTION = "Carries Timoni modules and other OCI artifacts across an air gap"

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


def write_image(out: Path, folder: Path, machine: str, loader: str, time: int) -> None:
    """Write the archive of an image with `folder` as its layer; its tag is the version."""
    layer = io.BytesIO()
    write_tar(layer, folder, PLACE, time, directories=DIRECTORIES)
    packed = gzip(layer.getvalue())
    created = datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    diff_id = f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"
    config = strict_json.canonical(config_of(ARCHITECTURES[machine], loader, created, diff_id))
    blobs = {_blob(CONFIG_TYPE, config): config, _blob(LAYER_TYPE, packed): packed}
    manifest = _manifest([*blobs], created)
    root = _blob(OCI_MANIFEST, manifest)
    out.write_bytes(b"".join(_members(root, {**blobs, root: manifest})))


def config_of(architecture: str, loader: str, created: str, diff_id: str) -> dict[str, Any]:
    """Return the image's configuration."""
    lib = f"/{PLACE}/lib"
    python = f"{lib}/python3"
    start = [f"{lib}/{loader}", "--inhibit-cache", "--argv0", python, "--library-path", lib]
    return {
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": f"{USER}:{USER}",
            "Env": [f"HOME={HOME}", f"PATH=/{PLACE}:/usr/local/bin:/usr/bin:/bin"],
            "Entrypoint": [*start, python, "-I", "-S", f"{lib}/start.pyc", PROGRAM],
            "WorkingDir": HOME,
            "Labels": labels(created),
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": "tools/portable"}],
    }


def labels(created: str) -> dict[str, str]:
    """Return the labels of the image, which are also the annotations of its manifest."""
    return {
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.description": DESCRIPTION,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.title": PROGRAM,
        "org.opencontainers.image.version": VERSION,
    }


def _manifest(blobs: list[Descriptor], created: str) -> bytes:
    config, *layers = map(descriptor, blobs)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config,
        "layers": layers,
        "annotations": labels(created),
    }
    return strict_json.canonical(document)


def _members(root: Descriptor, blobs: dict[Descriptor, bytes]) -> list[bytes]:
    entry = {**descriptor(root), "annotations": {REF_NAME: VERSION}}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    files = {LAYOUT_FILE: LAYOUT, INDEX_FILE: strict_json.canonical(index)}
    files |= {member_of(blob).name: data for blob, data in blobs.items()}
    members = [member_header(name, len(data)) + data + padding(len(data)) for name, data in files.items()]
    return [*members, END_OF_ARCHIVE]


def _blob(media_type: str, data: bytes) -> Descriptor:
    return Descriptor(media_type, sha256(data), len(data))
