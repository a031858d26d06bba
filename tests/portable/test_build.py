"""What is built: the same bytes every time, small, complete, with a licence for every part."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path

from bundler.about import VERSION
from tests.portable.conftest import Built
from tests.registries import require
from tools.portable.__main__ import MOST_BYTES
from tools.portable.image import DIRECTORIES, HOME, USER
from tools.portable.libraries import elf_files


def test_two_builds_have_the_same_bytes(built: Built, built_again: Built) -> None:
    assert built.archive.name == built_again.archive.name
    assert built.archive.read_bytes() == built_again.archive.read_bytes()
    assert built.image.read_bytes() == built_again.image.read_bytes()


def test_the_archive_is_small_and_all_below_one_folder(built: Built) -> None:
    assert built.archive.stat().st_size <= MOST_BYTES
    name = built.archive.name.removesuffix(".tar.xz")
    assert re.fullmatch(rf"timoni-bundler-{re.escape(VERSION)}-linux-\w+", name)
    with tarfile.open(built.archive) as archive:
        members = archive.getmembers()
    assert {member.name.split("/")[0] for member in members} == {name}
    assert {(member.uid, member.gid, member.mtime) for member in members} == {(0, 0, 1767225600)}
    assert all(member.isfile() or member.isdir() for member in members)
    assert (built.archive.parent / "SHA256SUMS").exists() is False


def test_every_library_that_a_part_needs_is_inside(unpacked: Path) -> None:
    inside = {path.name for path in elf_files(unpacked)}
    for part in elf_files(unpacked):
        dynamic = subprocess.run(
            [require("readelf"), "--dynamic", str(part)], capture_output=True, text=True, check=True
        ).stdout
        needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic))
        assert needed <= inside, part
        assert not re.search(r"\((RUNPATH|RPATH)\).*\[/", dynamic), part


def test_every_part_has_its_licence(unpacked: Path) -> None:
    licences = unpacked / "licenses"
    listed = (licences / "PARTS.txt").read_text()
    packages = {path.name.split("-")[0].lower() for path in unpacked.glob("lib/site/*.dist-info")}
    texts = {path.name.lower().replace("-", "_").replace(".", "_") for path in licences.iterdir()}
    assert {name.replace(".", "_") for name in packages} <= texts
    assert "libc6" in listed
    assert (licences / "libc6" / "copyright").exists()
    assert (licences / "common-licenses" / "LGPL-2.1").exists()
    assert (unpacked / "VERSION").read_text().splitlines()[0] == VERSION


def test_nothing_inside_names_the_machine_that_built_it(built: Built, unpacked: Path) -> None:
    place = str(built.archive.parents[1]).encode()
    assert [path for path in unpacked.rglob("*") if path.is_file() and place in path.read_bytes()] == []
    assert [path.name for path in unpacked.rglob("direct_url.json")] == []


def test_the_image_says_what_it_is(built: Built) -> None:
    shown = subprocess.run(
        [require("skopeo"), "inspect", "--config", f"oci-archive:{built.image}"],
        capture_output=True,
        text=True,
        check=True,
    )
    config = json.loads(shown.stdout)
    assert config["config"]["User"] == f"{USER}:{USER}"
    assert config["config"]["Labels"]["org.opencontainers.image.version"] == VERSION
    assert f"HOME={HOME}" in config["config"]["Env"]
    assert len(config["rootfs"]["diff_ids"]) == 1
    assert any(entry.owner == USER for entry in DIRECTORIES)
