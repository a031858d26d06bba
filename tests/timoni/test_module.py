"""Packing a module version as Timoni does."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

import pytest

from bundler.compact.codecs import GZIP_HEADER, CodecNumber, GzipRecipe, Recognition
from bundler.errors import ContentError
from bundler.oci.digest import sha256
from bundler.timoni.module import CONFIG, PackedModule, archive, pack_module

FILES = {
    "timoni.cue": b"package main\n",
    "templates/config.cue": b"package templates\n",
    "cue.mod/module.cue": b'module: "timoni.sh/app"\n',
    "cue.mod/gen/k8s.io/api/core/v1/pod.cue": b"package v1\n",
    "README.md": b"# app\n",
}


def packed(source: str = "https://example.com/app", **more: bytes) -> PackedModule:
    """A version of a small module."""
    files = FILES | {name.replace("_", "."): data for name, data in more.items()}
    return pack_module(
        files, version="1.0.0", created="2026-01-01T00:00:00Z", source=source, revision="v1.0.0"
    )


def members(layer: bytes) -> list[tarfile.TarInfo]:
    """What a tar reader that nobody here wrote finds."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer))) as file:
        return file.getmembers()


def test_the_manifest_is_as_timoni_writes_it() -> None:
    module = packed()
    config, vendor, own = module.blobs
    assert module.manifest.data.decode() == (
        '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",'
        f'"config":{{"mediaType":"application/vnd.timoni.config.v1+json","size":115,"digest":"{config.digest}"}},'
        '"layers":['
        f'{{"mediaType":"application/vnd.timoni.content.v1.tar+gzip","size":{vendor.size},"digest":"{vendor.digest}",'
        '"annotations":{"sh.timoni.content.type":"module/vendor"}},'
        f'{{"mediaType":"application/vnd.timoni.content.v1.tar+gzip","size":{own.size},"digest":"{own.digest}",'
        '"annotations":{"sh.timoni.content.type":"module"}}],'
        '"annotations":{"org.opencontainers.image.created":"2026-01-01T00:00:00Z",'
        '"org.opencontainers.image.revision":"v1.0.0",'
        '"org.opencontainers.image.source":"https://example.com/app",'
        '"org.opencontainers.image.version":"1.0.0"}}'
    )


def test_the_config_is_the_one_that_all_modules_share() -> None:
    assert sha256(CONFIG) == "sha256:5b943e2b943f6c81dbbd4e2eca5121f4fcc39139e3d1219d6d89bd925b77d9fe"
    assert next(iter(packed().blobs.values())) == CONFIG


def test_every_blob_is_what_its_descriptor_says() -> None:
    for blob, data in packed().blobs.items():
        assert (blob.digest, blob.size) == (sha256(data), len(data))


def test_layers_are_made_as_go_makes_them() -> None:
    """So a bundle of such modules can be compact."""
    _, *layers = packed().blobs.values()
    for layer in layers:
        seen = Recognition([layer], [CodecNumber.GO_A])
        assert b"".join(seen.content()) == gzip.decompress(layer)
        assert seen.recipe == GzipRecipe(CodecNumber.GO_A, GZIP_HEADER)


def test_vendored_files_are_one_layer_and_the_others_the_next() -> None:
    _, vendor, own = packed().blobs.values()
    assert [member.name for member in members(vendor) if member.isfile()] == [
        "cue.mod/gen/k8s.io/api/core/v1/pod.cue",
        "cue.mod/module.cue",
    ]
    assert [member.name for member in members(own)] == [
        ".",
        "README.md",
        "templates",
        "templates/config.cue",
        "timoni.cue",
    ]


def test_a_layer_says_nothing_of_the_machine() -> None:
    for layer in list(packed().blobs.values())[1:]:
        assert layer.startswith(bytes.fromhex("1f8b08000000000000ff"))
        for member in members(layer):
            assert (member.uid, member.gid, member.mtime, member.uname, member.gname) == (0, 0, 0, "", "")
            assert member.mode == (0o755 if member.isdir() else 0o644)


def test_the_vendor_layer_does_not_change_with_the_module() -> None:
    _, vendor, own = packed().blobs
    _, same_vendor, other = packed(values_cue=b"values: {}\n").blobs
    assert vendor == same_vendor
    assert own != other


def test_the_content_comes_back() -> None:
    layers = list(packed().blobs.values())[1:]
    found: dict[str, bytes] = {}
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer))) as file:
            found |= {m.name: file.extractfile(m).read() for m in file if m.isfile()}  # type: ignore[union-attr]
    assert found == FILES


def test_json_is_escaped_as_go_escapes_it() -> None:
    module = packed(source="https://example.com/?a=<1>&b")
    assert b"?a=\\u003c1\\u003e\\u0026b" in module.manifest.data
    annotations = json.loads(module.manifest.data)["annotations"]
    assert annotations["org.opencontainers.image.source"] == "https://example.com/?a=<1>&b"


@pytest.mark.parametrize("length", [99, 100, 101, 150, 200, 250])
def test_a_long_path_is_split_where_another_reader_joins_it(length: int) -> None:
    path = ("folder/" * 40)[: length - 10] + "/" + "f" * 9
    path = path.replace("//", "/x")
    with tarfile.open(fileobj=io.BytesIO(b"".join(archive({path: b"x"})))) as file:
        assert file.getnames()[-1] == path


@pytest.mark.parametrize("path", ["f" * 101, "folder/" * 40 + "file", "naïve.cue"])
def test_a_path_that_no_header_can_hold_is_refused(path: str) -> None:
    with pytest.raises(ContentError, match="ustar"):
        list(archive({path: b""}))
