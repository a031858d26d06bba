"""What is asked beside the manifests: it costs no round trip of its own, and changes no result."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from bundler.errors import NetworkError
from bundler.exporter.resolve.resolver import explain_selection
from bundler.oci.reference import parse_reference
from bundler.selection.rules import Rules
from bundler.selection.sources import ALONE, selection_of
from bundler.session import Session
from tests.builders import a_module, sign_by_subject
from tests.doubles import ALWAYS, FakeClock, MemoryRegistry, hang_up
from tests.exporter.test_shards import inventory_of
from tests.flows import exported, registries_for

VERSIONS = tuple(f"1.{minor}.0" for minor in range(1, 9))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a bundle goes."""
    return tmp_path / "b.tar.zst"


def tags_in(out: Path) -> set[str]:
    """Return the tags in a bundle."""
    return {tag for repository in inventory_of(out).repositories for tag in repository.tags}


@pytest.mark.parametrize("api", [False, True])
def test_lists_and_referrers_are_asked_about_beside_manifests(out: Path, *, api: bool) -> None:
    with MemoryRegistry({"app": a_module(*VERSIONS)}, referrers=api) as registry:
        assert exported(out, f"{registry.host}/app", jobs=2).exit_code == 0
        asked = [seen.target for seen in registry.seen]
    last = max(number for number, target in enumerate(asked) if "/manifests/" in target)
    assert any("last=" in target for target in asked[:last])
    assert any("/referrers/" in target for target in asked[:last])
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize("listed", [1, 3, 7, 8])
def test_the_newest_is_taken_from_the_whole_of_a_cut_list(listed: int, out: Path) -> None:
    content = {"app": a_module(*VERSIONS), "redis": a_module("1.0.0", "2.0.0")}
    with MemoryRegistry(content, listed=listed) as registry:
        sources = [f"{registry.host}/{name}" for name in content]
        assert exported(out, *sources, rules=Rules(newest=1)).exit_code == 0
        asked = Counter(seen.target for seen in registry.seen)
    assert tags_in(out) == {"1.8.0", "2.0.0"}
    assert set(asked.values()) == {1}


def test_a_tag_that_fails_in_a_cut_list_is_told_once(out: Path) -> None:
    content = a_module(*VERSIONS)
    content.manifests.pop(content.tags["1.2.0"])
    with MemoryRegistry({"app": content}, listed=3) as registry:
        report = exported(out, f"{registry.host}/app")
    assert [failed.item.rpartition(":")[2] for failed in report.failures] == ["1.2.0"]
    assert tags_in(out) == {*VERSIONS} - {"1.2.0"}


def test_a_list_that_breaks_off_where_it_was_doubted_fails(out: Path) -> None:
    contents = {"app": a_module(*VERSIONS), "redis": a_module("2.0.0")}
    with MemoryRegistry(contents, listed=3) as registry:
        registry.on("GET", "app/tags/list.*last=", hang_up, times=ALWAYS)
        report = exported(out, f"{registry.host}/app", f"{registry.host}/redis")
    assert [failed.exit_code for failed in report.failures] == [NetworkError.exit_code]
    assert tags_in(out) == {"2.0.0"}


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_what_is_attached_to_the_one_asked_first_is_carried(version: str, out: Path) -> None:
    content = a_module(*VERSIONS)
    signature = sign_by_subject(content, content.tags[version], listed=False)
    with MemoryRegistry({"app": content}, referrers=True) as registry:
        assert exported(out, f"{registry.host}/app").exit_code == 0
    assert signature in {blob.digest for blob in inventory_of(out).manifests}


VERSION_LISTS = some.lists(some.sampled_from((*VERSIONS, "latest")), unique=True, max_size=9)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    some.dictionaries(some.sampled_from("abcd"), VERSION_LISTS, min_size=1),
    some.none() | some.integers(1, 9),
    some.none() | some.integers(1, 3),
    some.sampled_from([1, 4]),
)
def test_an_export_takes_what_explain_says_however_lists_are_cut(
    lists: dict[str, list[str]], listed: int | None, newest: int | None, jobs: int
) -> None:
    rules = Rules(newest=newest)
    contents = {name: a_module(*tags) for name, tags in lists.items()}
    with MemoryRegistry(contents, listed=listed) as registry, TemporaryDirectory() as folder:
        named = [parse_reference(f"{registry.host}/{name}") for name in lists]
        explained = explain_selection(selection_of(named, rules, ALONE), Session(registries_for(FakeClock())))
        out = Path(folder) / "b.tar.zst"
        exported(out, *map(str, named), rules=rules, jobs=jobs)
        entries = inventory_of(out).repositories if out.exists() else ()
        taken = {(entry.name, tag) for entry in entries for tag in entry.tags}
    expected = {
        (repository.name, decision.tag)
        for repository in explained.repositories
        for decision in repository.decisions
        if decision.taken
    }
    assert taken == expected
