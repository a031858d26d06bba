"""`timoni-bundler report` as a user calls it."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import bundler
from bundler.__main__ import run
from bundler.page.page_file import is_page
from bundler.page.values import Proof
from bundler.volumes.volume_writer import SMALLEST, Cut, split
from tests.builders import a_bundle, a_module
from tests.extractor.contents import unpacked_bundle
from tests.page.contents import APP, a_transfer
from tests.processes import bundler as program
from tests.sweeps import LoadedProgram

Output = pytest.CaptureFixture[str]

WRITES = "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2"


@pytest.fixture
def packed(tmp_path: Path) -> str:
    """A bundle."""
    return str(a_bundle(tmp_path / "b.tar.zst", a_transfer()))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the page goes."""
    return tmp_path / "report.html"


def test_the_bundle_of_a_page_is_told(packed: str, out: Path, capsys: Output) -> None:
    assert run(["report", packed, "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{out}: a page about ")
    assert said.out.splitlines()[1].startswith("bundle sha256:")
    assert "verifying: " in said.err
    assert "Every byte was checked." in out.read_text()
    assert "the .sha256 file beside it agrees" in out.read_text()


def test_the_same_command_gives_the_same_bytes(packed: str, out: Path) -> None:
    assert run(["report", packed, "-o", str(out), "-q"]) == 0
    first = out.read_bytes()
    assert run(["report", packed, "-o", str(out), "-q"]) == 0
    assert out.read_bytes() == first


@pytest.mark.slow
def test_a_page_goes_to_standard_output_alone(packed: str, out: Path) -> None:
    assert run(["report", packed, "-o", str(out), "-q"]) == 0
    ended = program("report", packed, "-o", "-", "-q")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == out.read_text()


def test_what_changed_is_told_for_every_older_bundle(packed: str, out: Path, tmp_path: Path) -> None:
    one = a_bundle(tmp_path / "one.tar.zst", {APP: a_module("1.0.0")})
    two = a_bundle(tmp_path / "two.tar.zst", {APP: a_module("2.0.0")})
    assert run(["report", packed, "-o", str(out), "--since", str(one), "--since", str(two), "-q"]) == 0
    assert "What changed since <bdi>one.tar.zst" in out.read_text()
    assert "What changed since <bdi>two.tar.zst" in out.read_text()


def test_a_title_stands_on_top_escaped(packed: str, out: Path) -> None:
    assert run(["report", packed, "-o", str(out), "--title", "Change <4711>", "-q"]) == 0
    assert "<h1><bdi>Change &lt;4711&gt;</bdi></h1>" in out.read_text()


def test_a_directory_has_a_page_too(out: Path, tmp_path: Path) -> None:
    folder = unpacked_bundle(tmp_path, a_module())
    assert run(["report", str(folder), "-o", str(out), "-q"]) == 0
    assert "a directory has none" in out.read_text()


def test_a_missing_sidecar_is_told(packed: str, out: Path) -> None:
    Path(f"{packed}.sha256").unlink()
    assert run(["report", packed, "-o", str(out), "-q"]) == 0
    assert "No .sha256 file lies beside it." in out.read_text()


# --- what it refuses ---------------------------------------------------------------------------------


def test_6_a_damaged_bundle_has_no_page(packed: str, out: Path, capsys: Output) -> None:
    data = bytearray(Path(packed).read_bytes())
    data[-100] ^= 1
    Path(packed).write_bytes(data)
    assert run(["report", packed, "-o", str(out), "-q"]) == 6
    assert not out.exists()
    assert "damaged" in capsys.readouterr().err


def test_what_was_not_checked_is_told(packed: str, out: Path, capsys: Output) -> None:
    Path(f"{packed}.sha256").write_text("0" * 64)
    assert run(["report", packed, "-o", str(out), "-q"]) == 6
    assert run(["report", packed, "-o", str(out), "-q", "--no-verify"]) == 0
    assert "The content was not checked." in out.read_text()
    assert "Every byte was checked." not in out.read_text()
    assert "the bundle has" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["bundle", "older"])
def test_4_what_is_not_there_is_named(missing: str, packed: str, out: Path, capsys: Output) -> None:
    nowhere = str(out.parent / "nowhere.tar.zst")
    names = [nowhere] if missing == "bundle" else [packed, "--since", nowhere]
    assert run(["report", *names, "-o", str(out), "-q"]) == 4
    assert "nowhere.tar.zst: not there" in capsys.readouterr().err
    assert not out.exists()


def test_7_what_is_no_bundle_is_refused(out: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    assert run(["report", str(tmp_path / "text"), "-o", str(out), "-q"]) == 7


def test_2_another_file_is_replaced_only_by_force(packed: str, out: Path, capsys: Output) -> None:
    out.write_text("<!doctype html>\nmine")
    assert run(["report", packed, "-o", str(out), "-q"]) == 2
    assert "it exists and is not a report page; choose another name, or --force" in capsys.readouterr().err
    assert out.read_text().endswith("mine")
    assert run(["report", packed, "-o", str(out), "-q", "--force"]) == 0
    assert is_page(out)


@pytest.mark.parametrize("name", ["b.tar.zst", "folder/report.html", "folder", "no/where.html", "pipe"])
def test_2_a_place_that_can_t_be_meant_is_refused_even_by_force(
    name: str, packed: str, tmp_path: Path, capsys: Output
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = Path(packed).read_bytes()
    arguments = ["report", packed, "-o", str(tmp_path / name), "--since", str(tmp_path / "folder"), "--force"]
    assert run(arguments) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert Path(packed).read_bytes() == before
    assert list((tmp_path / "folder").iterdir()) == []


# --- faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["signal=KILL", "error=EIO"])
def test_a_fault_at_any_write_leaves_the_older_page(
    fault: str, packed: str, tmp_path: Path, program: LoadedProgram
) -> None:
    """Cases 115, 117."""
    out = tmp_path / "out" / "report.html"
    out.parent.mkdir()
    arguments = ["report", packed, "-o", str(out), "-q"]
    points = program.points_of(out.parent, *arguments, calls=WRITES)
    whole = out.read_bytes()
    assert len(points) >= 3
    assert run([*arguments, "--title", "older"]) == 0
    older = out.read_bytes()
    for point in points:
        out.write_bytes(older)
        ended = program.struck(out.parent, point, fault, *arguments)
        assert ended.code == (9 if fault == "error=EIO" else -signal.SIGKILL), (point, ended.said)
        assert out.read_bytes() in (older, whole)
        assert run(arguments) == 0
        assert [entry.name for entry in out.parent.iterdir()] == ["report.html"]


@pytest.mark.slow
def test_a_closed_pipe_and_a_full_disk_are_told(packed: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = program_into(full.fileno(), packed)
    assert ended == 9


def program_into(stream: int, packed: str) -> int:
    """The exit code of a report that goes to this stream."""
    command = [sys.executable, "-m", "bundler", "report", packed, "-o", "-", "-q"]
    return subprocess.run(command, stdout=stream, stderr=subprocess.DEVNULL, check=False).returncode


def test_other_commands_load_no_templates() -> None:
    command = (
        "import sys; from bundler.__main__ import run; run(['--help']); sys.exit('jinja2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", command], capture_output=True, check=False).returncode == 0


def test_the_python_api_does_the_same(packed: str, out: Path) -> None:
    assert run(["report", packed, "-o", str(out), "-q"]) == 0
    with bundler.open_bundle(Path(packed)) as opened:
        bundler.verify_bundle(opened)
        page = bundler.page_of(opened, Proof(every_byte=True, sidecar=True), bundler.Session())
    assert bundler.render_page(page) == out.read_text()


def test_volumes_are_told_by_the_name_of_the_bundle_they_make(packed: str, out: Path, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(Path(packed).read_bytes()).hexdigest()
    medium = tmp_path / "medium"
    medium.mkdir()
    split(Path(packed), medium, Cut(SMALLEST))
    for named in (medium, medium / "b.tar.zst.001"):
        assert run(["report", str(named), "-o", str(out), "-q"]) == 0
        page = out.read_text()
        assert "<h1><bdi>b.tar.zst</bdi></h1>" in page
        assert "<bdi>b.tar.zst</bdi>, in 1 volume<" in page
        assert f"SHA-256 of the whole</dt><dd><code>{sha256}</code>" in page
        assert "the volumes name the same SHA-256" in page
        assert "No .sha256 file" not in page
