"""One export shared by several machines, here by one after the other: together they carry the whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.bundle.inventory import Inventory, Root, roots_of
from bundler.bundle.reader import open_bundle
from bundler.importer import verify_bundle
from bundler.oci.reference import RepositoryName
from bundler.selection.sources import Shard
from tests.builders import an_image, sign_by_tag
from tests.doubles import MemoryRegistry
from tests.exporter.test_wanted_images import a_timoni_module, annotated
from tests.flows import imported
from tests.server.client import writable_registry

Output = pytest.CaptureFixture[str]
NAMES = [f"org/modules/m{number}" for number in range(9)]


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    """Modules, one of them signed, and one that runs an image."""
    signed = a_timoni_module({"signed.cue": b""})
    sign_by_tag(signed, signed.tags["1.0.0"])
    repositories = {name: a_timoni_module({f"{name[-2:]}.cue": b""}) for name in NAMES}
    with MemoryRegistry({**repositories, "org/modules/signed": signed}) as server:
        server.repositories["org/modules/runs"] = annotated(f"{server.host}/hub/nginx:1.25")
        server.repositories["hub/nginx"] = an_image("1.25")
        yield server


def inventory_of(bundle: Path) -> Inventory:
    """What a bundle holds, when all of it is proven."""
    with open_bundle(bundle) as opened:
        return verify_bundle(opened).bundle.inventory


def roots_in(bundle: Path) -> set[Root]:
    """Everything that a bundle names."""
    return set(roots_of(inventory_of(bundle)))


def empty_shard(registry: MemoryRegistry, names: list[str]) -> str:
    """A shard that none of these repositories is in."""
    count = len(names) + 1
    full = [RepositoryName(f"{registry.host}/{name}") for name in names]
    index = next(i for i in range(count) if not any(Shard(i, count).takes(name) for name in full))
    return f"{index}/{count}"


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_shards_together_carry_the_whole(count: int, registry: MemoryRegistry, tmp_path: Path) -> None:
    wanted = [f"{registry.host}/org/modules/*", "--with-images", "--quiet"]
    whole = tmp_path / "whole.tar.zst"
    assert run(["export", *wanted, "-o", str(whole)]) == 0
    parts = [tmp_path / f"{index}.tar.zst" for index in range(count)]
    for index, part in enumerate(parts):
        assert run(["export", *wanted, "-o", str(part), "--shard", f"{index}/{count}"]) == 0
    assert set().union(*map(roots_in, parts)) == roots_in(whole)
    assert sum(len(roots_in(part)) for part in parts) == len(roots_in(whole))
    blobs = {blob for part in parts for blob in inventory_of(part).content}
    assert blobs == set(inventory_of(whole).content)


def test_a_shard_asks_for_nothing_of_the_others(registry: MemoryRegistry, tmp_path: Path) -> None:
    out = str(tmp_path / "b.tar.zst")
    sources = [f"{registry.host}/{name}" for name in NAMES]
    assert run(["export", *sources, "-o", out, "--shard", "1/3", "-q"]) == 0
    own = {name for name in NAMES if Shard(1, 3).takes(RepositoryName(f"{registry.host}/{name}"))}
    assert {seen.path.split("/tags/")[0][4:] for seen in registry.asked() if "/tags/" in seen.path} == own


def test_an_image_comes_with_the_shard_of_its_module(registry: MemoryRegistry, tmp_path: Path) -> None:
    module, out = f"{registry.host}/org/modules/runs", tmp_path / "b.tar.zst"
    index = next(i for i in range(5) if Shard(i, 5).takes(RepositoryName(module)))
    assert run(["export", module, "--with-images", "-o", str(out), "-q", "--shard", f"{index}/5"]) == 0
    assert {root.repository.path for root in roots_in(out)} == {"org/modules/runs", "hub/nginx"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["b.tar.zst", "folder"])
def test_a_shard_without_repositories_can_be_imported(
    name: str, registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    out, sources = tmp_path / name, [f"{registry.host}/{name}" for name in NAMES]
    arguments = ["export", *sources, "-o", str(out), "--shard", empty_shard(registry, NAMES)]
    assert run([*arguments, "--json", "-q"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["repositories"], report["bundle"]["path"]) == ([], str(out))
    assert roots_in(out) == set()
    with writable_registry(tmp_path / "inside") as inside:
        assert imported(out, f"{inside.address}/mirror").exit_code == 0
    assert run([*arguments, "-q"]) == 0


def test_what_failed_is_not_written_as_an_empty_shard(
    registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    missing = RepositoryName(f"{registry.host}/org/missing")
    index = next(i for i in range(3) if Shard(i, 3).takes(missing))
    out = tmp_path / "b.tar.zst"
    assert run(["export", missing, "-o", str(out), "--shard", f"{index}/3"]) == 4
    assert not out.exists()
    assert "org/missing" in capsys.readouterr().err


def test_explain_shows_what_a_shard_takes(registry: MemoryRegistry, capsys: Output) -> None:
    wanted = [f"{registry.host}/org/modules/*", f"{registry.host}/hub/nginx:1.25"]
    told: list[str] = []
    for index in range(3):
        assert run(["explain", *wanted, "--json", "-q", "--shard", f"{index}/3"]) == 0
        told += [entry["name"] for entry in json.loads(capsys.readouterr().out)["repositories"]]
    assert sorted(told) == sorted(f"{registry.host}/{name}" for name in registry.repositories)


def test_every_shard_knows_the_registries_of_the_whole(
    registry: MemoryRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    # Else a secret without a host would go to whichever registry a shard happens to need.
    monkeypatch.setenv("TIMONI_BUNDLER_CREDS", "carrier:s3cret")
    sources = [f"{registry.host}/{NAMES[0]}", f"other.example/{NAMES[1]}"]
    index = next(i for i in range(2) if Shard(i, 2).takes(RepositoryName(sources[0])))
    arguments = ["export", *sources, "-o", str(tmp_path / "b.tar.zst"), "--shard", f"{index}/2"]
    assert run(arguments) == 2
    assert "a line has no host" in capsys.readouterr().err


@pytest.mark.slow
def test_shards_follow_a_lock_file_and_write_none(
    registry: MemoryRegistry, tmp_path: Path, capsys: Output
) -> None:
    lock, whole = tmp_path / "lock.json", tmp_path / "whole.tar.zst"
    source = [f"{registry.host}/org/modules/*", "--with-images", "-q", "--lock", str(lock)]
    parts = [tmp_path / f"{index}.tar.zst" for index in range(3)]
    assert run(["export", *source, "-o", str(parts[0]), "--shard", "0/3"]) == 2
    assert "a shard needs an existing lock file" in capsys.readouterr().err
    assert run(["export", *source, "-o", str(whole)]) == 0
    pinned = lock.read_bytes()
    for index, part in enumerate(parts):
        assert run(["export", *source, "-o", str(part), "--shard", f"{index}/3"]) == 0
    assert set().union(*map(roots_in, parts)) == roots_in(whole)
    assert lock.read_bytes() == pinned
