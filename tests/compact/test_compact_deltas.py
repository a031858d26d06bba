"""Compact deltas: only what the base lacks is carried, and nothing of the base is believed unproven."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bundler.bundle.compacted.compact_reader import CompactFile
from bundler.bundle.reader import open_bundle
from bundler.errors import BundlerError
from bundler.importer import verify_bundle
from tests.builders import push_to
from tests.compact.layers import Night, a_night, an_image, opened
from tests.processes import bundler as run
from tests.processes import strace
from tests.registries import RealRegistry


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    return a_night(tmp_path_factory.mktemp("night"), an_image(0), an_image(0, 1))


@pytest.mark.slow
def test_a_compact_delta_carries_only_what_changed(night: Night) -> None:
    assert night.compact.stat().st_size < night.portable.stat().st_size / 10


@pytest.mark.slow
def test_expanding_gives_the_portable_delta_again(night: Night, tmp_path: Path) -> None:
    out = tmp_path / "again.tar.zst"
    assert run("expand", str(night.compact), "-o", str(out), "--with", str(night.base)).returncode == 0
    assert out.read_bytes() == night.portable.read_bytes()


@pytest.mark.slow
def test_a_compact_bundle_can_be_the_base_of_another(night: Night, tmp_path: Path) -> None:
    base, compact, out = tmp_path / "b.compact.zst", tmp_path / "n.compact.zst", tmp_path / "n.tar.zst"
    assert run("compact", str(night.base), "-o", str(base)).returncode == 0
    assert run("compact", str(night.portable), "-o", str(compact), "--with", str(base)).returncode == 0
    assert compact.read_bytes() == night.compact.read_bytes()
    assert run("expand", str(compact), "-o", str(out), "--with", str(base)).returncode == 0
    assert out.read_bytes() == night.portable.read_bytes()


@pytest.mark.slow
def test_verify_says_what_it_can_not_prove_without_the_base(night: Night) -> None:
    alone = run("verify", str(night.compact))
    assert alone.returncode == 0
    assert "every byte verified" not in alone.stdout
    assert "1 layer not verified" in alone.stdout
    assert "--with" in alone.stderr
    told = json.loads(run("verify", str(night.compact), "--json").stdout)
    assert (told["verified"], told["unprovenLayers"]) == (False, 1)
    whole = run("verify", str(night.compact), "--with", str(night.base))
    assert (whole.returncode, "every byte verified" in whole.stdout) == (0, True)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["inspect", "report", "diff"])
def test_a_delta_is_shown_without_its_base(night: Night, command: str) -> None:
    words = {"inspect": [], "report": ["-o", "-"], "diff": [str(night.base)]}[command]
    shown = run(command, *words, str(night.compact))
    assert (shown.returncode, "error" in shown.stderr) == (0, False)


@pytest.mark.slow
def test_expanding_without_the_base_names_it(night: Night, tmp_path: Path) -> None:
    refused = run("expand", str(night.compact), "-o", str(tmp_path / "x.tar.zst"))
    assert refused.returncode == 4
    with open_bundle(night.base) as base:
        assert base.id in refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_base_of_a_full_bundle_is_refused(night: Night, tmp_path: Path) -> None:
    words = ["compact", str(night.base), "-o", str(tmp_path / "x.compact.zst"), "--with", str(night.portable)]
    refused = run(*words)
    assert (refused.returncode, "is a full bundle" in refused.stderr) == (2, True)


@pytest.mark.slow
def test_merging_a_compact_delta_reads_its_base(night: Night, tmp_path: Path) -> None:
    one, other = tmp_path / "one.tar.zst", tmp_path / "other.tar.zst"
    assert run("merge", str(night.base), str(night.portable), "-o", str(one)).returncode == 0
    assert run("merge", str(night.base), str(night.compact), "-o", str(other)).returncode == 0
    assert one.read_bytes() == other.read_bytes()


# --- registries ------------------------------------------------------------------------------------


class Sides(NamedTuple):
    """A source that gained a version, and a target."""

    source: str
    to: str
    base: Path
    delta: Path


@pytest.fixture
def sides(
    source_registry: RealRegistry,
    target_registry: RealRegistry,
    fresh: Callable[[str], str],
    tmp_path: Path,
) -> Sides:
    path = fresh("app")
    source, to = f"{source_registry.host}/{path}", f"oci://{target_registry.host}/mirror"
    base, delta = tmp_path / "base.tar.zst", tmp_path / "night.compact.zst"
    push_to(source_registry.base, path, an_image(0))
    assert run("export", source, "-o", str(base)).returncode == 0
    push_to(source_registry.base, path, an_image(0, 1))
    return Sides(source, to, base, delta)


@pytest.mark.slow
@pytest.mark.parametrize("base", ["a bundle", "last", "a receipt", "a compact bundle"])
def test_a_compact_delta_is_exported_against_any_base(sides: Sides, base: str, tmp_path: Path) -> None:
    store, receipt = tmp_path / "store", tmp_path / "receipt.json"
    named = {"a bundle": str(sides.base), "last": "last", "a receipt": str(receipt)}.get(base, "")
    more: list[str] = []
    if base == "last":
        more = ["--store", str(store)]
        old = run("export", f"{sides.source}:1.0.0", "-o", str(tmp_path / "old.tar.zst"), *more)
        assert old.returncode == 0
    if base == "a receipt":
        assert run("import", str(sides.base), "--to", sides.to, "--receipt", str(receipt)).returncode == 0
    if base == "a compact bundle":
        named = str(tmp_path / "base.compact.zst")
        assert run("compact", str(sides.base), "-o", named).returncode == 0
        sides.base.unlink()
    words = ["export", sides.source, "--base", named, "--compact", "-o", str(sides.delta), *more]
    done = run(*words)
    assert done.returncode == 0, done.stderr
    with open_bundle(sides.delta) as delta:
        assert isinstance(delta, CompactFile)
        assert len(delta.base_blobs()) == 1
    again = run(*words)
    assert (again.returncode, "unchanged" in again.stdout) == (0, True)


@pytest.mark.slow
def test_a_compact_delta_is_imported_over_what_the_target_has(sides: Sides, tmp_path: Path) -> None:
    exported = ["export", sides.source, "--base", str(sides.base)]
    assert run(*exported, "--compact", "-o", str(sides.delta)).returncode == 0
    assert run(*exported, "-o", str(tmp_path / "portable.tar.zst")).returncode == 0
    early = run("import", str(sides.delta), "--to", sides.to)
    assert early.returncode == 4
    assert "import that bundle first" in early.stderr
    assert "bring the portable delta" in early.stderr
    assert run("verify", str(sides.base), "--against", sides.to).returncode != 0
    assert run("import", str(sides.base), "--to", sides.to).returncode == 0
    done = run("import", str(sides.delta), "--to", sides.to)
    assert done.returncode == 0, done.stderr
    assert run("verify", str(tmp_path / "portable.tar.zst"), "--against", sides.to).returncode == 0
    assert run("verify", str(sides.delta), "--against", sides.to).returncode == 0
    again = tmp_path / "again.tar.zst"
    assert run("expand", str(sides.delta), "-o", str(again), "--from", sides.to).returncode == 0
    assert again.read_bytes() == (tmp_path / "portable.tar.zst").read_bytes()
    small = tmp_path / "small.compact.zst"
    assert run("compact", str(again), "-o", str(small), "--from", sides.to).returncode == 0
    assert small.read_bytes() == sides.delta.read_bytes()


@pytest.mark.slow
def test_compact_nights_build_on_each_other(
    source_registry: RealRegistry, target_registry: RealRegistry, fresh: Callable[[str], str], tmp_path: Path
) -> None:
    path, store = fresh("app"), ["--store", str(tmp_path / "store")]
    nights = [tmp_path / f"{number}.compact.zst" for number in range(3)]
    for number, night in enumerate(nights):
        push_to(source_registry.base, path, an_image(*range(number + 1)))
        words = ["export", f"{source_registry.host}/{path}", "--base", "last", "--compact", *store]
        done = run(*words, "-o", str(night))
        assert done.returncode == 0, done.stderr
    before = [word for night in nights[:2] for word in ("--with", str(night))]
    proven = run("verify", str(nights[2]), *before)
    assert (proven.returncode, "every byte verified" in proven.stdout) == (0, True), proven.stderr
    whole, to = tmp_path / "whole.tar.zst", f"oci://{target_registry.host}/nights"
    assert run("merge", *map(str, nights), "-o", str(whole)).returncode == 0
    for night in nights:
        assert run("import", str(night), "--to", to).returncode == 0
    assert run("verify", str(whole), "--against", to, "--deep").returncode == 0


@pytest.mark.slow
def test_a_base_that_comes_along_need_not_be_at_the_target(sides: Sides) -> None:
    words = ["export", sides.source, "--base", str(sides.base), "--compact", "-o", str(sides.delta)]
    assert run(*words).returncode == 0
    done = run("import", str(sides.delta), "--to", sides.to, "--with", str(sides.base))
    assert done.returncode == 0, done.stderr


def spoil_link(blob: Path, link: Path) -> None:
    """Nobody can ask for the blob any more."""
    link.unlink()


def spoil_bytes(blob: Path, link: Path) -> None:
    """The registry says that it has the blob, and gives other bytes."""
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)


def spoil_blob(blob: Path, link: Path) -> None:
    """The registry's catalogue has the blob, its disk has not."""
    blob.unlink()


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "codes"), [(spoil_link, {4}), (spoil_bytes, {6}), (spoil_blob, {4, 5, 6})])
def test_a_base_that_is_gone_or_lies_at_the_target_is_told(
    sides: Sides,
    target_registry: RealRegistry,
    spoil: Callable[[Path, Path], None],
    codes: set[int],
) -> None:
    words = ["export", sides.source, "--base", str(sides.base), "--compact", "-o", str(sides.delta)]
    assert run(*words).returncode == 0
    assert run("import", str(sides.base), "--to", sides.to).returncode == 0
    with opened(sides.delta) as delta:
        (blob,) = delta.base_blobs()
    name = f"mirror/{blob.repository.path}"
    storage = target_registry.folder / "data" / "docker" / "registry" / "v2"
    digits = blob.digest.partition(":")[2]
    data = storage / "blobs" / "sha256" / digits[:2] / digits / "data"
    spoil(data, storage / "repositories" / name / "_layers" / "sha256" / digits / "link")
    before = target_registry.accesses(name)
    refused = run("import", str(sides.delta), "--to", sides.to)
    assert refused.returncode in codes, refused.stderr
    assert len(refused.stderr.strip().splitlines()[-1]) < 1_000
    assert "Traceback" not in refused.stderr
    asked = target_registry.accesses(name)[len(before) :]
    assert {access.method for access in asked} <= {"GET", "HEAD"}
    assert target_registry.tags(name) == ["1.0.0"]
    healed = run("import", str(sides.delta), "--to", sides.to, "--with", str(sides.base))
    assert healed.returncode in (0, 8), healed.stderr


@pytest.mark.strace
@pytest.mark.parametrize(
    ("struck", "codes"), [("signal=KILL", {-9, 137}), ("error=ENOSPC", {9}), ("error=EIO", {9})]
)
def test_a_run_that_reads_a_base_is_struck_and_goes_on(
    night: Night, tmp_path: Path, struck: str, codes: set[int]
) -> None:
    """The base stands in a file without a name: nothing of it is left, whatever happens."""
    out, scratch = tmp_path / "out.tar.zst", tmp_path / "scratch"
    scratch.mkdir()
    words = ["expand", str(night.compact), "-o", str(out), "--with", str(night.base)]
    inject = ("-e", "trace=pwrite64", "-e", f"inject=pwrite64:{struck}:when=1")
    where = {**os.environ, "TMPDIR": str(scratch)}
    ended = run(*words, before=strace(tmp_path / "log", *inject), env=where)
    assert ended.returncode in codes, ended.stderr
    assert "Traceback" not in ended.stderr
    assert not out.exists()
    assert list(scratch.iterdir()) == []
    assert run(*words, env=where).returncode == 0
    assert out.read_bytes() == night.portable.read_bytes()


# --- damaged and hostile ---------------------------------------------------------------------------


@pytest.mark.slow
@given(data=some.data())
def test_a_flipped_bit_in_a_delta_is_found(data: some.DataObject, night: Night) -> None:
    damaged = bytearray(night.compact.read_bytes())
    damaged[data.draw(some.integers(0, len(damaged) - 1))] ^= 1 << data.draw(some.integers(0, 7))
    path = night.compact.with_name("flipped.compact.zst")
    path.write_bytes(damaged)
    with pytest.raises(BundlerError) as error, open_bundle(path) as bundle:
        verify_bundle(bundle)
    assert error.value.exit_code in (6, 7)
