"""File systems that refuse something: syncs, locks, long names; and links to files."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundler import file_system
from bundler.__main__ import run
from bundler.durable import WholeFile, append, locked, sync_directory, temporary_of, write_whole
from bundler.errors import LocalError
from bundler.file_system import LocalWarning
from bundler.folders import whole_directory
from bundler.store.blob_store import LOCK
from tests.builders import a_bundle, a_module
from tests.doubles import MemoryRegistry

REFUSALS = [errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF]


@pytest.fixture(autouse=True)
def _nothing_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file system was warned about."""
    monkeypatch.setattr(file_system, "_warned", set())


def refusing(number: int) -> Callable[..., None]:
    """Return a system call that ends with this error."""

    def call(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


# --- syncs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", REFUSALS)
def test_a_sync_that_is_not_supported_is_a_warning_once(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refusing(number))
    with pytest.warns(LocalWarning, match="does not sync"):
        sync_directory(tmp_path)
    write_whole(tmp_path / "file", b"all of it")  # another warning would be an error
    append(tmp_path / "log", b"a line\n")
    assert (tmp_path / "file").read_bytes() == b"all of it"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fails_is_no_warning(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refusing(number))
    with pytest.raises(LocalError):
        sync_directory(tmp_path)


PRELUDE = """
import errno, os, stat, sys
whole = os.fsync
def fsync(descriptor):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    whole(descriptor)
os.fsync = fsync
sys.argv = ["timoni-bundler", *sys.argv[1:]]
from bundler.__main__ import main
main()
"""
"""A program on a share that syncs files and no directories."""


@pytest.mark.slow
def test_an_export_to_such_a_share_warns_once_and_succeeds(tmp_path: Path) -> None:
    with MemoryRegistry({"app": a_module("1.0.0")}) as source:
        export = ["export", f"{source.host}/app", "-o", str(tmp_path / "b.tar.zst"), "-q"]
        command = [sys.executable, "-c", PRELUDE, *export]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "timoni-bundler: warning:" in done.stderr
    assert run(["verify", str(tmp_path / "b.tar.zst"), "-q"]) == 0


# --- locks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOLCK, *REFUSALS])
def test_locks_that_are_not_supported_say_what_helps(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", refusing(number))
    with pytest.raises(LocalError, match="does not support locks") as raised:
        write_whole(tmp_path / "file", b"")
    assert "choose a folder on a local disk" in raised.value.next_step


def test_a_new_directory_without_locks_says_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOTSUP))
    with pytest.raises(LocalError, match="does not support locks"), whole_directory(tmp_path / "new"):
        pass


def test_a_lock_of_another_run_is_no_missing_support(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as first, (tmp_path / "file").open("rb") as second:
        assert locked(first.fileno(), tmp_path / "file")
        assert not locked(second.fileno(), tmp_path / "file")


# --- long names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [248, 250, 251, 255])
def test_a_file_with_a_long_name_is_written_whole(length: int, tmp_path: Path) -> None:
    path = tmp_path / ("\N{LATIN SMALL LETTER E WITH ACUTE}" * (length // 2) + "n" * (length % 2))
    write_whole(path, b"all of it")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_two_long_names_have_two_temporary_names(tmp_path: Path) -> None:
    first, second = (temporary_of(tmp_path / ("n" * 254 + end)) for end in "ab")
    assert first != second
    assert len(first.name) <= 255


@pytest.mark.parametrize("length", [248, 249, 255])
def test_a_bundle_with_a_long_name_is_exported_and_read(length: int, tmp_path: Path) -> None:
    out = tmp_path / ("n" * (length - 8) + ".tar.zst")
    with MemoryRegistry({"app": a_module("1.0.0")}) as source:
        command = ["export", f"{source.host}/app", "-o", str(out), "-q"]
        if length > 248:
            with pytest.warns(LocalWarning, match="no .sha256 beside it"):
                assert run(command) == 0
        else:
            assert run(command) == 0
    assert run(["verify", str(out), "-q"]) == 0
    sidecar = [] if length > 248 else [f"{out.name}.sha256"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [out.name, *sidecar]


def test_a_name_that_no_file_system_takes_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    assert run(["merge", str(bundle), "-o", str(tmp_path / ("n" * 248 + ".tar.zst")), "-q"]) == 9
    assert "choose a name of at most 255 bytes" in capsys.readouterr().err


# --- links --------------------------------------------------------------------------------------------


@pytest.fixture
def link(tmp_path: Path) -> Path:
    """A link to a file in another folder."""
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "link"
    path.symlink_to(Path("elsewhere", "file"))
    return path


def test_a_link_stays_and_its_file_is_replaced(link: Path) -> None:
    for content in (b"first", b"second"):  # at first it leads nowhere
        write_whole(link, content)
        assert link.is_symlink()
        assert (link.parent / "elsewhere" / "file").read_bytes() == content
    assert [entry.name for entry in (link.parent / "elsewhere").iterdir()] == ["file"]


def test_a_link_to_a_link_is_followed(link: Path) -> None:
    outer = link.with_name("outer")
    outer.symlink_to(link)
    write_whole(outer, b"new")
    assert (outer.is_symlink(), link.is_symlink(), link.read_bytes()) == (True, True, b"new")


def test_links_in_a_circle_are_an_error_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(LocalError, match="can't follow"):
        write_whole(tmp_path / "a", b"")


def test_a_link_of_another_user_is_not_followed(link: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    os.lchown(link, 1234, -1)
    with pytest.raises(LocalError, match="a link of another user"):
        write_whole(link, b"planted")
    assert not (link.parent / "elsewhere" / "file").exists()


def test_a_bundle_and_its_sidecar_may_be_links(tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    other = a_bundle(tmp_path / "c.tar.zst", {"h.example/app": a_module("1.0.0", "1.1.0")})
    disk, out = tmp_path / "disk", tmp_path / "out.tar.zst"
    disk.mkdir()
    out.symlink_to(disk / "real.tar.zst")
    sidecar = tmp_path / "out.tar.zst.sha256"
    sidecar.symlink_to(disk / "sum")
    for made_from in (bundle, other):
        assert run(["merge", str(made_from), "-o", str(out), "-q"]) == 0
        assert (out.is_symlink(), sidecar.is_symlink()) == (True, True)
        digest = hashlib.sha256((disk / "real.tar.zst").read_bytes()).hexdigest()
        assert (disk / "sum").read_text() == f"{digest}  out.tar.zst\n"
        assert run(["verify", str(out), "-q"]) == 0
    assert sorted(entry.name for entry in disk.iterdir()) == ["real.tar.zst", "sum"]


def test_reports_and_locks_behind_links_are_replaced(tmp_path: Path) -> None:
    names = ("report", "lock")
    for name in names:
        (tmp_path / name).symlink_to(f"{name}.real")
    with MemoryRegistry({"app": a_module("1.0.0")}) as source:
        command = ["export", f"{source.host}/app", "-o", str(tmp_path / "b.tar.zst"), "-q"]
        assert run([*command, "--report", str(tmp_path / "report"), "--lock", str(tmp_path / "lock")]) == 0
    assert all((tmp_path / name).is_symlink() and (tmp_path / f"{name}.real").is_file() for name in names)


# --- names that are not UTF-8 -------------------------------------------------------------------------


@pytest.mark.parametrize("name", [b"\xff\xfe", b"caf\xe9", b"new\nline", b"back\\slash", b" *star", b"cr\r"])
def test_sha256sum_checks_a_bundle_with_an_odd_name(name: bytes, tmp_path: Path) -> None:
    bundle = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    out = tmp_path / os.fsdecode(name + b".tar.zst")
    assert run(["merge", str(bundle), "-o", str(out), "-q", "--json"]) == 0
    assert run(["verify", str(out), "-q", "--json"]) == 0
    check = ["sha256sum", "--status", "-c", f"{out.name}.sha256"]
    assert subprocess.run(check, cwd=tmp_path, check=False).returncode == 0


def test_a_resumed_file_keeps_its_own_temporary_name(tmp_path: Path) -> None:
    file = WholeFile(tmp_path / "blob", tmp_path / "partial", resume=True)
    file.write(b"all")
    file.commit()
    assert (tmp_path / "blob").read_bytes() == b"all"


# --- one mode for all files, names that stay while they are open ---------------------------------------


@pytest.mark.slow
def test_a_share_with_one_mode_for_all_files_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """exFAT, NTFS and SMB, as they are often mounted: a new file has mode 0777, whatever it was given."""
    for name in ("stat", "lstat", "fstat"):
        call = getattr(os, name)

        def open_to_all(*arguments: Any, call: Callable[..., os.stat_result] = call, **more: Any) -> object:
            status = call(*arguments, **more)
            known = {key: getattr(status, key) for key in dir(status) if key.startswith("st_")}
            return os.stat_result((status.st_mode | 0o777, *status[1:]), known)

        monkeypatch.setattr(os, name, open_to_all)
    with MemoryRegistry({"app": a_module("1.0.0")}) as source:
        commands = [
            ["export", f"{source.host}/app", "-o", str(tmp_path / out), "-q", *store]
            for out, store in (("a.tar.zst", []), ("d", []), ("b.tar.zst", ["--store", f"{tmp_path}/store"]))
        ]
        with pytest.warns(LocalWarning, match=r"by its mount \(umask, file_mode\)") as seen:
            assert [run(command) for command in commands] == [0, 0, 0]
    assert len(seen) == 1


def test_a_shared_folder_where_modes_are_kept_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(0o777)
    with MemoryRegistry({"app": a_module("1.0.0")}) as source:
        command = ["export", f"{source.host}/app", "-o", str(tmp_path / "b.tar.zst"), "-q"]
        assert run([*command, "--store", str(tmp_path / "store")]) == 9


def test_a_store_goes_although_its_lock_stays_while_it_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS and FUSE keep an open file that is removed, under another name."""
    unlink = os.unlink

    def renaming(path: Any, *, dir_fd: int | None = None) -> None:
        if str(path) == LOCK:
            os.rename(path, ".nfs1", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        else:
            unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", renaming)
    with MemoryRegistry({"app": a_module("1.0.0")}) as source:
        assert run(["export", f"{source.host}/app", "-o", str(tmp_path / "b.tar.zst"), "-q"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"b.tar.zst", "b.tar.zst.sha256"}
