"""The container image: taken by skopeo, carried by an export, and run from its layer alone."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.about import VERSION
from bundler.oci.reference import RepositoryName, Tag
from bundler.registry.registries import Registries
from tests.builders import a_module
from tests.doubles import MemoryRegistry
from tests.portable.conftest import Built
from tests.portable.sandbox import check_namespaces, ended, unpack
from tests.registries import RealRegistry, require
from tools.portable.image import USER


@pytest.fixture(scope="module")
def layout(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image as an unpacked layout."""
    folder = tmp_path_factory.mktemp("layout")
    unpack(built.image, folder)
    return folder


def blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


def manifest_of(layout: Path) -> dict[str, list[dict[str, str]]]:
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == VERSION
    return dict(json.loads(blob(layout, entry["digest"]).read_text()))


def test_an_export_carries_the_image_like_any_other(
    built: Built, source_registry: RealRegistry, target_registry: RealRegistry, fresh: Callable[[str], str],
    tmp_path: Path,
) -> None:  # fmt: skip
    path = fresh("tool")
    copy = [require("skopeo"), "copy", "--dest-tls-verify=false", f"oci-archive:{built.image}"]
    subprocess.run(
        [*copy, f"docker://{source_registry.host}/{path}:{VERSION}"], check=True, capture_output=True
    )
    bundle = str(tmp_path / "tool.tar.zst")
    assert run(["export", f"{source_registry.host}/{path}:{VERSION}", "-o", bundle, "-q"]) == 0
    assert run(["import", bundle, "--to", f"oci://{target_registry.host}/mirror", "-q"]) == 0
    digests = {
        Registries().target(RepositoryName.parse(name)).digest_of(Tag(VERSION))
        for name in (f"{source_registry.host}/{path}", f"{target_registry.host}/mirror/{path}")
    }
    assert len(digests) == 1
    assert None not in digests


def test_the_layer_alone_runs_an_export(layout: Path, tmp_path: Path) -> None:
    """As a container engine starts it: the layer as the root, the user, the environment, the entry point."""
    check_namespaces()
    manifest = manifest_of(layout)
    config = json.loads(blob(layout, dict(manifest)["config"]["digest"]).read_text())["config"]  # type: ignore[call-overload]
    (layer,) = manifest["layers"]
    root = tmp_path / "root"
    unpack(blob(layout, layer["digest"]), root)
    (root / "data").mkdir()
    os.chown(root / "data", USER, USER)
    environment = dict(variable.split("=", 1) for variable in config["Env"])
    enter = [require("chroot"), f"--userspec={config['User']}", str(root), *config["Entrypoint"]]
    assert ended([*enter, "--version"], environment).stdout == f"timoni-bundler {VERSION}\n"
    assert "sh" not in {path.name for path in root.rglob("*")}
    with MemoryRegistry({"app": a_module("1.0.0")}) as registry:
        words = ["export", f"{registry.host}/app", "-o", "/data/app.tar.zst", "--store", "/data/store"]
        done = ended([*enter, *words], environment)
    assert done.returncode == 0, done.stderr
    assert ended([*enter, "verify", "/data/app.tar.zst"], environment).returncode == 0
    assert (root / "data" / "app.tar.zst").stat().st_uid == USER
    done = ended([*enter, "demo", "--directory", "/data/demo"], environment)
    assert "12 of 12 tags" in done.stdout, done.stderr
