"""The parts of the portable archive that need no build: authorities, archives, the image's configuration."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from tools.portable.archive import Owned, write_tar, write_xz
from tools.portable.image import USER, config_of
from tools.portable.start import AUTHORITIES, CARRIED, choose_authorities
from tools.wheelhouse import platform_tags


def authorities_of(root: Path, **environment: str) -> str | None:
    choose_authorities(environment, Path("/opt/site"), root)
    return environment.get("SSL_CERT_FILE")


@pytest.mark.parametrize("place", AUTHORITIES)
def test_the_authorities_of_each_system_are_found(tmp_path: Path, place: str) -> None:
    file = tmp_path / place.lstrip("/")
    file.parent.mkdir(parents=True)
    file.touch()
    assert authorities_of(tmp_path) == str(file)


def test_without_authorities_those_inside_are_taken(tmp_path: Path) -> None:
    assert authorities_of(tmp_path) == f"/opt/site/{CARRIED}"
    assert authorities_of(tmp_path, SSL_CERT_FILE="") == f"/opt/site/{CARRIED}"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_authorities_that_the_user_names_stay(tmp_path: Path, name: str) -> None:
    environment = {name: "/own"}
    choose_authorities(environment, Path("/opt/site"), tmp_path)
    assert environment == {name: "/own"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "f"
    (folder / "sub").mkdir(parents=True)
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o700)
    (folder / "sub" / "text").write_text("x")
    (folder / "sub" / "text").chmod(0o600)
    return folder


def test_an_archive_keeps_neither_owner_nor_time_nor_umask(folder: Path) -> None:
    out = io.BytesIO()
    write_tar(out, folder, "name-1.0", 1_700_000_000, directories=[Owned("home", 0o700, 5)])
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        members = {member.name: member for member in archive}
    assert list(members) == ["home", "name-1.0", "name-1.0/run", "name-1.0/sub", "name-1.0/sub/text"]
    assert [oct(member.mode) for member in members.values()] == ["0o700", "0o755", "0o755", "0o755", "0o644"]
    assert [member.uid for member in members.values()] == [5, 0, 0, 0, 0]
    assert {member.mtime for member in members.values()} == {1_700_000_000}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_archive_is_one_that_tar_unpacks(folder: Path, tmp_path: Path, machine: str) -> None:
    write_xz(tmp_path / "f.tar.xz", folder, "n", 0, machine)
    with tarfile.open(tmp_path / "f.tar.xz", "r:xz") as archive:
        assert archive.getmember("n/sub/text").size == 1


def test_the_image_starts_the_linker_as_nobody_in_particular() -> None:
    config = config_of("amd64", "ld-linux-x86-64.so.2", "2026-01-01T00:00:00Z", "sha256:0")["config"]
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"][0] == "/opt/timoni-bundler/lib/ld-linux-x86-64.so.2"
    assert config["Entrypoint"][-1] == "timoni-bundler"


def test_a_linux_platform_is_every_wheel_since_2018() -> None:
    tags = platform_tags("linux-x86_64")
    assert tags[0] == "manylinux_2_28_x86_64"
    assert "manylinux2014_x86_64" in tags
    assert platform_tags("macosx_11_0_arm64") == ["macosx_11_0_arm64"]
