"""A bundle opened: any blob at random, or everything in order."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundler.bundle.reader import Bundle, open_bundle
from bundler.bundle.stream import BundleStream
from bundler.errors import ContentError, IntegrityError, NotFoundError, UsageError
from bundler.importer import verify_bundle
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci.content import read_all
from bundler.session import Session
from tests.builders import SHAPES, Content, a_bundle, a_module, descriptor_of, manifest_document, noise
from tests.registries import require

layer_sizes = st.lists(
    st.integers(0, 3000) | st.sampled_from([(1 << 20) - 1, 2 << 20, (2 << 20) + 1, (8 << 20) + 513]),
    max_size=4,
)


def content_of(sizes: list[int]) -> Content:
    content = Content()
    layers = [content.add_blob(noise(f"{number}", size)) for number, size in enumerate(sizes)]
    content.add_manifest(manifest_document(content.add_blob(b"{}"), layers), "1.0.0")
    return content


def all_blobs(bundle: Bundle) -> dict[str, bytes]:
    return {blob.digest: b"".join(chunks) for blob, chunks in bundle.everything()}


@pytest.mark.slow
@given(layer_sizes)
@settings(max_examples=15)
def test_what_was_written_is_read_in_order_and_at_random(tmp_path: Path, sizes: list[int]) -> None:
    content = content_of(sizes)
    with open_bundle(a_bundle(tmp_path / "b.tar.zst", {"h.example/app": content})) as bundle:
        assert all_blobs(bundle) == dict(content.everything())
        blobs = list(bundle.inventory.content)
        Random(0).shuffle(blobs)
        expected = dict(content.everything())
        assert all(read_all(bundle, blob) == expected[blob.digest] for blob in blobs)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_content_is_verified(shape: str, tmp_path: Path) -> None:
    content = SHAPES[shape]()
    with open_bundle(a_bundle(tmp_path / "b.tar.zst", {"h.example/app": content})) as bundle:
        verified = verify_bundle(bundle)
    assert verified.manifests.keys() == content.manifests.keys()
    assert verified.warnings == ()


def test_many_threads_read_one_bundle(tmp_path: Path) -> None:
    content = content_of([10, 5000, 3 << 20, 2_000_000, 70_000])
    with open_bundle(a_bundle(tmp_path / "b.tar.zst", {"h.example/app": content})) as bundle:
        blobs = list(bundle.inventory.content) * 5
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda blob: read_all(bundle, blob), blobs))
    expected = dict(content.everything())
    assert found == [expected[blob.digest] for blob in blobs]


def test_the_unpacked_bundle_is_the_same_bundle(tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module()})
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run([require("tar"), "--zstd", "-xf", path, "-C", unpacked], check=True)
    with open_bundle(path) as file, open_bundle(unpacked) as directory:
        assert file.id == directory.id
        assert all_blobs(file) == all_blobs(directory)
        assert verify_bundle(directory).manifests == verify_bundle(file).manifests


def test_a_bundle_is_read_from_a_pipe_in_pieces_of_any_size(tmp_path: Path) -> None:
    content = content_of([10, 3 << 20])
    path = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": content})

    class Dribble:
        def __init__(self) -> None:
            self.file = path.open("rb")

        def read(self, size: int, /) -> bytes:
            return self.file.read(min(size, 1009))

    dribble = Dribble()
    with dribble.file:
        stream = BundleStream(dribble, DEFAULT_LIMITS)
        stream.open()
        assert {blob.digest: b"".join(chunks) for blob, chunks in stream.blobs()} == dict(
            content.everything()
        )


def test_a_stream_proves_blobs_that_nobody_reads(tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module()})
    with path.open("rb") as file, open_bundle(path) as bundle:
        stream = BundleStream(file, DEFAULT_LIMITS)
        stream.open()
        assert [blob for blob, _ in stream.blobs()] == list(bundle.inventory.content)
        for _ in bundle.everything():
            pass
        assert stream.sha256 == bundle.sha256


HALF_READ = """
import gc, io, sys
from pathlib import Path
from bundler.bundle.stream import BundleStream
from bundler.limits import DEFAULT_LIMITS
data = Path(sys.argv[1]).read_bytes()
gc.set_threshold(1, 1, 1)  # collected anywhere, in starting threads too
for _ in range(1500):
    stream = BundleStream(io.BytesIO(data), DEFAULT_LIMITS)
    stream.itself = stream
    stream.open()
"""


@pytest.mark.slow
def test_a_bundle_that_was_left_half_read_holds_nobody_up(tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module()})
    ended = subprocess.run(
        [sys.executable, "-c", HALF_READ, path], capture_output=True, text=True, timeout=300, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_is_not_inside_is_not_found(tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module()})
    with open_bundle(path) as bundle, pytest.raises(NotFoundError):
        read_all(bundle, descriptor_of(b"absent"))


def test_a_path_that_is_no_bundle_is_refused_in_the_right_words(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not there"):
        open_bundle(tmp_path / "absent.tar.zst")
    with pytest.raises(UsageError, match="neither a file nor a directory"):
        open_bundle(Path("/dev/null"))
    with pytest.raises(ContentError, match=r"no bundle\.json"):
        open_bundle(tmp_path)


def test_a_bundle_replaced_under_the_same_file_is_noticed(tmp_path: Path) -> None:
    """Case 135."""
    path = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    with open_bundle(path) as bundle:
        other = a_bundle(tmp_path / "c.tar.zst", {"h.example/app": a_module("2.0.0")})
        path.write_bytes(other.read_bytes())
        with pytest.raises(IntegrityError):
            verify_bundle(bundle)


def test_a_bundle_replaced_while_open_is_judged_as_the_old_one(tmp_path: Path) -> None:
    """Case 135."""
    path = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")}, sidecar=False)
    with open_bundle(path) as bundle:
        a_bundle(tmp_path / "c.tar.zst", {"h.example/app": a_module("2.0.0")}).replace(path)
        assert set(verify_bundle(bundle).manifests) == set(a_module("1.0.0").manifests)


@pytest.mark.parametrize(("frames", "fits"), [(2, True), (1, False)])
def test_a_bundle_may_have_the_limit_of_frames_and_not_one_more(
    frames: int, fits: bool, tmp_path: Path
) -> None:
    path = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module()})
    limits = Limits(frames=frames)
    if fits:
        with open_bundle(path, limits) as bundle:
            assert verify_bundle(bundle, Session(limits=limits))
    else:
        with pytest.raises(ContentError, match="limit of 1 zstd frames"):
            open_bundle(path, limits)


@pytest.mark.parametrize("over", [0, 1])
def test_a_bundle_may_reach_the_manifest_limit_and_no_more(over: int, tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module()})
    with open_bundle(path) as bundle:
        size = sum(blob.size for blob in bundle.inventory.manifests)
        if over:
            with pytest.raises(ContentError, match="of manifests, over the limit"):
                verify_bundle(bundle, Session(limits=Limits(manifests=size - over)))
        else:
            assert verify_bundle(bundle, Session(limits=Limits(manifests=size)))


def test_a_damaged_bundle_is_told_by_its_path(tmp_path: Path) -> None:
    path = a_bundle(tmp_path / "b.tar.zst", {"h.example/app": a_module("1.0.0")})
    data = path.read_bytes()
    for length in (100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(IntegrityError) as caught, open_bundle(path) as opened:
            list(opened.everything())
        assert caught.value.item == str(path)
