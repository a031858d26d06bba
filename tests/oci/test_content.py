"""Digests, descriptors, and the verdict on bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import IntegrityError
from bundler.oci.content import held_back, read_all, verified
from bundler.oci.digest import Descriptor, Digest, sha256
from tests.builders import MemoryStore, descriptor_of

SHA256 = "sha256:" + "a" * 64
SHA512 = "sha512:" + "0" * 128


@pytest.mark.parametrize("text", [SHA256, SHA512])
def test_a_digest_of_either_algorithm_is_accepted(text: str) -> None:
    assert Digest.parse(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "sha256:", SHA256[:-1], SHA256 + "a", SHA256 + "\n", SHA256.upper(), "sha256:" + "A" * 64,
        "md5:" + "a" * 32,
        SHA256.replace(":", "-"), "sha256:../../../../etc/passwd", "sha512:" + "a" * 64, "sha256:" + "g" * 64,
        " " + SHA256, "sha256:" + "a" * 63 + "/", "sha256:" + "\u0660" * 64, None, 7, b"sha256:" + b"a" * 64,
    ],
)  # fmt: skip
def test_what_is_no_digest_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a digest"):
        Digest.parse(text)


@pytest.mark.slow
@given(st.text(max_size=150))
def test_no_text_gets_past_the_grammar_into_a_path(text: str) -> None:
    try:
        digest = Digest.parse(text)
    except ValueError:
        return
    assert set(digest.path) <= set("abcdefghijklmnopqrstuvwxyz0123456789/")
    assert digest.path.count("/") == 2


@given(st.binary())
def test_a_digest_is_computed_by_its_own_algorithm(data: bytes) -> None:
    assert sha256(b"").computed(data) == sha256(data)
    assert Digest(SHA512).computed(data) == descriptor_of(data, algorithm="sha512").digest


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_right_bytes_pass_however_they_are_cut(chunks: list[bytes]) -> None:
    blob = descriptor_of(b"".join(chunks))
    assert list(verified(blob, chunks)) == chunks


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"conten", "truncated: 6 of 7 bytes"),
        (b"", "truncated: 0 of 7 bytes"),
        (b"contenT", "its bytes have digest sha256:"),
        (b"content!", "more than the 7 bytes"),
    ],
)
def test_the_verdict_says_whether_size_or_bytes_were_wrong(data: bytes, cause: str) -> None:
    with pytest.raises(IntegrityError) as error:
        list(verified(descriptor_of(b"content"), [data]))
    assert cause in error.value.cause


def test_an_endless_body_is_stopped_at_the_first_byte_too_many() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 100

    with pytest.raises(IntegrityError, match="more than"):
        list(verified(descriptor_of(b"x" * 250), endless()))
    assert taken == 3


def test_the_last_chunk_is_held_back_when_the_source_fails() -> None:
    chunks = held_back(verified(descriptor_of(b"abd"), [b"a", b"b", b"c"]))
    assert [next(chunks), next(chunks)] == [b"a", b"b"]
    with pytest.raises(IntegrityError):
        next(chunks)


@given(st.lists(st.binary(max_size=5), max_size=6))
def test_what_is_held_back_comes_whole_when_all_is_well(chunks: list[bytes]) -> None:
    assert list(held_back(chunks)) == chunks


def test_a_small_blob_is_read_in_one() -> None:
    store = MemoryStore()
    blob = descriptor_of(b"small")
    store.blobs[blob.digest] = b"small"
    assert read_all(store, blob) == b"small"


def test_a_descriptor_is_a_value() -> None:
    assert Descriptor("a", Digest(SHA256), 1) == Descriptor("a", Digest(SHA256), 1)
    assert len({Descriptor("a", Digest(SHA256), 1), Descriptor("b", Digest(SHA256), 1)}) == 2
