"""Indexes of which only some platforms are wanted: their bytes stay, and they say what is left out."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundler.__main__ import run
from bundler.bundle.reader import open_bundle
from bundler.oci.digest import Digest
from bundler.oci.platform import parse_platform
from bundler.reporting.json_report import Report
from bundler.selection.sources import Include
from tests.builders import Content, index_document
from tests.doubles import ALWAYS, Fault, MemoryRegistry, says
from tests.flows import exported, imported
from tests.processes import PROGRAM
from tests.registries import RealRegistry
from tests.server.client import writable_registry

ATTESTS = "vnd.docker.reference.digest"


def for_many_platforms() -> tuple[Content, dict[str, Digest]]:
    """An image for four platforms, two of them with an attestation; digests by what they are."""
    content, entries, digests = Content(), [], dict[str, Digest]()
    for name in ("linux/amd64", "linux/arm64/v8", "linux/arm/v7", "windows/amd64"):
        os, architecture, *variant = name.split("/")
        platform = {"os": os, "architecture": architecture} | ({"variant": variant[0]} if variant else {})
        entries.append(content.add_image(name) | {"platform": platform})
        digests[name] = Digest(entries[-1]["digest"])
    for name in ("linux/amd64", "linux/arm/v7"):
        unknown = {"platform": {"os": "unknown", "architecture": "unknown"}}
        attached = {"annotations": {ATTESTS: str(digests[name])}}
        entries.append(content.add_image(f"attestation of {name}") | unknown | attached)
        digests[f"attestation of {name}"] = Digest(entries[-1]["digest"])
    content.add_manifest(index_document(*entries), "1.0.0")
    digests["index"] = content.tags["1.0.0"]
    return content, digests


@pytest.fixture
def registry() -> Iterator[MemoryRegistry]:
    """With one such image."""
    with MemoryRegistry({"app": for_many_platforms()[0]}) as server:
        yield server


def carry(registry: MemoryRegistry, out: Path, *platforms: str) -> Report:
    """Export it for some platforms."""
    along = Include(platforms=tuple(parse_platform(text) for text in platforms))
    return exported(out, f"{registry.host}/app", along=along)


@pytest.mark.parametrize(
    ("platforms", "names"),
    [
        (["linux/amd64"], {"linux/amd64", "attestation of linux/amd64"}),
        (["linux/arm64"], {"linux/arm64/v8"}),
        (["linux/arm/v7", "windows/amd64"], {"linux/arm/v7", "windows/amd64", "attestation of linux/arm/v7"}),
        ([], set(for_many_platforms()[1]) - {"index"}),
    ],
)
def test_chosen_platforms_are_carried_with_their_attachments(
    platforms: list[str], names: set[str], registry: MemoryRegistry, tmp_path: Path
) -> None:
    digests = for_many_platforms()[1]
    assert carry(registry, tmp_path / "b.tar.zst", *platforms).exit_code == 0
    with open_bundle(tmp_path / "b.tar.zst") as opened:
        inventory = opened.inventory
    assert {blob.digest for blob in inventory.manifests} == {digests["index"], *(digests[n] for n in names)}
    assert set(inventory.omitted) == set(digests.values()) - {blob.digest for blob in inventory.manifests}


def test_a_missing_platform_fails_the_tag_and_names_the_others(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    report = carry(registry, tmp_path / "b.tar.zst", "linux/riscv64")
    assert report.exit_code == 7
    assert "it has no linux/riscv64, only linux/amd64, linux/arm/v7" in report.failures[0].cause


def test_a_sparse_bundle_is_whole_for_every_command(registry: MemoryRegistry, tmp_path: Path) -> None:
    bundle = tmp_path / "b.tar.zst"
    carry(registry, bundle, "linux/amd64")
    assert run(["verify", str(bundle), "-q"]) == 0
    assert run(["inspect", str(bundle)]) == 0
    assert run(["extract", str(bundle), "app:1.0.0", "-o", str(tmp_path / "one.tar"), "-q"]) == 0


@pytest.mark.slow
def test_the_index_arrives_under_its_own_digest(registry: MemoryRegistry, tmp_path: Path) -> None:
    carry(registry, tmp_path / "b.tar.zst", "linux/amd64")
    with writable_registry(tmp_path / "target") as client:
        report = imported(tmp_path / "b.tar.zst", client.address)
        assert report.exit_code == 0
        assert report.repositories[0].tags[0].digest == for_many_platforms()[1]["index"]
        assert imported(tmp_path / "b.tar.zst", client.address).unchanged


def test_a_target_that_takes_no_sparse_index_says_so(
    registry: MemoryRegistry, target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    carry(registry, tmp_path / "b.tar.zst", "linux/amd64")
    report = imported(tmp_path / "b.tar.zst", f"{target_registry.host}/{fresh('mirror')}")
    assert report.exit_code == 10
    assert "--filter-indexes" in report.failures[0].next_step


def test_a_lock_keeps_the_wish(registry: MemoryRegistry, tmp_path: Path) -> None:
    source, lock = f"{registry.host}/app", str(tmp_path / "lock")
    command = ["export", source, "--platform", "linux/amd64", "--lock", lock, "-q", "-o"]
    assert run([*command, str(tmp_path / "a.tar.zst")]) == 0
    assert run(["export", "--lock", lock, "-q", "-o", str(tmp_path / "b.tar.zst")]) == 0
    assert (tmp_path / "a.tar.zst").read_bytes() == (tmp_path / "b.tar.zst").read_bytes()
    assert run(["export", source, "--lock", lock, "-q", "-o", str(tmp_path / "c.tar.zst")]) == 2


@pytest.mark.slow
def test_a_sparse_bundle_is_served(registry: MemoryRegistry, tmp_path: Path) -> None:
    carry(registry, tmp_path / "b.tar.zst", "linux/amd64")
    serve = [*PROGRAM, "serve", str(tmp_path / "b.tar.zst"), "--port", "0", "-q"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        address = serving.stdout.readline().strip().removeprefix("http://")
        out = str(tmp_path / "c.tar.zst")
        code = run(["export", f"{address}/app", "--platform", "linux/amd64", "-o", out, "-q"])
        serving.terminate()
        serving.stdout.read()
    assert code == 0


def test_an_export_warns_of_sparse_indexes_before_it_writes(
    registry: MemoryRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["export", f"{registry.host}/app", "-o", str(tmp_path / "b.tar.zst")]
    assert run([*command, "--platform", "linux/amd64", "--dry-run"]) == 0
    assert "most registries refuse that: import with --filter-indexes" in capsys.readouterr().err
    assert run([*command, "--platform", "linux/amd64"]) == 0
    written = capsys.readouterr().err
    assert written.index("--filter-indexes") < written.index("blobs:")


def test_an_export_of_all_platforms_warns_of_nothing(
    registry: MemoryRegistry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", f"{registry.host}/app", "-o", str(tmp_path / "b.tar.zst")]) == 0
    assert "warning" not in capsys.readouterr().err


# --- a child that is left out, and carried for another reason ------------------------------------------


@pytest.fixture
def tagged_child() -> Iterator[MemoryRegistry]:
    """The same image, one of its children under a tag that sorts behind the index."""
    content, digests = for_many_platforms()
    content.tags["2.0.0"] = digests["linux/arm64/v8"]
    with MemoryRegistry({"app": content}) as server:
        yield server


def test_an_index_stands_behind_every_child_that_is_carried(
    tagged_child: MemoryRegistry, tmp_path: Path
) -> None:
    digests = for_many_platforms()[1]
    carry(tagged_child, tmp_path / "b.tar.zst", "linux/amd64")
    with open_bundle(tmp_path / "b.tar.zst") as opened:
        order = [blob.digest for blob in opened.inventory.manifests]
        omitted = opened.inventory.omitted
    assert order.index(digests["linux/arm64/v8"]) < order.index(digests["index"])
    assert digests["linux/arm64/v8"] not in omitted


def test_export_and_merge_give_a_sparse_index_one_id(tagged_child: MemoryRegistry, tmp_path: Path) -> None:
    whole, merged = tmp_path / "b.tar.zst", tmp_path / "merged.tar.zst"
    carry(tagged_child, whole, "linux/amd64")
    assert run(["merge", str(whole), "-o", str(merged), "-q"]) == 0
    assert whole.read_bytes() == merged.read_bytes()


def test_the_next_night_of_a_sparse_index_has_nothing_new(
    tagged_child: MemoryRegistry, tmp_path: Path
) -> None:
    base, source = tmp_path / "b.tar.zst", f"{tagged_child.host}/app"
    command = ["export", source, "--platform", "linux/amd64", "-q", "-o"]
    assert run([*command, str(base)]) == 0
    night = tmp_path / "night.tar.zst"
    assert run([*command, str(night), "--base", str(base)]) == 0
    assert not night.exists()


def test_a_delta_of_a_sparse_index_makes_the_full_export(tmp_path: Path) -> None:
    content, digests = for_many_platforms()
    base, night, whole = (tmp_path / f"{name}.tar.zst" for name in ("base", "night", "whole"))
    with MemoryRegistry({"app": content}) as server:
        command = ["export", f"{server.host}/app", "--platform", "linux/amd64", "-q", "-o"]
        assert run([*command, str(base)]) == 0
        content.tags["2.0.0"] = digests["linux/arm64/v8"]
        assert run([*command, str(night), "--base", str(base)]) == 0
        assert run([*command, str(whole)]) == 0
    merged = tmp_path / "merged.tar.zst"
    assert run(["merge", str(base), str(night), "-o", str(merged), "-q"]) == 0
    assert merged.read_bytes() == whole.read_bytes()


# --- an attestation that a cache did not fetch ---------------------------------------------------------


def without(registry: MemoryRegistry, name: str, reply: Fault) -> Digest:
    """Have the registry answer so to the question for one child."""
    digest = for_many_platforms()[1][name]
    registry.on("GET", f"/manifests/{digest}", reply, times=ALWAYS)
    return digest


def test_an_image_is_carried_without_an_attestation_that_is_404(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    bundle = tmp_path / "b.tar.zst"
    missing = without(registry, "attestation of linux/amd64", says(404))
    report = carry(registry, bundle)
    assert report.exit_code == 0
    assert any(f"its attestation {missing} is not there, and is not carried" in w for w in report.warnings)
    with open_bundle(bundle) as opened:
        assert opened.inventory.omitted == (missing,)
    assert run(["verify", str(bundle), "-q"]) == 0


@pytest.mark.slow
def test_an_image_without_its_attestation_is_imported(
    registry: MemoryRegistry, target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    without(registry, "attestation of linux/amd64", says(404))
    carry(registry, tmp_path / "b.tar.zst")
    command = ["import", str(tmp_path / "b.tar.zst"), "--to", f"oci://{target_registry.host}/{fresh('a')}"]
    assert run([*command, "--filter-indexes", "-q"]) == 0


def test_the_next_night_without_an_attestation_has_nothing_new(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    without(registry, "attestation of linux/arm/v7", says(404))
    command = ["export", f"{registry.host}/app", "-q", "-o"]
    assert run([*command, str(tmp_path / "b.tar.zst")]) == 0
    night = tmp_path / "night.tar.zst"
    assert run([*command, str(night), "--base", str(tmp_path / "b.tar.zst")]) == 0
    assert not night.exists()


def test_an_attestation_that_the_cache_has_by_then_is_carried(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    digest = for_many_platforms()[1]["attestation of linux/amd64"]
    registry.on("GET", f"/manifests/{digest}", says(404), times=1)
    command = ["export", f"{registry.host}/app", "-q", "-o"]
    assert run([*command, str(tmp_path / "b.tar.zst")]) == 0
    night, merged = tmp_path / "night.tar.zst", tmp_path / "merged.tar.zst"
    assert run([*command, str(night), "--base", str(tmp_path / "b.tar.zst")]) == 0
    assert run(["merge", str(tmp_path / "b.tar.zst"), str(night), "-o", str(merged), "-q"]) == 0
    with open_bundle(merged) as opened:
        assert opened.inventory.omitted == ()


@pytest.mark.parametrize(
    ("name", "status"),
    [("linux/arm64/v8", 404), ("attestation of linux/amd64", 403), ("attestation of linux/amd64", 400)],
)
def test_only_an_attestation_that_is_absent_is_done_without(
    name: str, status: int, registry: MemoryRegistry, tmp_path: Path
) -> None:
    digest = without(registry, name, says(status))
    report = carry(registry, tmp_path / "b.tar.zst")
    assert report.exit_code != 0
    assert digest in report.failures[0].cause


def test_attestations_of_platforms_left_out_are_not_asked_for(
    registry: MemoryRegistry, tmp_path: Path
) -> None:
    without(registry, "attestation of linux/arm/v7", says(404))
    report = carry(registry, tmp_path / "b.tar.zst", "linux/amd64")
    assert report.exit_code == 0
    assert not any("attestation" in warning for warning in report.warnings)
