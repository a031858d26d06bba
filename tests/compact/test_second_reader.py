"""The page is enough for a second reader: it reads what the program writes, full bundles and deltas."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bundler.bundle.reader import open_bundle
from bundler.compact.codecs import codec
from tests.builders import TIMONI_CONFIG, Content, a_bundle, a_module, manifest_document, noise
from tests.compact.layers import a_night, an_image, opened, real_module
from tests.compact.second_reader import all_blobs
from tests.processes import bundler

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def deflate(number: int, content: bytes) -> bytes:
    """What a codec makes of a content."""
    encoder = codec(number).new()
    return encoder.write(content) + encoder.finish()


def behind(prefix: bytes, frame: bytes) -> bytes:
    """A frame unpacked by the standard library, as the page says."""
    return zstd.decompress(frame, zstd.ZstdDict(prefix, is_raw=True).as_prefix)


def same_as_portable(portable: Path, compact: Path, base: dict[str, bytes]) -> bool:
    """Whether the second reader finds the blobs of the portable file."""
    with open_bundle(portable) as bundle:
        expected = {str(blob.digest): b"".join(bundle.chunks(blob)) for blob in bundle.inventory.content}
    return all_blobs(compact.read_bytes(), deflate, behind, base) == expected


@pytest.mark.slow
def test_a_second_reader_reads_a_full_bundle(tmp_path: Path) -> None:
    contents = {"h.example/module": real_module(), "h.example/other": a_module("1.0.0", "2.0.0")}
    portable, compact = a_bundle(tmp_path / "b.tar.zst", contents), tmp_path / "b.compact.zst"
    assert bundler("compact", str(portable), "-o", str(compact)).returncode == 0
    assert same_as_portable(portable, compact, {})


@pytest.mark.slow
def test_a_second_reader_reads_a_delta_with_its_base(tmp_path: Path) -> None:
    night = a_night(tmp_path, an_image(0), an_image(0, 1))
    base = {str(digest): data for digest, data in an_image(0).everything()}
    assert same_as_portable(night.portable, night.compact, base)


@pytest.mark.slow
def test_a_second_reader_reads_many_manifests(tmp_path: Path) -> None:
    """More than one frame of them: each is behind the inventory."""
    content = Content()
    config = content.add_blob(b"{}", TIMONI_CONFIG)
    for version in range(3):
        text = noise(f"note {version}", 1_700_000).hex()
        content.add_manifest(manifest_document(config, [], annotations={"note": text}), f"1.{version}.0")
    portable, compact = (
        a_bundle(tmp_path / "b.tar.zst", {"h.example/app": content}),
        tmp_path / "b.compact.zst",
    )
    assert bundler("compact", str(portable), "-o", str(compact)).returncode == 0
    assert same_as_portable(portable, compact, {})


@pytest.mark.slow
def test_digests_in_manifests_cost_next_to_nothing(tmp_path: Path) -> None:
    """The inventory has them already: 32 bytes that nothing compresses, each once."""
    contents = {"h.example/module": real_module(20)}
    portable, compact = a_bundle(tmp_path / "b.tar.zst", contents), tmp_path / "b.compact.zst"
    assert bundler("compact", str(portable), "-o", str(compact)).returncode == 0
    with opened(compact) as bundle:
        head, manifests = bundle.frames[:2]
        number = len(bundle.inventory.manifests)
    assert head.compressed > 2 * 32 * number
    assert manifests.compressed < 32 * number
