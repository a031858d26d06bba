"""One version as an OCI archive, read by programs that nobody here wrote."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from bundler.bundle.inventory import REF_NAME
from bundler.bundle.reader import open_bundle
from bundler.errors import IntegrityError, LocalError, UsageError
from bundler.extractor import Extracted, extract
from bundler.oci import strict_json
from bundler.oci.manifest import ACCEPTED
from bundler.session import Session
from tests.builders import SHAPES, Content, a_bundle
from tests.extractor.contents import SOURCE, a_packed_module, bundle_of, largest, unpacked_bundle
from tests.registries import RealRegistry, require


def archived(folder: Path, content: Content, tag: str = "1.0.0") -> tuple[Path, Extracted]:
    """A version of a bundle, as an archive."""
    out = folder / "out.tar"
    with bundle_of(folder, content) as bundle:
        return out, extract(bundle, f"{SOURCE}:{tag}", out, Session())


def skopeo(*arguments: str) -> str:
    done = subprocess.run(
        [require("skopeo"), "--insecure-policy", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape", ["module", "index", "docker image", "docker list", "artifact", "data field", "two layers"]
)
def test_skopeo_copies_it_to_a_registry_and_the_digest_stays(
    shape: str, target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    content, name = SHAPES[shape](), fresh("app")
    tag, digest = next(iter(content.tags.items()))
    out, _ = archived(tmp_path, content, tag)
    options = ["--all", "--preserve-digests", "--dest-tls-verify=false"]
    # By name, skopeo up to 1.9 finds OCI's types only.
    named = "" if shape.startswith("docker") else f":{tag}"
    skopeo("copy", *options, f"oci-archive:{out}{named}", f"docker://{target_registry.host}/{name}:{tag}")
    headers = {"Accept": ", ".join(ACCEPTED)}
    answer = requests.head(f"{target_registry.base}/v2/{name}/manifests/{tag}", headers=headers, timeout=300)
    assert answer.headers["Docker-Content-Digest"] == digest


def test_without_a_tag_skopeo_takes_the_only_one(tmp_path: Path) -> None:
    content = a_packed_module("1.0.0", "2.0.0")
    digest = content.tags["2.0.0"]
    with bundle_of(tmp_path, content) as bundle:
        done = extract(bundle, f"@{digest}", tmp_path / "out.tar", Session())
    shown = skopeo("inspect", "--raw", f"oci-archive:{tmp_path / 'out.tar'}")
    assert shown.encode() == content.manifests[digest][1]
    assert (done.reference, done.digest) == (digest, digest)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_a_layout_of_the_version_and_nothing_else(shape: str, tmp_path: Path) -> None:
    content = SHAPES[shape]()
    tag, digest = next(iter(content.tags.items()))
    out, done = archived(tmp_path, content, tag)
    with tarfile.open(out) as file:
        members = {member.name: member for member in file}
        held = {name: reader.read() for name in members if (reader := file.extractfile(name))}
    assert all((member.isreg(), member.mode, member.mtime) == (True, 0o644, 0) for member in members.values())
    entries = json.loads(held["index.json"])["manifests"]
    assert [(entry["digest"], entry["annotations"]) for entry in entries] == [(digest, {REF_NAME: tag})]
    assert json.loads(held["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    everything = {found.path: data for found, data in content.everything()}
    blobs = {name: data for name, data in held.items() if name.startswith("blobs/")}
    assert blobs.items() <= everything.items()
    assert (done.form, done.items, done.size) == ("oci-archive", len(blobs), sum(map(len, blobs.values())))


def test_a_version_has_the_same_bytes_from_whatever_bundle(tmp_path: Path) -> None:
    module = a_packed_module("1.0.0", "1.1.0")
    alone = Content({"1.0.0": module.tags["1.0.0"]}, module.manifests, module.blobs)
    archives = []
    for number, contents in enumerate(({SOURCE: alone}, {"a.example/z": SHAPES["index"](), SOURCE: module})):
        with open_bundle(a_bundle(tmp_path / f"{number}.tar.zst", contents)) as bundle:
            extract(bundle, "app:1.0.0", tmp_path / f"{number}.tar", Session())
        archives.append((tmp_path / f"{number}.tar").read_bytes())
    assert archives[0] == archives[1]


# --- what is there already, and what is damaged ------------------------------------------------------


def test_an_archive_is_replaced_only_by_force(tmp_path: Path) -> None:
    """Case 109."""
    out = tmp_path / "out.tar"
    out.write_text("dear diary")
    with bundle_of(tmp_path, a_packed_module("1.0.0")) as bundle:
        with pytest.raises(UsageError, match="--force"):
            extract(bundle, "app:1.0.0", out, Session())
        assert out.read_text() == "dear diary"
        extract(bundle, "app:1.0.0", out, Session(), force=True)
    assert tarfile.is_tarfile(out)


def test_a_directory_is_not_replaced_by_force(tmp_path: Path) -> None:
    """Case 109."""
    (tmp_path / "out.tar").mkdir()
    with bundle_of(tmp_path, a_packed_module("1.0.0")) as bundle, pytest.raises(UsageError, match="another"):
        extract(bundle, "app:1.0.0", tmp_path / "out.tar", Session(), force=True)


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    """Case 109."""
    with bundle_of(tmp_path, a_packed_module("1.0.0")) as bundle, pytest.raises(LocalError, match="nowhere"):
        extract(bundle, "app:1.0.0", tmp_path / "nowhere" / "out.tar", Session())


@pytest.mark.parametrize("damage", [b"", b"other bytes", None])
def test_a_damaged_blob_leaves_no_archive(damage: bytes | None, tmp_path: Path) -> None:
    """Case 50."""
    content = a_packed_module("1.0.0")
    folder = unpacked_bundle(tmp_path, content)
    blob = folder / largest(content).digest.path
    blob.unlink() if damage is None else blob.write_bytes(damage)
    with open_bundle(folder) as bundle, pytest.raises(IntegrityError):
        extract(bundle, "app:1.0.0", tmp_path / "out.tar", Session())
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_what_a_bundle_does_not_list_is_missing(tmp_path: Path) -> None:
    """Case 50."""
    content = a_packed_module("1.0.0")
    gone = largest(content).digest
    folder = unpacked_bundle(tmp_path, content)
    inventory = json.loads((folder / "bundle.json").read_bytes())
    inventory["blobs"] = [blob for blob in inventory["blobs"] if blob["digest"] != gone]
    (folder / "bundle.json").write_bytes(strict_json.canonical(inventory))
    with open_bundle(folder) as bundle, pytest.raises(IntegrityError, match=f"{gone}: missing, but"):
        extract(bundle, "app:1.0.0", tmp_path / "out.tar", Session())
