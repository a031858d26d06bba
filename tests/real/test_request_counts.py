"""What the flows ask of a registry, counted in the registry's own access log.

The one question for referrers tells that the whole registry lacks that API, the one for more tags that it
doesn't understand that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bundler.__main__ import run
from tests.builders import a_bundle, a_module, an_index, push_to
from tests.doubles import MemoryRegistry
from tests.flows import exported, imported
from tests.registries import Access, RealRegistry

Fresh = Callable[[str], str]


def kinds(accesses: list[Access]) -> Counter[str]:
    """Requests by method and by what was asked for."""
    return Counter(f"{access.method} {access.target.split('?')[0].split('/')[-2]}" for access in accesses)


@pytest.mark.slow
def test_an_export_asks_once_per_list_tag_and_distinct_blob(
    source_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = a_module("1.0.0", "1.1.0", "1.2.0"), fresh("app")
    push_to(source_registry.base, path, content)
    before = len(source_registry.accesses(path))
    exported(tmp_path / "b.tar.zst", source_registry.repository(path))
    seen = kinds(source_registry.accesses(path)[before:])
    assert seen == {
        "GET tags": 1 + 1,
        "GET manifests": 3,
        "GET referrers": 1,
        "GET blobs": len(content.blobs),
    }


@pytest.mark.slow
def test_an_index_costs_one_request_per_child(
    source_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = an_index(of=3), fresh("app")
    push_to(source_registry.base, path, content)
    before = len(source_registry.accesses(path))
    exported(tmp_path / "b.tar.zst", source_registry.repository(path))
    seen = kinds(source_registry.accesses(path)[before:])
    assert seen == {
        "GET tags": 1 + 1,
        "GET manifests": 4,
        "GET referrers": 1,
        "GET blobs": len(content.blobs),
    }


def test_a_blob_of_two_repositories_is_fetched_from_one(
    source_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, paths = a_module("1.0.0"), (fresh("a"), fresh("b"))
    for path in paths:
        push_to(source_registry.base, path, content)
    before = {path: len(source_registry.accesses(path)) for path in paths}
    exported(tmp_path / "b.tar.zst", *(source_registry.repository(path) for path in paths))
    seen = sum((kinds(source_registry.accesses(path)[before[path] :]) for path in paths), Counter())
    assert seen == {
        "GET tags": 2 + 1,
        "GET manifests": 2,
        "GET referrers": 1,
        "GET blobs": len(content.blobs),
    }


@pytest.mark.slow
def test_a_second_export_asks_for_lists_and_tags_only(
    source_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    path, store = fresh("app"), tmp_path / "store"
    push_to(source_registry.base, path, a_module("1.0.0", "1.1.0"))
    exported(tmp_path / "a.tar.zst", source_registry.repository(path), store=store)
    before = len(source_registry.accesses(path))
    exported(tmp_path / "b.tar.zst", source_registry.repository(path), store=store)
    assert kinds(source_registry.accesses(path)[before:]) == {
        "GET tags": 1 + 1,
        "GET manifests": 2,
        "GET referrers": 1,
    }
    assert (tmp_path / "a.tar.zst").read_bytes() == (tmp_path / "b.tar.zst").read_bytes()


@pytest.mark.slow
def test_a_second_export_of_an_index_asks_for_no_child_again(
    source_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    path, store = fresh("app"), tmp_path / "store"
    push_to(source_registry.base, path, an_index(of=3))
    exported(tmp_path / "a.tar.zst", source_registry.repository(path), store=store)
    before = len(source_registry.accesses(path))
    exported(tmp_path / "b.tar.zst", source_registry.repository(path), store=store)
    assert kinds(source_registry.accesses(path)[before:]) == {
        "GET tags": 1 + 1,
        "GET manifests": 1,
        "GET referrers": 1,
    }


@pytest.mark.slow
def test_a_first_import_sends_each_blob_once_and_reads_tags_back(
    source_registry: RealRegistry, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    content, path = a_module("1.0.0", "1.1.0"), fresh("app")
    push_to(source_registry.base, path, content)
    exported(tmp_path / "b.tar.zst", source_registry.repository(path))
    imported(tmp_path / "b.tar.zst", target_registry.host)
    seen = kinds(target_registry.accesses(path))
    blobs = len(content.blobs)
    # One tag asked for, then the list, which says that there is no such repository. The upload that is asked
    # for at first takes the first blob. One manifest is offered. The answers to uploads name the blobs.
    # In a new repository, manifests go directly under their tags: each tag is asked for right before, and
    # read back with all bytes.
    assert seen == {
        "HEAD manifests": 1 + 2,
        "GET tags": 1,
        "GET manifests": 2,
        "POST uploads": blobs,
        "PUT uploads": blobs,
        "PUT manifests": 2 + 1,
    }


@pytest.mark.slow
def test_a_first_import_of_28_tags_takes_at_most_240_requests(
    target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    contents = {}
    for number, versions in enumerate((8, 8, 4, 3)):
        content = a_module(*(f"1.{minor}.0" for minor in range(versions)), name=f"m{number}")
        content.tags["latest"] = content.tags["1.0.0"]
        if number == 3:
            content.add_image("extra", "2.0.0", layers=8)
        contents[f"h.example/{fresh(f'm{number}')}"] = content
    tags = sum(len(content.tags) for content in contents.values())
    blobs = sum(len(content.blobs) for content in contents.values())
    bundle = a_bundle(tmp_path / "b.tar.zst", contents)
    report = imported(bundle, target_registry.host)
    assert report.exit_code == 0
    assert (tags, blobs) == (28, 59)
    assert report.traffic.requests <= 240
    assert imported(bundle, target_registry.host).traffic.requests == 28


@pytest.mark.slow
def test_a_second_import_is_one_head_per_tag(
    source_registry: RealRegistry, target_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    path = fresh("app")
    push_to(source_registry.base, path, a_module("1.0.0", "1.1.0"))
    exported(tmp_path / "b.tar.zst", source_registry.repository(path))
    imported(tmp_path / "b.tar.zst", target_registry.host)
    before = len(target_registry.accesses(path))
    assert imported(tmp_path / "b.tar.zst", target_registry.host).unchanged
    assert kinds(target_registry.accesses(path)[before:]) == {"HEAD manifests": 2}


@pytest.mark.slow
def test_one_more_version_sends_what_is_new_only(
    target_registry: RealRegistry, source_registry: RealRegistry, fresh: Fresh, tmp_path: Path
) -> None:
    path = fresh("app")
    for number, versions in enumerate((("1.0.0",), ("1.0.0", "1.1.0"))):
        push_to(source_registry.base, path, a_module(*versions))
        exported(tmp_path / f"{number}.tar.zst", source_registry.repository(path))
        before = len(target_registry.accesses(path))
        assert imported(tmp_path / f"{number}.tar.zst", target_registry.host).exit_code == 0
    seen = kinds(target_registry.accesses(path)[before:])
    assert (seen["PUT uploads"], seen["PUT manifests"]) == (2, 1 + 1 + 1)


@pytest.mark.slow
def test_a_night_without_news_costs_lists_and_movable_tags_only(
    tmp_path: Path,
) -> None:
    versions = [f"1.{minor}.0" for minor in range(19)]
    contents = {f"r{number}": a_module(*versions, size=40) for number in range(100)}
    for content in contents.values():
        content.tags["latest"] = content.tags["1.18.0"]
    with MemoryRegistry(contents) as server:
        sources = [f"{server.host}/{name}" for name in contents]
        job = ["--store", str(tmp_path / "s"), "--base", "last", "--immutable", "semver", "-q"]
        assert run(["export", *sources, *job, "-o", str(tmp_path / "sunday.tar.zst")]) == 0
        server.seen.clear()
        assert run(["export", *sources, *job, "-o", str(tmp_path / "monday.tar.zst")]) == 0
        assert len(server.seen) == 100 + 100 + len(server.asked("GET", "last="))
        assert len(server.asked("GET", "last=")) == 2
    assert not (tmp_path / "monday.tar.zst").exists()
