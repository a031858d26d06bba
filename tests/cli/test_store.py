"""The store that nightly exports share: what goes, what stays, and what is damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.bundle.reader import open_bundle
from tests.builders import a_module, add_version
from tests.doubles import MemoryRegistry
from tests.processes import bundler
from tests.schema_checks import valid


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    """A module outside."""
    with MemoryRegistry({"app": a_module("1.0.0", "1.1.0", "1.2.0")}) as server:
        yield server


def export(registry: MemoryRegistry, folder: Path, name: str, *more: str) -> Path:
    """One night."""
    out = folder / f"{name}.tar.zst"
    done = bundler(
        "export", f"{registry.host}/app", "-o", str(out), "--store", str(folder / "store"), "-q", *more
    )
    assert done.returncode == 0, done.stderr
    return out


def collected(folder: Path, *more: str) -> dict[str, object]:
    """What `store gc` says."""
    done = bundler("store", "gc", str(folder / "store"), "--json", *more)
    assert done.returncode == 0, done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


def blobs(folder: Path) -> set[str]:
    return {path.name for path in (folder / "store" / "blobs").glob("*/*")}


@pytest.mark.slow
def test_what_the_last_night_needs_stays_and_the_rest_can_go(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    export(registry, tmp_path, "sunday")
    tags = registry.repositories["app"].tags
    gone = tags.pop("1.0.0")
    tags["1.3.0"] = add_version(registry.repositories["app"], "1.3.0")
    export(registry, tmp_path, "monday", "--base", "last")
    before = blobs(tmp_path)
    assert collected(tmp_path)["blobs"] == 2
    assert blobs(tmp_path) == before
    assert collected(tmp_path, "--delete")["blobs"] == 2
    # Its manifest stays as long as the first bundle can be a base by its id.
    assert gone.encoded in blobs(tmp_path)
    registry.seen.clear()
    export(registry, tmp_path, "tuesday")
    assert not registry.asked("GET", "blobs/")


@pytest.mark.slow
def test_what_is_forgotten_needs_no_manifests(registry: MemoryRegistry, tmp_path: Path) -> None:
    export(registry, tmp_path, "sunday")
    gone = registry.repositories["app"].tags.pop("1.0.0")
    export(registry, tmp_path, "monday")
    assert collected(tmp_path, "--delete", "--keep", "1")["blobs"] == 3
    assert gone.encoded not in blobs(tmp_path)


@pytest.mark.slow
def test_the_bundle_in_the_directory_itself_stays(registry: MemoryRegistry, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert bundler("export", f"{registry.host}/app", "-o", str(store), "-q").returncode == 0
    assert collected(tmp_path, "--delete", "--keep", "1")["blobs"] == 0
    assert bundler("verify", str(store), "-q").returncode == 0


@pytest.mark.slow
def test_a_damaged_blob_is_found_removed_and_fetched_again(registry: MemoryRegistry, tmp_path: Path) -> None:
    out = export(registry, tmp_path, "sunday")
    with open_bundle(out) as bundle:
        blob = bundle.inventory.blobs[0]
    path = tmp_path / "store" / blob.digest.path
    path.write_bytes(bytes(len(path.read_bytes())))
    checked = bundler("store", "check", str(tmp_path / "store"), "-q")
    assert checked.returncode == 6
    assert blob.digest.encoded in checked.stderr
    assert bundler("store", "check", str(tmp_path / "store"), "--remove", "-q").returncode == 6
    export(registry, tmp_path, "monday")
    assert bundler("store", "check", str(tmp_path / "store"), "-q").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("what", ["gc", "check"])
def test_what_is_no_store_is_4(what: str, tmp_path: Path) -> None:
    assert bundler("store", what, str(tmp_path)).returncode == 4


@pytest.mark.slow
def test_a_registry_s_directory_is_not_collected(registry: MemoryRegistry, tmp_path: Path) -> None:
    out = export(registry, tmp_path, "sunday")
    assert out.exists()
    (tmp_path / "store" / "index.json").write_text("{}")
    refused = bundler("store", "gc", str(tmp_path / "store"), "--delete")
    assert refused.returncode == 2
    assert "registry" in refused.stderr


@pytest.mark.slow
def test_store_list_shows_every_bundle_that_was_made(registry: MemoryRegistry, tmp_path: Path) -> None:
    sunday = export(registry, tmp_path, "sunday", "--job", "nightly")
    add_version(registry.repositories["app"], "1.3.0")
    monday = export(registry, tmp_path, "monday", "--job", "nightly", "--base", "last")
    size = sunday.stat().st_size
    sunday.unlink()
    listed = bundler("store", "list", str(tmp_path / "store"), "--json")
    assert listed.returncode == 0, listed.stderr
    valid("store-list", json.loads(listed.stdout))
    first, second = json.loads(listed.stdout)["bundles"]
    assert (first["kind"], first["number"], first["tags"], first["bytes"]) == ("full", 1, 3, size)
    assert (second["kind"], second["number"], second["tags"]) == ("delta", 2, 1)
    assert second["base"] == [first["id"]]
    assert first["neededBy"] == [second["id"]]
    assert (first["present"], second["present"]) == (False, True)
    assert second["path"] == str(monday)
    table = bundler("store", "list", str(tmp_path / "store")).stdout.splitlines()
    assert len(table) == 3
    assert table[1].endswith("sunday.tar.zst (not there)")


def test_store_list_says_that_nothing_was_made_yet(registry: MemoryRegistry, tmp_path: Path) -> None:
    missing = bundler("store", "list", str(tmp_path))
    assert missing.returncode == 4
    assert "this directory is not a store" in missing.stderr
