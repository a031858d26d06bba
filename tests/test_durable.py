"""A file appears whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.durable import (
    WholeFile,
    local_errors,
    make_directories,
    own_file,
    read_if_there,
    remove_if_there,
    sync_directory,
    whole_file,
    write_whole,
)
from bundler.errors import LocalError
from bundler.folders import whole_directory
from tests.processes import small_disk


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with whole_file(path) as file:
        file.write(b"all ")
        assert not path.exists()
        file.write(memoryview(b"of it"))
    assert path.read_bytes() == b"all of it"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_an_error_inside_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def broken() -> None:
        with whole_file(path) as file:
            file.write(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".file.tmp").write_bytes(b"a much longer rest of an earlier run")
    write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_resumed_file_is_read_first_and_appended_to(tmp_path: Path) -> None:
    path, temporary = tmp_path / "file", tmp_path / "partial"
    temporary.write_bytes(b"first")
    file = WholeFile(path, temporary, resume=True)
    assert b"".join(file.written()) == b"first"
    file.write(b" second")
    file.commit()
    assert path.read_bytes() == b"first second"


def test_a_restarted_file_forgets_what_was_there(tmp_path: Path) -> None:
    temporary = tmp_path / "partial"
    temporary.write_bytes(b"rubbish")
    file = WholeFile(tmp_path / "file", temporary, resume=True)
    list(file.written())
    file.restart()
    file.write(b"new")
    file.keep()
    assert temporary.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free some space"), (errno.EDQUOT, "free some space"), (errno.EACCES, "permissions"),
        (errno.EROFS, "another place"), (errno.EMFILE, "--jobs"), (errno.EFBIG, "another place"),
        (errno.EIO, "disk"),
    ],
)  # fmt: skip
def test_an_error_of_the_disk_names_path_operation_and_next_step(number: int, hint: str) -> None:
    """Case 115."""
    with pytest.raises(LocalError) as error, local_errors(Path("/some/file"), "write"):
        raise OSError(number, os.strerror(number))
    assert error.value.item == "/some/file"
    assert error.value.cause.startswith("can't write: ")
    assert hint in error.value.next_step


def test_a_full_disk_is_seen_at_the_write(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4096):
        full = WholeFile(tmp_path / "disk" / "file", tmp_path / "disk" / ".file.tmp")
        with pytest.raises(LocalError, match="No space left"):
            full.write(bytes(8192))
        full.discard()


def test_a_folder_that_is_missing_is_a_local_error(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="can't open"):
        write_whole(tmp_path / "missing" / "file", b"")
    with pytest.raises(LocalError, match="can't sync"):
        sync_directory(tmp_path / "missing")


def test_removing_what_is_absent_is_no_error(tmp_path: Path) -> None:
    remove_if_there(tmp_path / "absent")
    with pytest.raises(LocalError):
        remove_if_there(tmp_path)


def test_directories_are_created_with_their_parents(tmp_path: Path) -> None:
    make_directories(tmp_path / "a" / "b")
    make_directories(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


# --- directories -------------------------------------------------------------------------------------


def test_a_directory_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with whole_directory(path) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_bytes(b"all of it")
        assert not path.exists()
    assert (path / "deep" / "file").read_bytes() == b"all of it"
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_an_error_inside_leaves_no_directory(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    def broken() -> None:
        with whole_directory(tmp_path / "folder") as folder:
            (folder / "file").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert [str(entry.relative_to(tmp_path)) for entry in tmp_path.rglob("*")] == ["folder"]


def test_a_directory_of_a_killed_run_is_emptied_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    (tmp_path / ".folder.tmp" / "deep").mkdir(parents=True)
    (tmp_path / ".folder.tmp" / "deep" / "file").touch()
    (tmp_path / ".folder.tmp" / "link").symlink_to(tmp_path / "other")
    with whole_directory(tmp_path / "folder") as folder:
        (folder / "new").touch()
    assert [entry.name for entry in (tmp_path / "folder").iterdir()] == ["new"]
    assert (tmp_path / "other" / "file").exists()


def test_two_runs_never_fill_one_directory(tmp_path: Path) -> None:
    with whole_directory(tmp_path / "folder") as folder:
        (folder / "file").touch()
        with pytest.raises(LocalError, match="another run"), whole_directory(tmp_path / "folder"):
            pass
    assert (tmp_path / "folder" / "file").exists()


def test_a_directory_that_is_filled_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "folder"

    def overtaken() -> None:
        with whole_directory(path):
            path.mkdir()
            (path / "file").touch()

    with pytest.raises(LocalError, match="rename"):
        overtaken()
    assert [str(entry.relative_to(tmp_path)) for entry in tmp_path.rglob("*")] == ["folder", "folder/file"]


@pytest.mark.parametrize("use", [lambda path: read_if_there(path, 10), lambda path: own_file(path, 0o600)])
@pytest.mark.parametrize("kind", ["device", "folder", "pipe"])
def test_nobody_is_told_to_remove_what_is_no_file(
    kind: str, use: Callable[[Path], object], tmp_path: Path
) -> None:
    path = Path("/dev/null") if kind == "device" else tmp_path / "odd"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(LocalError, match="choose another name, or move what is there"):
        use(path)
