"""Attacks by other users of this machine, who may write where the program works."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.errors import LocalError
from bundler.ledger.ledger import Ledger
from tests.builders import a_bundle, a_module, add_version
from tests.doubles import MemoryRegistry
from tests.processes import bundler

PRECIOUS = "precious"


@pytest.fixture
def source() -> Iterator[MemoryRegistry]:
    with MemoryRegistry({"app": a_module("1.0.0")}) as registry:
        yield registry


def _link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def _dangling(path: Path, victim: Path) -> None:
    path.symlink_to(victim.with_name("made-by-the-program"))


def _hard_link(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def _pipe(path: Path, victim: Path) -> None:
    os.mkfifo(path)


def _strangers(path: Path, victim: Path) -> None:
    path.write_text("")
    os.chown(path, 4711, 4711)


PLANTS = [_link, _dangling, _hard_link, _pipe]
PLACES = [
    ".b.tar.zst.tmp",
    ".b.tar.zst.sha256.tmp",
    "store/.lock",
    "store/.oci-layout.tmp",
    "store/oci-layout",
]


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("plant", [*PLANTS, _strangers])
def test_files_planted_under_our_names_are_not_written_through(
    plant: Callable[[Path, Path], None], place: str, source: MemoryRegistry, tmp_path: Path
) -> None:
    if plant is _strangers and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    victim, folder = tmp_path / "victim", tmp_path / "here"
    victim.write_text(PRECIOUS)
    (folder / "store").mkdir(parents=True)
    plant(folder / place, victim)
    out = folder / "b.tar.zst"
    ended = bundler("export", f"{source.host}/app", "-o", str(out), "--store", str(folder / "store"), "-q")
    assert ended.returncode in (0, 9), ended.stderr
    assert "Traceback" not in ended.stderr
    assert victim.read_text() == PRECIOUS
    assert not victim.with_name("made-by-the-program").exists()
    if out.exists():
        assert bundler("verify", str(out), "-q").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTS)
def test_what_stands_at_the_output_is_never_written_through(
    plant: Callable[[Path, Path], None], source: MemoryRegistry, tmp_path: Path
) -> None:
    victim, out = tmp_path / "victim", tmp_path / "here" / "b.tar.zst"
    victim.write_text(PRECIOUS)
    out.parent.mkdir()
    plant(out, victim)
    if out.is_symlink():  # a link of the user's own is followed; what is planted is somebody else's
        if os.geteuid() != 0:
            pytest.skip("only root can give a link away")
        os.lchown(out, 4711, 4711)
    for more in ((), ("--force",)):
        ended = bundler("export", f"{source.host}/app", "-o", str(out), "-q", *more)
        assert ended.returncode in (0, 2, 7, 9), ended.stderr
        assert victim.read_text() == PRECIOUS
        assert not victim.with_name("made-by-the-program").exists()


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("option", ["--report", "--lock"])
def test_a_small_file_replaces_a_link_and_not_what_it_leads_to(
    option: str, plant: Callable[[Path, Path], None], source: MemoryRegistry, tmp_path: Path
) -> None:
    victim, file = tmp_path / "victim", tmp_path / "file"
    victim.write_text(PRECIOUS)
    plant(file.with_name(".file.tmp"), victim)
    out = str(tmp_path / "b.tar.zst")
    ended = bundler("export", f"{source.host}/app", "-o", out, option, str(file), "-q")
    assert ended.returncode == 9, ended.stderr
    assert victim.read_text() == PRECIOUS


def test_a_pipe_in_place_of_a_blob_under_way_is_not_waited_for(
    source: MemoryRegistry, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    (store / ".partial").mkdir(parents=True)
    for digest in source.repositories["app"].blobs:
        os.mkfifo(store / ".partial" / f"sha256-{digest.encoded}")
    ended = bundler(
        "export", f"{source.host}/app", "-o", str(tmp_path / "b.tar.zst"), "--store", str(store), "-q"
    )
    assert ended.returncode == 9, ended.stderr
    assert "move what is there" in ended.stderr


def test_a_blob_that_somebody_changed_in_a_store_is_never_packed(
    source: MemoryRegistry, tmp_path: Path
) -> None:
    store, out = tmp_path / "store", tmp_path / "b.tar.zst"
    command = ("export", f"{source.host}/app", "-o", str(out), "--store", str(store), "-q")
    assert bundler(*command).returncode == 0
    whole = out.read_bytes()
    out.unlink()
    for blob in (store / "blobs" / "sha256").iterdir():
        data = bytearray(blob.read_bytes())
        data[0] ^= 1
        blob.write_bytes(data)
    assert bundler(*command).returncode in (6, 8)
    assert not out.exists()
    for _ in range(10):
        if bundler(*command).returncode == 0:
            break
    assert out.read_bytes() == whole


# --- folders that others can change ------------------------------------------------------------------


def _linked(path: Path) -> str:
    path.rename(path.with_name("real"))
    path.symlink_to("real")
    return "rm "


def _foreign(path: Path) -> str:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(path, 4711, 4711)
    return f"chown -R {os.geteuid()} "


def _shared(path: Path) -> str:
    path.chmod(0o777)
    return "chmod -R go-w "


FOREIGN = [_linked, _foreign, _shared]


@pytest.mark.parametrize("spoil", FOREIGN)
@pytest.mark.parametrize("place", ["store", "b.tar.zst.store", "out"])
def test_a_store_that_others_can_change_is_refused(
    spoil: Callable[[Path], str], place: str, source: MemoryRegistry, tmp_path: Path
) -> None:
    (tmp_path / place).mkdir(mode=0o755)
    remedy = spoil(tmp_path / place)
    out = tmp_path / ("out" if place == "out" else "b.tar.zst")
    more = ("--store", str(tmp_path / "store")) if place == "store" else ()
    for dry in ((), ("--dry-run",)):
        ended = bundler("export", f"{source.host}/app", "-o", str(out), "-q", *more, *dry)
        assert (ended.returncode, remedy in ended.stderr) == (9, True), ended.stderr


@pytest.mark.parametrize("spoil", FOREIGN)
def test_a_base_folder_that_others_can_change_is_refused(
    spoil: Callable[[Path], str], source: MemoryRegistry, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    assert bundler("export", f"{source.host}/app", "-o", str(base), "-q").returncode == 0
    remedy = spoil(base)
    out = str(tmp_path / "night.tar.zst")
    ended = bundler("export", f"{source.host}/app", "-o", out, "--base", str(base), "-q")
    assert (ended.returncode, remedy in ended.stderr) == (9, True), ended.stderr


@pytest.mark.parametrize("spoil", FOREIGN)
def test_a_folder_of_with_that_others_can_change_is_refused(
    spoil: Callable[[Path], str], source: MemoryRegistry, tmp_path: Path
) -> None:
    base, night = tmp_path / "base", tmp_path / "night.tar.zst"
    assert bundler("export", f"{source.host}/app", "-o", str(base), "-q").returncode == 0
    add_version(source.repositories["app"], "9.0.0")
    command = ("export", f"{source.host}/app", "-o", str(night), "--base", str(base), "-q")
    assert bundler(*command).returncode == 0
    remedy = spoil(base)
    to = ("--to", "127.0.0.1:1/x", "--state", str(tmp_path / "state"))
    ended = bundler("import", str(night), *to, "--with", str(base), "-q")
    assert (ended.returncode, remedy in ended.stderr) == (9, True), ended.stderr


@pytest.mark.parametrize("spoil", FOREIGN)
def test_a_folder_planted_for_extract_is_refused(spoil: Callable[[Path], str], tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    (tmp_path / ".files.tmp").mkdir(mode=0o755)
    remedy = spoil(tmp_path / ".files.tmp").replace("-R ", "")
    ended = bundler("extract", str(bundle), "app:1.0.0", "-o", str(tmp_path / "files"), "-q")
    assert ended.returncode == 9, ended.stderr
    assert remedy.split()[0] in ended.stderr
    assert not (tmp_path / "files").exists()


def test_a_planted_file_that_others_can_write_is_refused(source: MemoryRegistry, tmp_path: Path) -> None:
    planted = tmp_path / ".b.tar.zst.tmp"
    planted.write_text("")
    planted.chmod(0o666)
    ended = bundler("export", f"{source.host}/app", "-o", str(tmp_path / "b.tar.zst"), "-q")
    assert (ended.returncode, "chmod go-w" in ended.stderr) == (9, True), ended.stderr


@pytest.mark.parametrize("spoil", FOREIGN)
def test_a_state_folder_that_others_can_change_is_refused(
    spoil: Callable[[Path], str], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    remedy = spoil(state)
    with pytest.raises(LocalError) as refused:
        Ledger(state)
    assert remedy in refused.value.next_step
