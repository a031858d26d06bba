"""The README's Python, run as it stands, but between registries of this machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bundler.server.listener import RegistryServer
from bundler.server.served_content import read_only
from bundler.server.writable import writable
from tests.builders import a_bundle, a_module

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_python_of_the_readme_carries_a_module_across(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = a_bundle(tmp_path / "made.tar.zst", {"h.example/podinfo": a_module("1.0.0", "1.1.0")})
    code = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    with (
        read_only(made) as content,
        RegistryServer(content) as outside,
        writable(tmp_path / "inside") as place,
        RegistryServer(place) as inside,
    ):
        code = code.replace("ghcr.io/stefanprodan/modules", outside.address)
        found: dict[str, object] = {}
        exec(code.replace("registry.internal:5000", inside.address), found)
    tags = [tag.status for entry in found["report"].repositories for tag in entry.tags]  # type: ignore[attr-defined]
    assert tags == ["pushed", "pushed"]
    assert (tmp_path / "podinfo.tar.zst").is_file()
