"""A kit holds everything that crosses, and says itself what to do with it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.bundle.reader import open_bundle
from bundler.kit.kit_folder import KitSources, write_kit
from bundler.kit.kit_names import XZ_MAGIC
from bundler.reporting.progress import Silence
from bundler.session import Session
from tests.builders import a_bundle, a_module, add_version, push_to
from tests.compact.layers import a_night, an_image
from tests.doubles import MemoryRegistry
from tests.registries import RealRegistry
from tests.trust.keys import a_key, line

MODULE = {"h.example/app": a_module("1.0.0", "1.1.0", size=100_000)}
ARCHIVES = [f"timoni-bundler-1.2.0-linux-{machine}.tar.xz" for machine in ("x86_64", "aarch64")]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of two tags."""
    return a_bundle(tmp_path / "modules.tar.zst", MODULE)


def archives(folder: Path) -> list[Path]:
    """Two files that look like portable archives."""
    for name in ARCHIVES:
        (folder / name).write_bytes(XZ_MAGIC + name.encode())
    return [folder / name for name in ARCHIVES]


def summed(kit: Path) -> str:
    """What `sha256sum -c` says; it must be content."""
    command = ["sha256sum", "-c", "--strict", "SHA256SUMS"]
    checked = subprocess.run(command, cwd=kit, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    listed = {row.removesuffix(": OK") for row in checked.stdout.splitlines()}
    assert listed == {path.name for path in kit.iterdir()} - {"SHA256SUMS"}
    return checked.stdout


def commands_in(kit: Path) -> list[str]:
    """The commands that README.txt shows."""
    return re.findall(r"^    (\S.*)$", (kit / "README.txt").read_text(), re.MULTILINE)


def test_a_kit_has_everything_and_its_checksums_hold(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kit, key = tmp_path / "kit", a_key(tmp_path, "key")
    (tmp_path / "who.txt").write_text(line("me@example", key))
    tools = [word for path in archives(tmp_path) for word in ("--tool", str(path))]
    assert run(["sign", str(bundle), "--key", str(key)]) == 0
    asked = ["kit", str(bundle), *tools, "--allowed-signers", str(tmp_path / "who.txt"), "-o", str(kit)]
    assert run(asked) == 0, capsys.readouterr().err
    assert {path.name for path in kit.iterdir()} == {
        "README.txt", "SHA256SUMS", "allowed_signers", "modules.tar.zst", "modules.tar.zst.sha256", *ARCHIVES
    }  # fmt: skip
    summed(kit)
    assert commands_in(kit) == [
        "sha256sum -c SHA256SUMS",
        'tar -xJf timoni-bundler-1.2.0-linux-$(uname -m).tar.xz -C "$HOME"',
        '"$HOME"/timoni-bundler-1.2.0-linux-$(uname -m)/timoni-bundler import modules.tar.zst'
        " --to oci://REGISTRY/PREFIX --allowed-signers allowed_signers",
    ]
    assert f"{kit / 'README.txt'} says what to do with it" in capsys.readouterr().out


@pytest.mark.slow
def test_the_commands_of_the_page_carry_a_chain_across(
    source_registry: RealRegistry, target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    source, content = fresh("app"), a_module("1.0.0")
    push_to(source_registry.base, source, content)
    sunday, monday = tmp_path / "sunday.tar.zst", tmp_path / "-monday.tar.zst"
    export = ["export", f"{source_registry.host}/{source}", "-q", "-o"]
    assert run([*export, str(sunday)]) == 0
    add_version(content, "1.1.0")
    push_to(source_registry.base, source, content)
    assert run([*export, str(monday), "--base", str(sunday)]) == 0
    kit, target = tmp_path / "kit", f"oci://{target_registry.host}/mirror"
    assert run(["kit", str(monday), str(sunday), "--to", target, "-o", str(kit), "-q"]) == 0
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = "\n".join(["set -e", *commands_in(kit)])
    ended = subprocess.run(
        ["sh", "-c", script], cwd=kit, env={**os.environ, "PATH": path}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("1 tag pushed") == 2
    assert [command.split()[2] for command in commands_in(kit)[2:]] == ["sunday.tar.zst", "./-monday.tar.zst"]
    assert "builds on sunday.tar.zst of this kit" in (kit / "README.txt").read_text()


def test_the_page_names_a_base_that_must_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = a_module("1.0.0")
    sunday, monday, kit = (tmp_path / name for name in ("sunday.tar.zst", "monday.tar.zst", "kit"))
    with MemoryRegistry({"app": content}) as registry:
        assert run(["export", f"{registry.host}/app", "-o", str(sunday), "-q"]) == 0
        add_version(content, "1.1.0")
        assert run(["export", f"{registry.host}/app", "-o", str(monday), "--base", str(sunday), "-q"]) == 0
    with open_bundle(sunday) as opened:
        base = opened.id
    assert run(["kit", str(monday), "-o", str(kit), "-q"]) == 0
    assert f"builds on the bundle {base}, which is NOT in this kit" in (kit / "README.txt").read_text()
    assert f"delta, 1 tag, needs {base}" in capsys.readouterr().out


def test_a_kit_splits_a_bundle_and_takes_volumes_as_they_are(bundle: Path, tmp_path: Path) -> None:
    cut, again = tmp_path / "cut", tmp_path / "again"
    size = ["--volume-size", "100KB", "--parity", "30"]
    assert run(["kit", str(bundle), *size, "-o", str(cut), "-q"]) == 0
    assert run(["kit", str(cut / "modules.tar.zst.002"), "-o", str(again), "-q"]) == 0
    names = {path.name for path in cut.iterdir()}
    assert {"modules.tar.zst.001", "modules.tar.zst.p01"} < names
    assert {path.name for path in again.iterdir()} == names
    assert summed(cut) == summed(again)
    assert "import modules.tar.zst.001 --to" in (again / "README.txt").read_text()
    assert run(["verify", str(again / "modules.tar.zst.001"), "-q"]) == 0


def test_a_compact_bundle_crosses_as_it_is(bundle: Path, tmp_path: Path) -> None:
    small, kit = tmp_path / "modules.compact.zst", tmp_path / "kit"
    assert run(["compact", str(bundle), "-o", str(small), "-q"]) == 0
    assert run(["kit", str(small), "-o", str(kit), "-q"]) == 0
    assert (kit / small.name).read_bytes() == small.read_bytes()
    summed(kit)


@pytest.mark.slow
def test_a_compact_delta_is_proven_with_its_base_in_the_kit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    night = a_night(tmp_path, an_image(0), an_image(0, 1))
    assert run(["kit", str(night.compact), "-o", str(tmp_path / "alone"), "-q"]) == 0
    assert "1 layer not verified" in capsys.readouterr().err
    for number, paths in enumerate(((night.base, night.compact), (night.compact, night.base))):
        assert run(["kit", *map(str, paths), "-o", str(tmp_path / f"kit{number}"), "-q"]) == 0
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["02:00.tar.zst", "README.TXT"])
def test_a_name_that_no_medium_takes_is_refused(
    name: str, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    renamed = bundle.rename(tmp_path / name)
    assert run(["kit", str(renamed), "-o", str(tmp_path / "kit"), "-q"]) == 2
    assert f"error: {name}: FAT32 takes " in capsys.readouterr().err
    assert not (tmp_path / "kit").exists()


def test_a_file_of_four_gib_is_refused_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large = tmp_path / "large.tar.zst"
    with large.open("wb") as file:
        file.truncate(1 << 32)
    assert run(["kit", str(large), "-o", str(tmp_path / "kit")]) == 2
    assert "FAT32 takes no file of 4 GiB or more; add --volume-size 4GiB" in capsys.readouterr().err
    assert run(["kit", str(large), "-o", str(tmp_path / "kit"), "--volume-size", "5GiB"]) == 2
    assert "use 4GiB or less" in capsys.readouterr().err


@pytest.mark.parametrize("parity", [False, True], ids=["bundle", "parity volume"])
def test_what_is_damaged_does_not_cross(parity: bool, bundle: Path, tmp_path: Path) -> None:
    damaged = bundle
    if parity:
        assert (
            run(["kit", str(bundle), "--volume-size", "100KB", "--parity", "30", "-o", str(tmp_path / "v")])
            == 0
        )
        damaged = tmp_path / "v" / "modules.tar.zst.p01"
    data = bytearray(damaged.read_bytes())
    data[1000] ^= 1
    damaged.write_bytes(data)
    assert run(["kit", str(damaged), "-o", str(tmp_path / "kit"), "-q"]) in (6, 7)
    assert not (tmp_path / "kit").exists()


def test_unsigned_bundles_do_not_cross_with_allowed_signers(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "who").write_text(line("me@example", a_key(tmp_path, "key")))
    asked = ["kit", str(bundle), "--allowed-signers", str(tmp_path / "who"), "-o", str(tmp_path / "kit")]
    assert run([*asked, "-q"]) == 11
    assert not (tmp_path / "kit").exists()


@pytest.mark.parametrize("place", [".", "..", "/proc", "full"])
def test_a_kit_needs_a_place_of_its_own(place: str, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("keep")
    where = place if place in (".", "..") else str(tmp_path / place)
    assert run(["kit", str(bundle), "-o", where, "-q"]) == 2
    assert (tmp_path / "full" / "mine").read_text() == "keep"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--tool", "@modules.tar.zst"), "not that of a portable archive"),
        (("--tool", "@timoni-bundler-1.0-linux-x86_64.tar.xz"), "not an xz file"),
        (("--tool", "@nowhere"), "No such file"),
        (
            ("--tool", f"@{ARCHIVES[0]}", "--tool", "@timoni-bundler-2.0-linux-x86_64.tar.xz"),
            "another version",
        ),
        (("@modules.tar.zst",), "the same bundle as"),
        (("--volumes-in", "@"), "no bundle is in volumes"),
        (("@unpacked",), "a kit carries files"),
    ],
)
def test_what_is_not_part_of_a_kit_is_refused(
    arguments: tuple[str, ...], says: str, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archives(tmp_path)
    (tmp_path / "timoni-bundler-1.0-linux-x86_64.tar.xz").write_bytes(b"PK")
    (tmp_path / "timoni-bundler-2.0-linux-x86_64.tar.xz").write_bytes(XZ_MAGIC)
    if "@unpacked" in arguments:
        (tmp_path / "unpacked").mkdir()
        subprocess.run(["tar", "--zstd", "-xf", bundle, "-C", tmp_path / "unpacked"], check=True)
    words = [word.replace("@", f"{tmp_path}/") for word in arguments]
    assert run(["kit", str(bundle), *words, "-o", str(tmp_path / "kit"), "-q"]) in (2, 9)
    assert says in capsys.readouterr().err
    assert not (tmp_path / "kit").exists()


class Ended(BaseException):
    """The process ended."""


class EndsAtCopying(Silence):
    """A run that is killed when the first file has been copied."""

    def advance(self, items: int = 0, size: int = 0) -> None:
        """End at the first file."""
        raise Ended


def test_a_killed_run_leaves_no_kit_and_the_next_one_makes_it(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = tmp_path / "kit"
    with monkeypatch.context() as patch:
        # A process that is killed cleans nothing up.
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(Ended):
            write_kit(KitSources([bundle]), kit, Session(progress=EndsAtCopying()))
    assert not kit.exists()
    write_kit(KitSources([bundle]), kit, Session())
    assert {path.name for path in tmp_path.iterdir()} == {"kit", "modules.tar.zst", "modules.tar.zst.sha256"}
    summed(kit)
