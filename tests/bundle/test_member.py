"""A blob as a member of the archive: its name, its size and its bytes have one source."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.bundle.bundle_format import BLOCK, END_OF_ARCHIVE
from bundler.bundle.member_encoding import member_of
from bundler.errors import IntegrityError
from bundler.oci.digest import Descriptor, Digest
from tests.builders import MemoryStore


def blob_of(data: bytes, algorithm: str) -> Descriptor:
    digest = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    return Descriptor("text/plain", Digest(digest), len(data))


blobs = st.lists(st.tuples(st.binary(max_size=1500), st.sampled_from(["sha256", "sha512"])), max_size=6)


@given(blobs, st.integers(0, 3))
def test_what_a_member_writes_is_read_back_from_its_place(
    contents: list[tuple[bytes, str]], before: int
) -> None:
    store = MemoryStore()
    stream, starts = bytes(before * BLOCK), []
    for data, algorithm in contents:
        blob = blob_of(data, algorithm)
        store.blobs[blob.digest] = data
        member = member_of(blob)
        starts.append((member, len(stream) + len(member.header), data))
        added = b"".join((member.header, *member.stored(store), member.padding))
        assert len(added) == member.length
        stream += added
    for member, start, data in starts:
        stored = stream[start : start + member.size]
        assert b"".join(member.restored([stored])) == data


def test_an_independent_tar_finds_a_member_by_its_name() -> None:
    data = b"content"
    for algorithm in ("sha256", "sha512"):
        blob = blob_of(data, algorithm)
        store = MemoryStore()
        store.blobs[blob.digest] = data
        member = member_of(blob)
        stream = b"".join((member.header, *member.stored(store), member.padding, END_OF_ARCHIVE))
        with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
            (entry,) = archive
            file = archive.extractfile(entry)
            assert (entry.name, file and file.read()) == (member.name, data)


def test_other_bytes_are_not_restored_as_the_blob() -> None:
    member = member_of(blob_of(b"right", "sha256"))
    with pytest.raises(IntegrityError):
        list(member.restored([b"wrong"]))
