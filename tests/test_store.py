"""A layout that grows, resumes and locks: present means verified."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from bundler.errors import ContentError, IntegrityError, LocalError, NotFoundError
from bundler.layout import LAYOUT
from bundler.oci.content import read_all
from bundler.oci.digest import Descriptor
from bundler.store.blob_store import HELD, SMALL, Store
from tests.builders import descriptor_of, noise

DATA = noise("blob", 5000)
BLOB = descriptor_of(DATA)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture(params=[False, True], ids=["kept", "temporary"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store", temporary=request.param) as opened:
        yield opened


def offers(data: bytes, asked: list[int] | None = None) -> Callable[[int], Iterable[bytes]]:
    """A source of these bytes from any offset on; takes note of the offsets that it was asked for."""

    def chunks(offset: int) -> Iterator[bytes]:
        if asked is not None:
            asked.append(offset)
        yield from (data[start : start + 1000] for start in range(offset, len(data), 1000))

    return chunks


def breaks_off(data: bytes, size: int) -> Callable[[int], Iterable[bytes]]:
    """As a connection that is lost after `size` bytes."""

    def chunks(offset: int) -> Iterator[bytes]:
        yield data[offset:size]
        raise ConnectionError("lost")

    return chunks


def partials(store: Store) -> list[Path]:
    return list((store.path / ".partial").iterdir())


def test_a_cut_blob_is_never_there(any_store: Store) -> None:
    with pytest.raises(IntegrityError, match="truncated"):
        any_store.add(BLOB, offers(DATA[:-1]))
    assert not any_store.has(BLOB)
    assert partials(any_store) == []


@pytest.mark.parametrize("wrong", [DATA[:-1] + b"!", DATA + b"!", b"", DATA[::-1]])
def test_wrong_bytes_leave_nothing(any_store: Store, wrong: bytes) -> None:
    with pytest.raises(IntegrityError):
        any_store.add(BLOB, offers(wrong))
    assert not any_store.has(BLOB)
    assert any_store.left_over(BLOB) == 0
    with pytest.raises(NotFoundError):
        read_all(any_store, BLOB)


def test_a_broken_download_goes_on_where_it_broke(store: Store) -> None:
    with pytest.raises(ConnectionError):
        store.add(BLOB, breaks_off(DATA, 3210))
    assert store.left_over(BLOB) == 3210
    asked: list[int] = []
    store.add(BLOB, offers(DATA, asked))
    assert asked == [3210]
    assert read_all(store, BLOB) == DATA


@pytest.mark.parametrize("rest", [DATA + b"too long", b"x" * 9000])
def test_a_rest_that_is_too_long_is_thrown_away(store: Store, rest: bytes) -> None:
    asked: list[int] = []
    (store.path / ".partial" / f"sha256-{BLOB.digest.encoded}").write_bytes(rest)
    store.add(BLOB, offers(DATA, asked))
    assert asked == [0]
    assert read_all(store, BLOB) == DATA


def test_a_damaged_rest_costs_one_download_and_no_wrong_blob(store: Store) -> None:
    (store.path / ".partial" / f"sha256-{BLOB.digest.encoded}").write_bytes(b"damaged" * 100)
    with pytest.raises(IntegrityError):
        store.add(BLOB, offers(DATA))
    assert not store.has(BLOB)
    store.add(BLOB, offers(DATA))
    assert store.has(BLOB)


def test_a_rest_that_is_whole_asks_for_nothing(store: Store) -> None:
    asked: list[int] = []
    (store.path / ".partial" / f"sha256-{BLOB.digest.encoded}").write_bytes(DATA)
    store.add(BLOB, offers(DATA, asked))
    assert asked == []
    assert read_all(store, BLOB) == DATA


def test_the_empty_blob_is_a_blob(any_store: Store) -> None:
    empty = descriptor_of(b"")
    assert not any_store.has(empty)
    any_store.add(empty, offers(b""))
    assert any_store.has(empty)
    assert read_all(any_store, empty) == b""


def test_a_blob_of_sha512_has_its_own_folder(store: Store) -> None:
    blob = descriptor_of(DATA, algorithm="sha512")
    store.add(blob, offers(DATA))
    store.sync()
    assert (store.path / "blobs" / "sha512" / blob.digest.encoded).read_bytes() == DATA


def test_a_blob_of_another_size_is_not_there(any_store: Store) -> None:
    any_store.add(BLOB, offers(DATA))
    assert not any_store.has(Descriptor("", BLOB.digest, BLOB.size + 1))


def test_a_link_in_the_place_of_a_blob_is_not_followed(store: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(DATA)
    (store.path / BLOB.digest.path).symlink_to(tmp_path / "elsewhere")
    assert not store.has(BLOB)
    with pytest.raises(ContentError, match="a link"):
        read_all(store, BLOB)


def test_a_pipe_in_the_place_of_a_blob_is_refused_at_once(store: Store) -> None:
    """Case 78."""
    os.mkfifo(store.path / BLOB.digest.path)
    assert not store.has(BLOB)
    with pytest.raises(ContentError, match="not a regular file"):
        read_all(store, BLOB)


def test_a_blob_that_was_changed_on_disk_is_seen_and_removed(store: Store) -> None:
    """Case 42."""
    store.add(BLOB, offers(DATA))
    (store.path / BLOB.digest.path).write_bytes(DATA[::-1])
    with pytest.raises(IntegrityError):
        read_all(store, BLOB)
    assert not store.has(BLOB)


def test_small_blobs_in_memory_are_kept_too(store: Store) -> None:
    store.add_bytes(BLOB, DATA)
    store.add_bytes(BLOB, DATA)
    assert read_all(store, BLOB) == DATA


def test_a_second_run_is_told_who_holds_the_store(store: Store) -> None:
    """Case 132."""
    with pytest.raises(LocalError) as error, Store(store.path):
        pass
    assert f"process {os.getpid()}" in error.value.cause
    assert str(store.path) in error.value.item


def test_the_lock_of_a_killed_run_holds_nobody_up(tmp_path: Path) -> None:
    """Case 133."""
    script = f"""
import os, signal
from pathlib import Path
from bundler.store import Store
with Store(Path({str(tmp_path / "store")!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", script], check=False)
    assert ended.returncode == -9
    with Store(tmp_path / "store") as store:
        store.add(BLOB, offers(DATA))


def test_a_new_store_is_an_image_layout(store: Store) -> None:
    assert (store.path / "oci-layout").read_bytes() == LAYOUT


def test_a_removed_store_is_gone(tmp_path: Path) -> None:
    with Store(tmp_path / "store") as store:
        store.add(BLOB, offers(DATA))
        store.remove()
    assert not (tmp_path / "store").exists()


def test_a_file_of_the_layout_over_its_limit_is_refused(store: Store) -> None:
    store.write_file("index.json", b"x" * 11)
    assert store.file("index.json", 11) == b"x" * 11
    with pytest.raises(ContentError, match="limit of 10"):
        store.file("index.json", 10)


# --- small blobs of a temporary store --------------------------------------------------------------------


def blobs_of(store: Store) -> list[Path]:
    return [path for path in (store.path / "blobs").rglob("*") if path.is_file()]


def test_a_temporary_store_writes_no_small_blobs(tmp_path: Path) -> None:
    with Store(tmp_path / "store", temporary=True) as store:
        store.add(BLOB, offers(DATA))
        assert store.has(BLOB)
        assert read_all(store, BLOB) == DATA
        assert blobs_of(store) == partials(store) == []


def test_what_a_stopped_run_held_is_not_asked_for_again(tmp_path: Path) -> None:
    with Store(tmp_path / "store", temporary=True) as store:
        store.add(BLOB, offers(DATA))
        store.keep_held()
    asked: list[int] = []
    with Store(tmp_path / "store", temporary=True) as store:
        store.add(BLOB, offers(DATA, asked))
        assert read_all(store, BLOB) == DATA
    assert asked == []


@pytest.mark.parametrize("spoilt", [DATA[:-1], b"", DATA[:-1] + b"!", bytes(5000)])
def test_what_a_stopped_run_held_is_proven_again(spoilt: bytes, tmp_path: Path) -> None:
    with Store(tmp_path / "store", temporary=True) as store:
        store.add(BLOB, offers(DATA))
        store.keep_held()
        partials(store)[0].write_bytes(spoilt)
    with Store(tmp_path / "store", temporary=True) as store:
        if len(spoilt) == len(DATA):
            with pytest.raises(IntegrityError):
                store.add(BLOB, offers(DATA))
        store.add(BLOB, offers(DATA))
        assert read_all(store, BLOB) == DATA


def test_the_memory_of_small_blobs_has_an_end(tmp_path: Path) -> None:
    blobs = {descriptor_of(data): data for data in (noise(f"{n}", SMALL) for n in range(HELD // SMALL + 3))}
    with Store(tmp_path / "store", temporary=True) as store:
        for blob, data in blobs.items():
            store.add(blob, offers(data))
        assert len(blobs_of(store)) == 3
        assert all(read_all(store, blob) == data for blob, data in blobs.items())
