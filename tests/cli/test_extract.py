"""`timoni-bundler extract` as a user calls it."""

from __future__ import annotations

import json
import shutil
import signal
import tarfile
from pathlib import Path

import pytest

import bundler
from bundler.__main__ import run
from tests.builders import Content, a_bundle, manifest_document
from tests.extractor.contents import (
    HELM_LAYER,
    MODULE,
    SOURCE,
    a_packed_module,
    a_version_of,
    files_in,
    layer_of,
)
from tests.schema_checks import valid
from tests.sweeps import LoadedProgram

Output = pytest.CaptureFixture[str]

WRITES = "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2"
APP = a_packed_module("1.0.0", "1.1.0")


@pytest.fixture
def packed(tmp_path: Path) -> str:
    """A bundle with two versions."""
    return str(a_bundle(tmp_path / "b.tar.zst", {SOURCE: APP}))


def test_an_archive_is_told_with_its_digest(packed: str, tmp_path: Path, capsys: Output) -> None:
    out = tmp_path / "app.oci.tar"
    assert run(["extract", packed, "app:1.0.0", "-o", str(out), "-q"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{out}: {SOURCE}:1.0.0, 4 blobs, ")
    assert said.out.splitlines()[1:] == [f"digest {APP.tags['1.0.0']}"]
    assert said.err == ""
    assert tarfile.is_tarfile(out)


def test_a_directory_holds_the_files(packed: str, tmp_path: Path, capsys: Output) -> None:
    assert run(["extract", packed, f"@{APP.tags['1.1.0']}", "-o", str(tmp_path / "app")]) == 0
    said = capsys.readouterr()
    assert f"app: {APP.tags['1.1.0']}, {len(MODULE) + 1} files, " in said.out
    assert "verifying: 2 of 2" in said.err
    assert files_in(tmp_path / "app") == {**MODULE, "VERSION": b"1.1.0"}


@pytest.mark.parametrize("name", ["app.tar", "app"])
def test_the_json_is_what_its_schema_says(packed: str, name: str, tmp_path: Path, capsys: Output) -> None:
    assert run(["extract", packed, "app:1.0.0", "-o", str(tmp_path / name), "--json", "-q"]) == 0
    document = json.loads(capsys.readouterr().out)
    valid("extracted", document)
    assert document["path"] == str(tmp_path / name)


def test_a_layer_that_is_not_unpacked_is_warned_of(tmp_path: Path, capsys: Output) -> None:
    content = Content()
    layers = [content.add_blob(layer_of({"a": b"x"}), HELM_LAYER), content.add_blob(b"signed", "text/plain")]
    content.add_manifest(manifest_document(content.add_blob(b"{}"), layers), "1.0.0")
    path = a_bundle(tmp_path / "helm.tar.zst", {SOURCE: content})
    assert run(["extract", str(path), "app:1.0.0", "-o", str(tmp_path / "app"), "-q"]) == 0
    assert (
        f"not unpacked, because it is not an archive of files: {layers[1]['digest']}"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("reference", "out", "code", "told"),
    [
        ("app", "app.tar", 2, "it has no tag"),
        ("app:1.0.1", "app.tar", 4, "did you mean app:1.0.0"),
        ("app:1.0.0", "b.tar.zst", 2, "exists already"),
        ("app:1.0.0", ".", 2, "not empty"),
        ("app:1.0.0", "missing/app.tar", 9, "missing"),
        ("app:1.0.0", "missing/app", 9, "missing"),
    ],
)
def test_what_can_not_be_done_is_told_by_its_code(
    packed: str, reference: str, out: str, code: int, told: str, tmp_path: Path, capsys: Output
) -> None:
    assert run(["extract", packed, reference, "-o", str(tmp_path / out), "-q"]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert told in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.zst", "b.tar.zst.sha256"]


def test_force_replaces_an_archive(packed: str, tmp_path: Path) -> None:
    out = tmp_path / "app.tar"
    out.write_text("old")
    assert run(["extract", packed, "app:1.0.0", "-o", str(out), "-q"]) == 2
    assert run(["extract", packed, "app:1.0.0", "-o", str(out), "-q", "--force"]) == 0
    assert tarfile.is_tarfile(out)


@pytest.mark.parametrize("name", ["app.tar", "app"])
@pytest.mark.parametrize("fault", ["signal=KILL", "error=EIO"])
def test_a_fault_at_any_disk_call_leaves_it_absent_or_whole(
    name: str, fault: str, tmp_path: Path, program: LoadedProgram
) -> None:
    """Cases 115, 117."""
    content = a_version_of(layer_of({"folder/file": b"x" * 1000}))
    path = str(a_bundle(tmp_path / "b.tar.zst", {SOURCE: content}))
    out = tmp_path / "out" / name
    out.parent.mkdir()
    arguments = ["extract", path, "app:1.0.0", "-o", str(out), "-q"]
    points = program.points_of(out.parent, *arguments, calls=WRITES)
    assert len(points) >= 3
    expected = contents_of(out)
    for point in points:
        remove(out)
        ended = program.struck(out.parent, point, fault, *arguments)
        assert ended.code == (9 if fault == "error=EIO" else -signal.SIGKILL), (point, ended.said)
        assert not out.exists() or contents_of(out) == expected
        remove(out)
        assert run(arguments) == 0
        assert contents_of(out) == expected
        assert [entry.name for entry in out.parent.iterdir()] == [name]


def contents_of(out: Path) -> object:
    return files_in(out) if out.is_dir() else out.read_bytes()


def remove(out: Path) -> None:
    if out.is_dir():
        shutil.rmtree(out)
    else:
        out.unlink(missing_ok=True)


def test_the_python_api_does_the_same(packed: str, tmp_path: Path) -> None:
    with bundler.open_bundle(Path(packed)) as opened:
        done = bundler.extract(opened, "app:1.0.0", tmp_path / "app.tar", bundler.Session())
    assert isinstance(done, bundler.Extracted)
    assert (done.reference, done.digest) == (f"{SOURCE}:1.0.0", APP.tags["1.0.0"])
