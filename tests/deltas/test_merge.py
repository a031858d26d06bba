"""Many bundles made one: within this machine's means, and not begun where it can't end."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest

from bundler import merge_bundles
from bundler.__main__ import run
from bundler.errors import LocalError
from bundler.exporter import output_to
from bundler.session import Session
from tests.builders import a_bundle, a_module


@pytest.mark.usefixtures("few_open_files")
def test_a_chain_may_be_longer_than_a_shell_allows_open_files(tmp_path: Path) -> None:
    bundles = [
        a_bundle(tmp_path / f"{name}.tar.zst", {f"h.example/{name}": a_module()})
        for name in map(chr, range(97, 117))
    ]
    out = tmp_path / "all.tar.zst"
    assert run(["merge", *map(str, bundles), "-o", str(out), "-q"]) == 0


def test_a_merge_that_the_disk_can_not_hold_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = a_bundle(tmp_path / "one.tar.zst", {"h.example/app": a_module()})
    usage = namedtuple("usage", "total free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(2_000, 1_000))
    with pytest.raises(LocalError, match="1,000 are free"):
        merge_bundles([bundle], output_to(str(tmp_path / "out.tar.zst")), Session())
    assert {path.name for path in tmp_path.iterdir()} == {"one.tar.zst", "one.tar.zst.sha256"}


def test_a_file_system_of_0_blocks_has_unknown_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = a_bundle(tmp_path / "one.tar.zst", {"h.example/app": a_module()})
    usage = namedtuple("usage", "total free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(0, 0))
    merge_bundles([bundle], output_to(str(tmp_path / "out.tar.zst")), Session())
    assert (tmp_path / "out.tar.zst").exists()
