"""What a command loads: every module that it does without is time at its start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders import a_module, push_to
from tests.registries import RealRegistry

LOADED = """
import os, sys
import bundler.__main__
os._exit = lambda code: print(code, *(name for name, module in sys.modules.items() if module))
bundler.__main__.main()
"""
NOT_OF_AN_EXPORT = {
    "bundler.config.keys",
    "bundler.config.reading",
    "bundler.deltas.merge",
    "bundler.importer",
    "bundler.server",
    "bundler.timoni",
    "chardet",
    "charset_normalizer",
    "cheroot",
    "cryptography",
    "jinja2",
    "pydantic",
    "tenacity",
    "tqdm",
    "werkzeug",
    "yaml",
}


@pytest.mark.slow
def test_an_export_loads_nothing_that_it_does_without(
    source_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    path, out = fresh("start"), str(tmp_path / "b.tar.zst")
    push_to(source_registry.base, path, a_module("1.0.0"))
    asked = [sys.executable, "-c", LOADED, "export", f"{source_registry.host}/{path}", "-o", out, "-q"]
    ended = subprocess.run(asked, capture_output=True, text=True, check=True)
    code, *loaded = ended.stdout.splitlines()[-1].split()
    assert (code, ended.stderr) == ("0", "")
    assert {"requests", "bundler.exporter"} <= set(loaded)
    assert NOT_OF_AN_EXPORT & set(loaded) == set()
