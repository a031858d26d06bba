"""The whole cycle against a registry that is not Distribution: go-containerregistry's.

It keeps manifests whose blobs are missing, cuts tag lists without a `Link`, and has no Referrers API.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from bundler.__main__ import run
from tests.builders import (
    Content,
    a_module,
    add_version,
    an_index,
    push_to,
    sign_by_subject,
    sign_by_tag,
)
from tests.registries import RealRegistry, running_second_registry
from tools import second_registry

Fresh = Callable[[str], str]


@pytest.fixture(scope="module")
def second() -> Iterator[str]:
    """HOST:PORT of the second registry."""
    with running_second_registry() as host:
        yield host


def a_repository() -> Content:
    """Return a module with signatures of both kinds, and an index."""
    content = a_module("1.0.0", "1.1.0")
    index = an_index(tag="2.0.0")
    content.tags |= index.tags
    content.manifests |= index.manifests
    content.blobs |= index.blobs
    sign_by_tag(content, content.tags["1.0.0"])
    sign_by_subject(content, content.tags["1.1.0"])
    return content


class Cycle:
    """One repository carried from a registry to another, night after night."""

    def __init__(self, source: str, path: str, target: str, folder: Path) -> None:
        self.source, self.path, self.target, self.folder = source, path, target, folder
        self.prefix = f"oci://{target}/{path}-inside"
        self.state = ["--state", str(folder / "state")]

    def export(self, name: str, *options: str) -> Path:
        """Write a bundle."""
        out = self.folder / f"{name}.tar.zst"
        command = ["export", f"{self.source}/{self.path}", "-o", str(out), "-q"]
        assert run([*command, "--store", str(self.folder / "store"), *options]) == 0
        return out

    def replay(self, bundle: Path, *options: str) -> dict[str, Any]:
        """Import a bundle; return the report."""
        report = self.folder / "report.json"
        command = ["import", str(bundle), "--to", self.prefix, "--report", str(report), "-q"]
        assert run([*command, *self.state, *options]) == 0
        document: dict[str, Any] = json.loads(report.read_text())
        return document

    def is_verified(self, bundle: Path) -> bool:
        """Return whether the target has all of a bundle, every byte read."""
        command = ["verify", str(bundle), "--against", self.prefix, "--deep", "-q"]
        return run(command) == 0

    def tags(self) -> set[str]:
        """Return the tags at the target, as a plain client lists them."""
        listed = requests.get(f"http://{self.target}/v2/{self.path}-inside/{self.path}/tags/list", timeout=60)
        return set(listed.json()["tags"] or ())


def all_nights(cycle: Cycle, content: Content, push: Callable[[Content], None], gone: str) -> None:
    """Export, import, compare, import again, then a delta with a new tag and without an old one."""
    push(content)
    first = cycle.export("first")
    assert not cycle.replay(first)["unchanged"]
    assert cycle.is_verified(first)
    assert cycle.replay(first)["unchanged"]
    assert cycle.tags() == set(content.tags)
    add_version(content, "1.2.0")
    removed = content.tags.pop(gone)
    push(content)
    for name in (gone, removed):  # Distribution 2 deletes by digest alone
        requests.delete(f"http://{cycle.source}/v2/{cycle.path}/manifests/{name}", timeout=60)
    second = cycle.export("second", "--base", str(first))
    report = cycle.replay(second, "--prune", "1")
    statuses = {tag["reference"]: tag["status"] for entry in report["repositories"] for tag in entry["tags"]}
    assert (statuses["1.2.0"], statuses[gone]) == ("pushed", "removed")
    assert cycle.is_verified(second)
    assert cycle.tags() == set(content.tags)


@pytest.mark.slow
def test_every_step_works_inside_at_a_second_registry(
    second: str, source_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    path = fresh("app")
    content = a_repository()
    cycle = Cycle(source_registry.host, path, second, tmp_path)
    all_nights(cycle, content, lambda whole: push_to(source_registry.base, path, whole), "1.1.0")


@pytest.mark.slow
def test_every_step_works_from_a_second_registry_to_itself(second: str, fresh: Fresh, tmp_path: Path) -> None:
    path = fresh("app")
    cycle = Cycle(second, path, second, tmp_path)
    all_nights(cycle, a_repository(), lambda whole: push_to(f"http://{second}", path, whole), "1.0.0")


@pytest.mark.slow
def test_every_step_works_outside_at_a_second_registry(
    second: str, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    path = fresh("app")
    cycle = Cycle(second, path, target_registry.host, tmp_path)
    all_nights(cycle, a_repository(), lambda whole: push_to(f"http://{second}", path, whole), "2.0.0")


def test_a_sparse_index_is_filtered_at_a_second_registry(second: str, fresh: Fresh, tmp_path: Path) -> None:
    path, content = fresh("app"), an_index(tag="2.0.0")
    push_to(f"http://{second}", path, content)
    cycle = Cycle(second, path, second, tmp_path)
    bundle = cycle.export("sparse", "--platform", "linux/p0")
    command = ["import", str(bundle), "--to", cycle.prefix, "-q"]
    assert run(command) == 10
    assert run([*command, "--filter-indexes"]) == 0


# --- the program itself -------------------------------------------------------------------------------


def test_the_second_registry_is_kept_where_a_variable_says(tmp_path: Path) -> None:
    chosen = second_registry.program({second_registry.FOLDER: str(tmp_path)})
    assert chosen == tmp_path / f"registry-{second_registry.VERSION}"
    cached = second_registry.program({"XDG_CACHE_HOME": str(tmp_path)})
    assert cached.parent == tmp_path / "timoni-bundler" / "test-programs"


def test_a_second_registry_that_is_there_is_not_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(second_registry.FOLDER, str(tmp_path))
    path = tmp_path / f"registry-{second_registry.VERSION}"
    path.touch()
    monkeypatch.setattr(second_registry, "build", lambda path: sys.exit("built again"))
    assert second_registry.main() == 0
    assert capsys.readouterr().out == f"{path}\n"
