"""What make builds beside the program: man pages, the API reference, a release, the lock."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bundler
from bundler.about import VERSION
from bundler.cli.main import COMMANDS
from hatch_build import platform_tag
from tests.registries import require
from tests.source_code import ROOT
from tools.man_pages import main as write_man_pages
from tools.man_pages import pages
from tools.release import missing

MAN = ROOT / "docs" / "man"
LOCK = (ROOT / "requirements-dev.lock").read_text()


def test_the_man_pages_are_those_of_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert write_man_pages(MAN, check=True) == 0, capsys.readouterr().out
    assert {f"timoni-bundler-{name}.1" for name in COMMANDS} < {path.name for path in MAN.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("name", pages())
def test_a_man_page_is_read_without_a_warning(name: str) -> None:
    command = [require("groff"), "-man", "-ww", "-z", "-Tutf8", str(MAN / name)]
    read = subprocess.run(command, capture_output=True, text=True, check=True)
    assert read.stderr == ""


def test_a_man_page_keeps_dashes_quotes_and_examples() -> None:
    page = pages()["timoni-bundler-import.1"]
    assert '.SH "NAME"\ntimoni\\-bundler\\-import \\- ' in page
    assert "\\fB\\-\\-to\\fR" in page or "\\-\\-to " in page
    assert ".nf\n" in page


@pytest.mark.slow
def test_the_api_reference_shows_every_public_name(tmp_path: Path) -> None:
    command = [sys.executable, "tools/api_reference.py", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, env={"PYTHONPATH": str(ROOT)})
    page = (tmp_path / "bundler.html").read_text()
    assert [name for name in bundler.__all__ if f'id="{name}"' not in page] == []


def test_the_lock_names_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    named = [*project["project"]["dependencies"], *groups["fuzz"]]
    named += [line for line in groups["dev"] if isinstance(line, str)]
    locked = {re.split("==| ;", line)[0]: line for line in LOCK.splitlines() if not line.startswith("#")}
    for requirement in map(Requirement, named):
        pinned = Requirement(locked[canonicalize_name(requirement.name)])
        assert requirement.specifier.contains(next(iter(pinned.specifier)).version), pinned
    assert "://" not in LOCK


def test_a_release_needs_a_date_a_clean_tree_and_a_new_tag() -> None:
    dated = f"# Changelog\n\n## {VERSION} (2026-01-31)\n"
    assert missing(dated, "", "v0.0.1") == []
    assert len(missing(f"## {VERSION} (unreleased)\n", " M README.md", f"v{VERSION}")) == 3


@pytest.mark.slow
def test_the_wheel_brings_man_pages_schemas_and_modules(tmp_path: Path) -> None:
    needed = (
        *("bundler", "docs", "examples", "schemas"),
        *("hatch_build.py", "pyproject.toml", "README.md", "LICENSE"),
    )
    for name in needed:
        path = ROOT / name
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, tmp_path / name)
    command = [sys.executable, "-c", "import hatchling.build as b; print(b.build_wheel('.'))"]
    built = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    listed = [sys.executable, "-m", "zipfile", "-l", str(tmp_path / built.stdout.split()[-1])]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout
    assert "share/man/man1/timoni-bundler-export.1" in names
    assert names.count("bundler/schemas/") == len([*ROOT.glob("schemas/*.schema.json")])
    assert names.count("core/v1/pod.cue") == 1


@pytest.mark.parametrize(
    ("module", "tag"),
    [
        (b"\0libc.so.6\0GLIBC_2.2.5\0GLIBC_2.14\0", "manylinux_2_17_"),
        (b"\0libc.so.6\0GLIBC_2.38\0GLIBC_2.4\0", "manylinux_2_38_"),
        (b"\0libc.so.6\0libm.so.6\0GLIBC_2.4\0", "linux_"),
        (b"\0libc.musl-x86_64.so.1\0", "linux_"),
    ],
    ids=["old", "new", "another-library", "musl"],
)
def test_a_wheel_is_for_the_oldest_glibc_that_it_runs_on(module: bytes, tag: str) -> None:
    assert platform_tag(module) == f"{tag}{os.uname().machine}"
