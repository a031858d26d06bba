"""Same content, same bytes; and programs that are not ours can read them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.bundle_format import DIGEST_FRAME, Frame, parse_seek_table, seek_table_size
from bundler.bundle.inventory import bundle_id, encode
from bundler.bundle.sealing import sidecar_of
from bundler.bundle.writer import largest_size, write_bundle
from bundler.errors import IntegrityError, NotFoundError
from bundler.reporting.progress import SILENCE
from tests.builders import SHAPES, Content, a_bundle, a_module, an_image, manifest_document, noise, packed
from tests.registries import require


def written(**contents: Content) -> bytes:
    parts: list[bytes] = []
    inventory, store = packed({f"h.example/{name}": content for name, content in contents.items()})
    write_bundle(parts.append, inventory, store, SILENCE)
    return b"".join(parts)


def with_large_layers() -> Content:
    """Members of all kinds: small, just over a piece, over a frame."""
    content = Content()
    layers = [
        content.add_blob(noise(f"l{size}", size)) for size in (10, (2 << 20) + 1, (8 << 20) + 7, 300_000)
    ]
    content.add_manifest(manifest_document(content.add_blob(b"{}"), layers), "1.0.0")
    return content


@given(st.permutations(["a", "b", "c"]))
def test_the_same_content_makes_the_same_bytes_in_any_order(names: list[str]) -> None:
    contents = {"a": a_module("1.0.0"), "b": a_module("2.0.0"), "c": an_image()}
    assert written(**{name: contents[name] for name in names}) == written(**contents)


@pytest.mark.slow
@pytest.mark.parametrize("cores", [1, 2, 64])
def test_the_bytes_do_not_depend_on_the_number_of_cores(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = written(app=with_large_layers())
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert written(app=with_large_layers()) == expected


def test_what_is_said_of_the_file_is_what_was_written(tmp_path: Path) -> None:
    inventory, store = packed({"h.example/app": a_module()})
    parts: list[bytes] = []
    said = write_bundle(parts.append, inventory, store, SILENCE)
    assert (said.bundle_id, said.size) == (bundle_id(encode(inventory)), len(b"".join(parts)))
    assert said.size <= largest_size(inventory)


@pytest.mark.parametrize("make", [with_large_layers, a_module, Content], ids=["large", "small", "nothing"])
def test_zstd_and_tar_accept_it(make: Callable[[], Content], tmp_path: Path) -> None:
    content = make()
    path = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": content})
    subprocess.run([require("zstd"), "-t", "-q", path], check=True)
    listed = subprocess.run(
        [require("tar"), "--zstd", "-tf", path], capture_output=True, text=True, check=True
    )
    names = listed.stdout.splitlines()
    assert names[:3] == ["bundle.json", "oci-layout", "index.json"]
    assert set(names[3:]) == {digest.path for digest, _ in content.everything()}


def test_tar_unpacks_every_blob(tmp_path: Path) -> None:
    content = with_large_layers()
    path = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": content})
    subprocess.run([require("tar"), "--zstd", "-xf", path, "-C", tmp_path], check=True)
    assert all((tmp_path / digest.path).read_bytes() == data for digest, data in content.everything())


def test_sha256sum_accepts_the_sidecar(tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module()})
    subprocess.run(["sha256sum", "--quiet", "-c", sidecar_of(path).name], cwd=tmp_path, check=True)


def test_the_seek_table_finds_every_frame() -> None:
    data = written(app=with_large_layers())
    size = seek_table_size(data[-9:])
    assert size
    offset, content = 0, b""
    for frame in parse_seek_table(data[-size:]):
        piece = zstandard.ZstdDecompressor().decompress(data[offset : offset + frame.compressed])
        assert len(piece) == frame.content
        offset, content = offset + frame.compressed, content + piece
    assert offset == len(data) - size - DIGEST_FRAME
    assert content[:11] == b"bundle.json"
    assert Frame(*parse_seek_table(data[-size:])[0]).content < 20_000  # bundle.json, index, manifests


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_content_is_written(shape: str) -> None:
    assert written(app=SHAPES[shape]())[:4] == b"\x28\xb5\x2f\xfd"


def test_a_blob_that_is_missing_or_wrong_stops_the_writing() -> None:
    inventory, store = packed({"h.example/app": a_module("1.0.0")})
    blob = inventory.blobs[1]
    store.blobs[blob.digest] = store.blobs[blob.digest][::-1]
    with pytest.raises(IntegrityError, match=blob.digest.encoded):
        write_bundle(lambda data: None, inventory, store, SILENCE)
    del store.blobs[blob.digest]
    with pytest.raises(NotFoundError, match=blob.digest.encoded):
        write_bundle(lambda data: None, inventory, store, SILENCE)
