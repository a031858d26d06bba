"""Compact deltas against hostile files and a base that lies: nothing unproven is read or sent."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from hashlib import sha256 as sha256_of
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bundler.bundle import bundle_format
from bundler.bundle.compacted import compact_format
from bundler.bundle.compacted.base_content import BaseContent, ByteRange, inflated, joined, joined_within
from bundler.bundle.compacted.base_index import SpacePlace
from bundler.bundle.compacted.compact_frames import encode_head
from bundler.bundle.compacted.compact_reader import CompactFile
from bundler.bundle.compacted.spaces import Kept, content_groups
from bundler.bundle.reader import open_bundle
from bundler.errors import BundlerError, ContentError, IntegrityError, NotFoundError
from bundler.importer import verify_bundle
from bundler.limits import DEFAULT_LIMITS, Limits
from bundler.oci import BlobSource, Descriptor, strict_json, verified
from bundler.session import Session
from tests.compact.layers import IMAGE_LAYER, Night, a_night, an_image, opened


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    return a_night(tmp_path_factory.mktemp("night"), an_image(0), an_image(0, 1))


# --- a base that lies ------------------------------------------------------------------------------


class Given(NamedTuple):
    """A BlobSource of these bytes, verified as every source does."""

    data: bytes

    def chunks(self, blob: Descriptor) -> Iterator[bytes]:
        return verified(blob, [self.data])


def base_layer(night: Night) -> tuple[Descriptor, bytes]:
    """The layer of the base that the delta reads."""
    with opened(night.compact) as delta, open_bundle(night.base) as base:
        (blob,) = delta.base_blobs()
        return blob, b"".join(base.chunks(blob))


def taken(delta: CompactFile, source: BlobSource) -> None:
    """Give a delta its base from one source."""
    for _ in delta.take_base({blob.digest: source for blob in delta.base_blobs()}):
        pass


@pytest.mark.slow
@given(data=some.data())
def test_a_base_blob_with_other_bytes_is_refused(data: some.DataObject, night: Night) -> None:
    _, good = base_layer(night)
    lies = bytearray(good)
    lies[data.draw(some.integers(0, len(lies) - 1))] ^= 1 << data.draw(some.integers(0, 7))
    with opened(night.compact) as delta:
        with pytest.raises(BundlerError) as error:
            taken(delta, Given(bytes(lies)))
        assert error.value.exit_code in (6, 7)
        assert delta.needing_base
        with pytest.raises(NotFoundError):
            b"".join(delta.chunks(delta.needing_base[0]))
        taken(delta, Given(good))
        verify_bundle(delta)


def verified_with(path: Path, base: bytes) -> None:
    """Verify a delta with these bytes as its base."""
    with opened(path) as delta:
        taken(delta, Given(base))
        verify_bundle(delta)


@pytest.mark.slow
@pytest.mark.parametrize("change", [-1, 1])
def test_a_base_blob_of_another_content_is_refused(night: Night, tmp_path: Path, change: int) -> None:
    def other(head: dict[str, Any]) -> None:
        head["base"][0]["content"] += change

    path = rewritten(night.compact, tmp_path, other)
    _, good = base_layer(night)
    with opened(path) as delta, pytest.raises(ContentError, match="does not hold"):
        taken(delta, Given(good))


def rewritten(path: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The same file with another `compact.json`, its digest and seek table made anew."""
    with opened(path) as delta:
        parts = delta.head_parts()
        head = json.loads(parts.compact)
        change(head)
        frame = encode_head(strict_json.canonical(head), parts.inventory, None)
        rest = b"".join(delta.behind_head())
        frames = [bundle_format.Frame(len(frame.frame), frame.content), *delta.frames[1:]]
    data = bundle_format.COMPACT_MARK + frame.frame + rest
    out = folder / "rewritten.compact.zst"
    out.write_bytes(
        data + bundle_format.digest_frame(sha256_of(data).digest()) + bundle_format.seek_table(frames)
    )
    return out


REFUSED: dict[str, Callable[[dict[str, Any]], None]] = {
    "less base than its recipes read": lambda head: head["base"][0].update(content=10_000),
    "more in a base blob than it can hold": lambda head: head["base"][0].update(size=1),
    "a prefix without a recipe": lambda head: head["content"][0].update(recipe=0),
    "a prefix that is too short": lambda head: head["content"][0].update(prefix=7),
    "a prefix that is too long": lambda head: head["content"][0].update(prefix=(128 << 20) + 1),
    "another length of a prefix": lambda head: head["content"][0].update(
        prefix=head["content"][0]["prefix"] + 1
    ),
    "a frame of another size": lambda head: head["content"][0].update(size=head["content"][0]["size"] + 1),
    "a recipe of another size": lambda head: head["layers"][0].update(recipe=head["layers"][0]["recipe"] - 1),
    "no base": lambda head: head.pop("base"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_head_that_contradicts_itself_is_refused(name: str, night: Night, tmp_path: Path) -> None:
    path = rewritten(night.compact, tmp_path, REFUSED[name])
    _, good = base_layer(night)
    with pytest.raises(BundlerError) as error:
        verified_with(path, good)
    assert error.value.exit_code in (6, 7), str(error.value)


def test_a_rewritten_head_that_is_the_same_is_taken(night: Night, tmp_path: Path) -> None:
    path = rewritten(night.compact, tmp_path, lambda head: None)
    assert path.read_bytes() == night.compact.read_bytes()


GROUPS = [
    ("headers", {"size": 8 << 20}, True),
    ("headers", {"size": (8 << 20) + 1}, False),
    ("headers", {"size": 1, "prefix": 8 << 20, "recipe": 1}, True),
    ("headers", {"size": 1, "prefix": (8 << 20) + 1, "recipe": 1}, False),
    ("content", {"size": 32 << 20}, True),
    ("content", {"size": (32 << 20) + 1}, False),
    ("content", {"size": 128 << 20, "prefix": 128 << 20, "recipe": 16 << 20}, True),
    ("content", {"size": (128 << 20) + 1, "prefix": 8, "recipe": 1}, False),
    ("content", {"size": 1, "prefix": (128 << 20) + 1, "recipe": 1}, False),
    ("content", {"size": 1, "prefix": 8, "recipe": 1}, True),
    ("content", {"size": 1, "prefix": 7, "recipe": 1}, False),
    ("content", {"size": 1, "prefix": 8, "recipe": (16 << 20) + 1}, False),
    ("content", {"size": 0}, False),
]


@pytest.mark.parametrize(("space", "group", "taken"), GROUPS)
def test_groups_have_limits(space: str, group: dict[str, int], *, taken: bool) -> None:
    head = {"compact": 1, "layers": [], "headers": [], "content": [], space: [group]}
    data = strict_json.canonical(head)
    if taken:
        assert len(compact_format.decode_head(data, DEFAULT_LIMITS).groups) == 1
        return
    with pytest.raises(ContentError):
        compact_format.decode_head(data, DEFAULT_LIMITS)


@pytest.mark.parametrize("more", [0, 1])
def test_a_base_blob_holds_what_deflate_can_hold(more: int) -> None:
    blob = {
        "mediaType": IMAGE_LAYER,
        "digest": f"sha256:{'0' * 64}",
        "size": 3,
        "repository": "h.example/app",
        "content": 3 * 1_032 + more,
    }
    data = strict_json.canonical({"compact": 1, "layers": [], "headers": [], "content": [], "base": [blob]})
    if not more:
        assert compact_format.decode_head(data, DEFAULT_LIMITS).base
        return
    with pytest.raises(ContentError, match="more in it"):
        compact_format.decode_head(data, DEFAULT_LIMITS)


# --- the base space --------------------------------------------------------------------------------


@given(
    some.binary(min_size=1, max_size=3_000),
    some.lists(some.tuples(some.integers(0, 3_000), some.integers(1, 500)), max_size=8),
    some.integers(1, 700),
)
def test_only_fetched_ranges_are_given_out(content: bytes, wanted: list[tuple[int, int]], piece: int) -> None:
    ranges = joined(ByteRange(at, min(at + size, len(content))) for at, size in wanted if at < len(content))
    packed = gzip.compress(content, mtime=0)
    space = BaseContent()
    space.take(0, len(content), (packed[at : at + piece] for at in range(0, len(packed), piece)), ranges)
    for start, end in ranges:
        assert space.read(start, end - start) == content[start:end]
        with pytest.raises(IntegrityError):
            space.read(start, end - start + 1)
    space.close()


@given(some.lists(some.tuples(some.integers(0, 60), some.integers(0, 60)), max_size=12))
def test_joined_ranges_are_the_same_bytes(pairs: list[tuple[int, int]]) -> None:
    ranges = [ByteRange(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]]
    found = joined(ranges)
    assert {byte for one in found for byte in range(*one)} == {byte for one in ranges for byte in range(*one)}
    assert all(one.end < other.start for one, other in pairwise(found))


@pytest.mark.parametrize("most", [3, 4, 5])
def test_the_base_is_read_in_so_many_places(most: int) -> None:
    places = [ByteRange(at, at + 5) for at in (40, 0, 20, 60, 5, 45, 25, 65)]
    if most >= 4:
        assert joined_within(places * 3, most) == joined(places)
        return
    with pytest.raises(ContentError, match="limit of 3 places"):
        joined_within(places * 3, most)


def test_a_limit_of_places_holds_for_a_whole_delta(night: Night) -> None:
    limits = Limits(compact_ranges=1)
    with open_bundle(night.compact, limits) as bundle, pytest.raises(ContentError, match="places"):
        verify_bundle(bundle, Session(limits=limits))


def test_a_gzip_base_of_several_members_is_read() -> None:
    packed = gzip.compress(b"a" * 70_000, mtime=0) + gzip.compress(b"b" * 10, mtime=0)
    assert b"".join(inflated([packed[:50], packed[50:]], "x")) == b"a" * 70_000 + b"b" * 10


@pytest.mark.parametrize(
    "data", [b"", b"text", gzip.compress(b"x" * 999, mtime=0)[:-1], gzip.compress(b"x", mtime=0) + b"y"]
)
def test_a_base_that_is_not_gzip_is_refused(data: bytes) -> None:
    with pytest.raises(ContentError):
        b"".join(inflated([data], "x"))


# --- frames of large files -------------------------------------------------------------------------


def kept(*sizes: tuple[int, int]) -> list[Kept]:
    """Files of these sizes, new and old, one behind the other in both spaces."""
    starts = accumulate((new for new, _ in sizes), initial=0)
    olds = accumulate((old for _, old in sizes), initial=0)
    return [
        Kept(start, new, SpacePlace(at, old) if old else None)
        for start, at, (new, old) in zip(starts, olds, sizes, strict=False)
    ]


MEBI = 1 << 20
sizes_in_mebibytes = some.integers(0, 300)


@given(some.lists(some.tuples(some.integers(1, 300), sizes_in_mebibytes), max_size=8))
def test_groups_are_all_files_in_order_and_in_bounds(files: list[tuple[int, int]]) -> None:
    found = list(content_groups(kept(*((new * MEBI, old * MEBI) for new, old in files))))
    at = 0
    for group in found:
        assert group.start == at
        at += group.size
        most = compact_format.LARGEST_GROUP if group.prefix else compact_format.GROUP
        assert 0 < group.size <= most
        assert group.prefix_size <= compact_format.LARGEST_GROUP
        if group.size <= compact_format.GROUP and len(group.prefix) > 1:
            assert group.prefix_size <= compact_format.GROUP
    assert at == sum(new for new, _ in files) * MEBI
