"""Wheels for pip without an index: installed by the Python that they are for, refused by another."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.portable.conftest import copied_sources
from tests.portable.sandbox import once
from tests.source_code import ROOT
from tools.wheelhouse import main

PYTHONS = ("3.11", "3.12", "3.13")

INSTALL = (ROOT / "docs" / "install.md").read_text()


def python(version: str) -> Path:
    """An interpreter of a version, in the path or as pyenv keeps it; without one, the test is skipped."""
    home = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for place in [*home.glob(f"versions/{version}.*/bin"), *map(Path, os.environ["PATH"].split(os.pathsep))]:
        program = place / f"python{version}"
        if (
            program.exists()
            and not subprocess.run(
                [program, "-c", "import ensurepip"], capture_output=True, check=False
            ).returncode
        ):
            return program
    pytest.skip(f"Python {version} is not installed")


def collected(shared: Path, version: str) -> Path:
    """The wheels for a version."""

    def collect(folder: Path) -> None:
        copied_sources(folder / "sources")
        words = [sys.executable, "-m", "tools.wheelhouse", str(folder / "out"), version]
        done = subprocess.run(words, cwd=folder / "sources", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        shutil.rmtree(folder / "sources")

    (folder,) = (once(shared / f"wheels-{version}", collect) / "out").iterdir()
    return folder


def installed(wheels: Path, interpreter: Path, environment: Path) -> subprocess.CompletedProcess[str]:
    """Install as the document says, with no index and no folder of wheels but this."""
    subprocess.run([interpreter, "-m", "venv", environment], check=True, capture_output=True)
    (command,) = re.findall(r"pip (install .*)", (wheels / "README.txt").read_text())
    return subprocess.run(
        [environment / "bin" / "pip", *shlex.split(command)],
        cwd=wheels,
        env={"PATH": "/usr/bin:/bin", "HOME": str(environment)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.portable
@pytest.mark.parametrize("version", PYTHONS)
def test_wheels_are_installed_without_an_index(shared: Path, tmp_path: Path, version: str) -> None:
    interpreter = python(version)
    done = installed(collected(shared, version), interpreter, tmp_path / "venv")
    assert done.returncode == 0, done.stderr
    program = tmp_path / "venv" / "bin" / "timoni-bundler"
    told = subprocess.run(
        [program, "demo", "--directory", tmp_path / "demo"], capture_output=True, text=True, check=False
    )
    assert "12 of 12 tags have the same digest outside and inside." in told.stdout, told.stderr
    code = "import bundler.compact._godeflate, zfec, cryptography"
    subprocess.run([tmp_path / "venv" / "bin" / "python", "-c", code], check=True, cwd=tmp_path)


@pytest.mark.portable
def test_the_wrong_python_gets_the_documented_error(shared: Path, tmp_path: Path) -> None:
    done = installed(collected(shared, "3.12"), python("3.11"), tmp_path / "venv")
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1].removeprefix("ERROR: ")
    assert message.startswith("No matching distribution found for ")
    assert "`No matching distribution found for " in INSTALL


@pytest.mark.parametrize("version", ["", "3", "3.9", "3.12.1", "two"])
def test_only_a_version_that_can_run_it_is_taken(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("dist", version) == 1
    assert capsys.readouterr().err == (
        f"no wheels: PYTHON_VERSION={version}: give one such as 3.12, from 3.11 on\n"
    )
