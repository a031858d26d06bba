"""The shards of one export, imported one after the other: the target has the whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.__main__ import run
from tests.builders import a_module, push_to
from tests.registries import RealRegistry

COUNT = 3


@pytest.mark.slow
def test_shards_from_a_catalog_make_the_target_whole(
    source_registry: RealRegistry, target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    paths = [fresh(f"m{number}") for number in range(7)]
    for path in paths:
        push_to(source_registry.base, path, a_module("1.0.0", "1.1.0", name=path))
    source = f"{source_registry.host}/{paths[0].rpartition('/')[0]}/*"
    for index in range(COUNT):
        bundle = str(tmp_path / f"{index}.tar.zst")
        assert run(["export", source, "-o", bundle, "--shard", f"{index}/{COUNT}", "-q"]) == 0
        assert run(["import", bundle, "--to", f"{target_registry.host}/whole", "-q"]) == 0
    assert {path: sorted(target_registry.tags(f"whole/{path}")) for path in paths} == {
        path: ["1.0.0", "1.1.0"] for path in paths
    }
