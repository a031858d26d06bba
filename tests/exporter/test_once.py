"""What an export computes of everything that it carries, it computes once."""

from importlib import import_module
from pathlib import Path

import pytest

from tests.builders import a_module
from tests.doubles import MemoryRegistry
from tests.flows import exported


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("bundler.exporter.export_content", "full_inventory"),
        ("bundler.exporter.resolve.resolution", "with_carried_children"),
    ],
)
def test_inventory_and_sparse_indexes_are_found_once(
    module: str, function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = import_module(module)
    calls: list[str] = []
    original = getattr(room, function)

    def counted(*values: object) -> object:
        calls.append(function)
        return original(*values)

    monkeypatch.setattr(room, function, counted)
    with MemoryRegistry({"app": a_module("1.0.0", "1.1.0")}) as source:
        report = exported(tmp_path / "b.tar.zst", f"{source.host}/app", lock=tmp_path / "export.lock")
    assert report.exit_code == 0
    assert calls == [function]
