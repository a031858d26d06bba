"""H. A power cut at every moment of a run: case 118. What is true after each: a final name holds what it
held before, or all of the new; after exit 0, the new.

All states that a disk may be in are worked out from the calls of one run (`tests/powercut.py`); where
the machine allows it, a real file system is cut too.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundler.__main__ import run
from tests.builders import Content, a_bundle, manifest_document, noise
from tests.doubles import MemoryRegistry
from tests.extractor.contents import a_packed_module
from tests.powercut import Disk, Tree, calls_of
from tests.registries import RealRegistry
from tests.sweeps import LoadedProgram


def cut_everywhere(program: LoadedProgram, folder: Path, command: list[str], *names: str) -> int:
    """The number of states. Each is asserted to hold at `names`, and at every blob, what it may."""
    disk = Disk(folder)
    before = disk.tree()
    calls = calls_of(program, folder, *command)
    after = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    states = 0
    for call in calls:
        if disk.take(call):
            for tree in disk.after_cuts():
                _assert_old_or_new(tree, before, after, names)
                states += 1
    # The model is right: in the end it has what the folder has.
    assert disk.tree() == after
    certain = disk.certain()
    for name in names:
        assert certain.get(name) == after.get(name), f"{name} is not durable after exit 0"
    _assert_old_or_new(certain, before, after, names)
    return states


def _assert_old_or_new(tree: Tree, before: Tree, after: Tree, names: tuple[str, ...]) -> None:
    for name in names:
        assert tree.get(name) in (None, before.get(name), after[name]), name
        assert name in tree or name not in before, f"{name} is gone"
    for name, data in tree.items():
        if "/blobs/" in f"/{name}":
            assert hashlib.sha256(data).hexdigest() == name.rpartition("/")[2], name
        if name.endswith("bundle.json"):
            _assert_has_all(tree, name.removesuffix("bundle.json"), json.loads(data))
        if name.endswith(".tar.zst.sha256") and (bundle := tree.get(name.removesuffix(".sha256"))):
            assert data.split()[0].decode() == hashlib.sha256(bundle).hexdigest(), "the sidecar is of another"


def _assert_has_all(tree: Tree, folder: str, inventory: dict[str, list[dict[str, str]]]) -> None:
    """I2: what a directory names is there."""
    for blob in (*inventory["manifests"], *inventory["blobs"]):
        assert f"{folder}blobs/{blob['digest'].replace(':', '/')}" in tree, (
            "bundle.json names what is not there"
        )


def test_a_cut_while_a_bundle_is_made_leaves_none_or_a_whole_one(
    program: LoadedProgram, host: str, tmp_path: Path
) -> None:
    """Case 118."""
    folder = tmp_path / "here"
    folder.mkdir()
    command = ["export", f"{host}/app", "-o", str(folder / "b.tar.zst"), "-q"]
    assert cut_everywhere(program, folder, command, "b.tar.zst") > 1_000


def test_a_cut_while_replacing_a_bundle_leaves_the_old_or_new(
    program: LoadedProgram, host: str, tmp_path: Path
) -> None:
    """Case 118."""
    folder = tmp_path / "here"
    folder.mkdir()
    options = ["-o", str(folder / "b.tar.zst"), "--store", str(folder / "store"), "-q"]
    assert run(["export", f"{host}/app:1.0.0", *options]) == 0
    assert cut_everywhere(program, folder, ["export", f"{host}/app", *options], "b.tar.zst") > 1_000


def test_a_cut_while_making_a_directory_leaves_none_or_all_of_it(
    program: LoadedProgram, host: str, tmp_path: Path
) -> None:
    """Case 118."""
    folder = tmp_path / "here"
    folder.mkdir()
    command = ["export", f"{host}/app", "-o", str(folder / "layout"), "-q"]
    names = ("layout/bundle.json", "layout/index.json", "layout/oci-layout")
    assert cut_everywhere(program, folder, command, *names) > 1_000


def test_a_cut_while_a_directory_grows_loses_nothing_old(
    program: LoadedProgram, host: str, tmp_path: Path
) -> None:
    """Case 118."""
    folder = tmp_path / "here"
    folder.mkdir()
    options = ["-o", str(folder / "layout"), "-q"]
    assert run(["export", f"{host}/app:1.0.0", *options]) == 0
    names = ("layout/bundle.json", "layout/index.json", "layout/oci-layout")
    assert cut_everywhere(program, folder, ["export", f"{host}/app", *options], *names) > 1_000


def test_a_cut_while_making_a_delta_loses_no_earlier_night(
    program: LoadedProgram, host: str, tmp_path: Path
) -> None:
    """Case 118."""
    folder = tmp_path / "here"
    folder.mkdir()
    job = ["--store", str(folder / "store"), "--base", "last", "-q"]
    assert run(["export", f"{host}/app:1.0.0", "-o", str(folder / "0.tar.zst"), *job]) == 0
    command = ["export", f"{host}/app", "-o", str(folder / "1.tar.zst"), *job]
    names = ("0.tar.zst", "1.tar.zst", "store/.journal.json")
    assert cut_everywhere(program, folder, command, *names) > 1_000


def test_a_cut_while_merging_leaves_none_or_a_whole_bundle(
    program: LoadedProgram, host: str, tmp_path: Path
) -> None:
    """Case 118."""
    folder, chain = tmp_path / "here", [str(tmp_path / f"{number}.tar.zst") for number in range(2)]
    folder.mkdir()
    job = ["--store", str(tmp_path / "store"), "--base", "last", "-q"]
    for source, out in zip(("app:1.0.0", "app"), chain, strict=True):
        assert run(["export", f"{host}/{source}", "-o", out, *job]) == 0
    command = ["merge", *chain, "-o", str(folder / "full.tar.zst"), "-q"]
    assert cut_everywhere(program, folder, command, "full.tar.zst") > 10


def test_a_cut_while_writing_volumes_leaves_each_absent_or_whole(
    program: LoadedProgram, tmp_path: Path
) -> None:
    """Case 118."""
    folder = tmp_path / "here"
    folder.mkdir()
    content = Content()
    layer = content.add_blob(noise("large", 300 << 10))
    content.add_manifest(manifest_document(content.add_blob(b"{}"), [layer]), "1.0.0")
    size = ["--volume-size", "128KiB", "--parity", "40", "-q"]
    with MemoryRegistry({"app": content}) as registry:
        command = ["export", f"{registry.host}/app", "-o", str(folder / "b.tar.zst"), *size]
        names = [f"b.tar.zst.{end}" for end in ("001", "002", "003", "p01", "p02")]
        assert cut_everywhere(program, folder, command, *names) > 1_000


def test_a_cut_during_an_import_leaves_each_file_old_or_new(
    program: LoadedProgram, target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    """Case 118."""
    folder = tmp_path / "here"
    folder.mkdir()
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_packed_module("1.0.0")})
    (folder / "report").write_text("an older one")
    options = {"--rollback-file": "back", "--receipt": "receipt", "--report": "report"}
    files = [word for option, name in options.items() for word in (option, str(folder / name))]
    command = ["import", str(bundle), "--to", f"{target_registry.host}/{fresh('cut')}", *files, "-q"]
    assert cut_everywhere(program, folder, command, "receipt", "report") > 10
    assert json.loads((folder / "back").read_text())["done"] is True


@pytest.mark.parametrize("out", ["one.tar", "files"])
def test_a_cut_while_extracting_leaves_none_or_all_of_it(
    out: str, program: LoadedProgram, tmp_path: Path
) -> None:
    """Case 118."""
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_packed_module("1.0.0")})
    folder, elsewhere = tmp_path / "here", tmp_path / out
    folder.mkdir()
    command = ["extract", str(bundle), "app:1.0.0", "-q", "-o"]
    assert run([*command, str(elsewhere)]) == 0
    files = [path for path in (elsewhere, *elsewhere.rglob("*")) if path.is_file()]
    names = [str(path.relative_to(tmp_path)) for path in files]
    assert cut_everywhere(program, folder, [*command, str(folder / out)], *names) > 10


@pytest.mark.parametrize("option", ["--report", "--lock"])
def test_a_cut_while_writing_a_small_file_leaves_old_or_new(
    option: str, program: LoadedProgram, host: str, tmp_path: Path
) -> None:
    """Case 118."""
    folder = tmp_path / "here"
    folder.mkdir()
    name = option.strip("-")
    if option == "--report":
        (folder / name).write_text("an older one")
    command = [
        "export",
        f"{host}/app:1.0.0",
        "-o",
        str(tmp_path / "b.tar.zst"),
        option,
        str(folder / name),
        "-q",
    ]
    assert cut_everywhere(program, folder, command, name) > 1


def test_a_run_that_finds_all_done_makes_sure_of_it(
    program: LoadedProgram, host: str, tmp_path: Path
) -> None:
    """A run that was killed after its last rename left names that are not durable yet. Case 118."""
    folder = tmp_path / "here"
    folder.mkdir()
    command = ["export", f"{host}/app", "-o", str(folder / "b.tar.zst"), "-q"]
    assert run(command) == 0
    assert "." in {point.path for point in program.points_of(folder, *command, calls="fsync")}


def test_the_check_finds_a_missing_sync(program: LoadedProgram, host: str, tmp_path: Path) -> None:
    """Without one of its syncs, the same run is told to be wrong: for most of them, at least. Case 118."""
    folder = tmp_path / "here"
    folder.mkdir()
    disk = Disk(folder)
    command = ["export", f"{host}/app", "-o", str(folder / "b.tar.zst"), "-q"]
    calls = calls_of(program, folder, *command)
    wrong = False
    for call in calls:
        if call.name == "fsync" and call.places[0].endswith(".b.tar.zst.tmp"):
            continue
        if disk.take(call):
            found = {tree["b.tar.zst"] for tree in disk.after_cuts() if "b.tar.zst" in tree}
            wrong = wrong or bool(found - {(folder / "b.tar.zst").read_bytes()})
    assert wrong


# --- a real file system ------------------------------------------------------------------------------


@contextmanager
def ext4(folder: Path) -> Iterator[Path]:
    """An ext4 of 32 MiB in a file, mounted; it keeps what it writes in memory as long as it may."""
    image, here = folder / "disk", folder / "mounted"
    here.mkdir()
    with image.open("wb") as file:
        file.truncate(32 << 20)
    made = _done("mkfs.ext4", "-q", "-F", str(image))
    mounted = made and _done("mount", "-o", "loop,commit=300", str(image), str(here))
    if not mounted:
        # Also in continuous integration: the states that can be worked out are checked anywhere.
        pytest.skip("no loop device can be mounted here: power cuts are worked out, not made")
    try:
        yield here
    finally:
        _done("umount", "-l", str(here))


def _done(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def after_a_cut(folder: Path, number: int) -> Iterator[Path]:
    """What the disk would hold if the power went now: a copy of its image, mounted (its journal replayed)."""
    copy, there = folder / f"cut{number}", folder / f"there{number}"
    shutil.copyfile(folder / "disk", copy)
    there.mkdir()
    assert _done("mount", "-o", "loop", str(copy), str(there))
    try:
        yield there
    finally:
        _done("umount", str(there))
        copy.unlink()


def test_a_real_disk_that_is_cut_holds_none_or_a_whole_bundle(
    program: LoadedProgram, host: str, tmp_path: Path
) -> None:
    """Stopped before every sync and rename; the image then has what reached the disk, no more. Case 118."""
    with ext4(tmp_path) as disk:
        folder = disk / "here"
        folder.mkdir()
        command = ["export", f"{host}/app", "-o", str(folder / "b.tar.zst"), "-q", "-j", "1"]
        points = program.points_of(folder, *command, calls="fsync,?rename,?renameat,?renameat2")
        whole = (folder / "b.tar.zst").read_bytes()
        for number, point in enumerate(points):
            shutil.rmtree(folder)
            folder.mkdir()
            assert program.struck(folder, point, "signal=KILL", *command).code == -signal.SIGKILL
            with after_a_cut(tmp_path, number) as there:
                found = there / "here" / "b.tar.zst"
                assert not found.exists() or found.read_bytes() == whole, point
        assert run(command) == 0
        with after_a_cut(tmp_path, len(points)) as there:
            assert run(["verify", str(there / "here" / "b.tar.zst"), "-q"]) == 0
            assert (there / "here" / "b.tar.zst.sha256").exists()
    assert len(points) >= 10
