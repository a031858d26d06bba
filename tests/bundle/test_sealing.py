"""What lies beside a bundle: there and right, not there, or an error."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.bundle import writer
from bundler.bundle.inventory import Inventory, encode_index
from bundler.bundle.reader import open_bundle
from bundler.bundle.sealing import check_sidecar, sidecar_of
from bundler.bundle.stream import BundleStream
from bundler.errors import ContentError, IntegrityError, LocalError
from bundler.importer import verify_bundle
from bundler.limits import DEFAULT_LIMITS
from tests.builders import a_bundle, a_module, members_of
from tests.doubles import MemoryRegistry

CONTENTS = {"h.example/app": a_module("1.0.0")}

ODD: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a directory": Path.mkdir,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link that leads nowhere": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("name", ODD)
def test_a_sidecar_that_is_there_and_unreadable_is_an_error(name: str, tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "b.tar.zst", CONTENTS, sidecar=False)
    ODD[name](sidecar_of(path))
    with open_bundle(path) as bundle, pytest.raises(LocalError, match=r"b\.tar\.zst\.sha256"):
        verify_bundle(bundle)


def test_a_sidecar_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "b.tar.zst", CONTENTS, sidecar=False)
    assert not check_sidecar(path, "0" * 64)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n\t\n",
        "# GOOD\n",
        "GOOD  b.tar.zst\nBAD  b.tar.zst\n",
        "BAD  ./b.tar.zst\nGOOD  b.tar.zst\n",
        "GOOD  B.TAR.ZST\nBAD *b.tar.zst\n",
        "GOOD b.tar.zst\n",
        "SHA256 (b.tar.zst) = GOOD\n",
        "\ufeffGOOD  b.tar.zst\n",
        "GOOD  b.tar.zst\n" + "x" * 64 * 1024 + "\nBAD  b.tar.zst\n",
    ],
)
def test_a_sidecar_that_states_something_else_is_an_error(text: str, tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "b.tar.zst", CONTENTS)
    digest = sidecar_of(path).read_text()[:64]
    sidecar_of(path).write_text(text.replace("GOOD", digest).replace("BAD", "0" * 64))
    with open_bundle(path) as bundle, pytest.raises(IntegrityError, match=r"b\.tar\.zst\.sha256"):
        verify_bundle(bundle)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["file", "volumes", "pipe"])
def test_an_altered_index_is_refused_in_every_form(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def altered(inventory: Inventory) -> bytes:
        return encode_index(inventory).replace(b"}]", b',"urls":["http://h.example"]}]')

    out = tmp_path / "b.tar.zst"
    options = ["--volume-size", "1MiB"] if form == "volumes" else []
    with monkeypatch.context() as patch, MemoryRegistry({"app": CONTENTS["h.example/app"]}) as server:
        patch.setattr(writer, "encode_index", altered)
        assert run(["export", f"{server.host}/app", "-o", str(out), "-q", *options]) == 0
    if form == "pipe":
        with out.open("rb") as file, pytest.raises(ContentError, match="not the index that follows"):
            BundleStream(file, DEFAULT_LIMITS).open()
        return
    with pytest.raises(ContentError, match="not the index that follows"), open_bundle(out):
        pass


# --- unpacked ----------------------------------------------------------------------------------------


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """A bundle as a directory."""
    for name, data in members_of(CONTENTS):
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_bytes(data)
    return tmp_path / "d"


def test_a_linked_blob_of_a_directory_is_named_as_that(unpacked: Path) -> None:
    blob = next((unpacked / "blobs" / "sha256").iterdir())
    blob.rename(unpacked / "elsewhere")
    blob.symlink_to(unpacked / "elsewhere")
    with pytest.raises(ContentError, match="a link, not a regular file"), open_bundle(unpacked) as bundle:
        verify_bundle(bundle)


def test_an_altered_index_of_a_directory_is_refused(unpacked: Path) -> None:
    index = unpacked / "index.json"
    index.write_bytes(index.read_bytes().replace(b'"schemaVersion":2', b'"schemaVersion":2,"x":1'))
    with pytest.raises(ContentError, match="not the index that follows"), open_bundle(unpacked):
        pass


def test_another_layout_file_of_a_directory_is_refused(unpacked: Path) -> None:
    (unpacked / "oci-layout").write_bytes(b'{"imageLayoutVersion": "1.0.0"}')
    with pytest.raises(ContentError, match="not an OCI image layout"), open_bundle(unpacked):
        pass


# --- names -------------------------------------------------------------------------------------------

NAMES = [
    b"with space.tar.zst",
    b"back\\slash.tar.zst",
    b"new\nline.tar.zst",
    b"\xff\xfe.tar.zst",
    b"\\n.tar.zst",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_sidecar_of_an_odd_name_is_one_for_sha256sum(name: bytes, tmp_path: Path) -> None:
    path = a_bundle(tmp_path / os.fsdecode(name), CONTENTS)
    sidecar = sidecar_of(path)
    checked = subprocess.run(["sha256sum", "-c", "--strict", sidecar.name], cwd=tmp_path, check=False)
    assert checked.returncode == 0
    lines = b"0" * 64 + b"  other.tar.zst\n" + sidecar.read_bytes()
    sidecar.write_bytes(lines)
    with open_bundle(path) as bundle:
        assert verify_bundle(bundle).warnings == ()
