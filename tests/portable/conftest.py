"""The portable archive, built twice; roots of other systems to run it in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from bundler.about import VERSION
from tests.portable.sandbox import HOME, USER, Sandbox, ended, entered, names, once, process_that_says, unpack
from tests.processes import needs
from tests.registries import RealRegistry, require, running_registry
from tests.source_code import ROOT

SOURCES = (
    *("bundler", "docs", "examples", "tools"),
    *("hatch_build.py", "pyproject.toml", "README.md", "LICENSE", "requirements-dev.lock"),
)

TIME = "1767225600"
"""Of all files in the builds of these tests: 2026."""

REGISTRY = "registry.internal"
"""The host that the name server of the sandbox knows."""

CA_FILE = "ca.pem"


class Built(NamedTuple):
    """What one run of the build wrote."""

    archive: Path
    image: Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what waits for the archive: `make quick` leaves it out."""
    for item in items:
        if {"built", "unpacked", "built_again"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("portable")


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this run of the tests have."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def copied_sources(folder: Path) -> None:
    """Copy what a build needs into a folder."""
    folder.mkdir(exist_ok=True)
    for name in SOURCES:
        path = ROOT / name
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, folder / name)
    for compiled in folder.rglob("*.so"):
        compiled.unlink()


def build(folder: Path) -> None:
    """Build from a copy of the sources, below `folder`."""
    for program in ("cc", "patchelf", "strip", "readelf", "ldd", "dpkg-query"):
        require(program)
    copied_sources(folder)
    done = subprocess.run(
        [sys.executable, "-m", "tools.portable", "dist"],
        cwd=folder,
        env={**os.environ, "SOURCE_DATE_EPOCH": TIME},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def built_in(folder: Path) -> Built:
    """What a build left in its folder."""
    (archive,) = folder.glob("dist/*.tar.xz")
    return Built(archive, folder / "dist" / f"timoni-bundler-{VERSION}-image.tar")


@pytest.fixture(scope="session")
def built(shared: Path) -> Built:
    """The archive and the image."""
    return built_in(once(shared / "first", build))


@pytest.fixture(scope="session")
def built_again(shared: Path) -> Built:
    """The same, from sources in a folder of another name."""
    return built_in(once(shared / "second-with-a-longer-name", build))


@pytest.fixture(scope="session")
def unpacked(shared: Path, built: Built) -> Path:
    """The portable folder, unpacked."""

    require("xz")
    (folder,) = once(shared / "unpacked", lambda folder: unpack(built.archive, folder)).iterdir()
    return folder


@pytest.fixture(scope="session")
def bullseye() -> Path:
    """A root with Debian 11: glibc 2.31, no Python. It stays in `build`, for the next run."""

    def make(folder: Path) -> None:
        options = ["--variant=minbase", "--include=openssh-client"]
        command = [require("debootstrap"), *options, "bullseye", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        with (folder / "etc" / "passwd").open("a") as users:
            users.write(f"carrier:x:{USER}:{USER}::{HOME}:/bin/sh\n")  # ssh-keygen wants a name
        needs(done.returncode == 0, f"Debian 11 ({done.stdout.strip().splitlines()[-1:]})")

    needs(os.getuid() == 0, "root, to make another root")
    return once(ROOT / "build" / "bullseye", make)


@pytest.fixture(scope="module")
def debian(bullseye: Path, unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The program in Debian 11, as an ordinary user."""
    (bullseye / "etc" / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    with entered(bullseye, unpacked, tmp_path_factory.mktemp("home")) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def registry(
    debian: Sandbox, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealRegistry]:
    """A registry in the network of the sandbox: its name is in DNS only, its authority is its own."""
    authority.cert_pem.write_to_path(debian.home / CA_FILE)
    certificate = authority.issue_cert(REGISTRY)
    folder, inside = tmp_path_factory.mktemp("registry"), debian.inside()
    with (
        process_that_says("ready", [*inside, *names(REGISTRY)]),
        running_registry(folder, tls=certificate, before=inside) as real,
    ):
        yield real


@pytest.fixture(scope="module")
def bare(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The program in a root with a static shell and nothing else: no libc, no nsswitch.conf, no /proc."""
    root = tmp_path_factory.mktemp("bare")
    shell = Path("/bin/busybox")
    needs("not a dynamic executable" in ended(["ldd", str(shell)]).stderr, "a static busybox")
    root.chmod(0o755)
    (root / "bin").mkdir()
    shutil.copy(shell, root / "bin" / "sh")
    (root / "etc").mkdir()
    (root / "etc" / "hosts").write_text("127.0.0.1 hosts.internal\n")
    (root / "etc" / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    with entered(root, unpacked, tmp_path_factory.mktemp("home")) as sandbox:
        yield sandbox
