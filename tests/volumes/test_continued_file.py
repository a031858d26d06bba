"""A file that is written over what an earlier run left of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundler.errors import LocalError
from bundler.volumes.continued_file import begin_continued, continued_file, forget_left, left_under

PARTS = [b"one ", b"two ", b"three ", b"four"]
WHOLE = b"".join(PARTS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.fixture
def left(path: Path) -> Path:
    """What an earlier run left."""
    return path.with_name(".file.tmp")


@pytest.mark.parametrize(
    "before",
    [b"", b"o", b"one ", b"one two thr", WHOLE, WHOLE + b" five", b"ONE two three", b"one tWo three four"],
)
def test_it_ends_as_what_is_written_whatever_was_there(before: bytes, path: Path, left: Path) -> None:
    left.write_bytes(before)
    with continued_file(path) as file:
        for part in PARTS:
            file.write(part)
    assert path.read_bytes() == WHOLE
    assert not left.exists()


def test_what_is_there_is_not_written_again(path: Path, left: Path) -> None:
    left.write_bytes(b"one two thr")
    file = begin_continued(path)
    file.write(PARTS[0])
    file.write(PARTS[1])
    assert left.read_bytes() == b"one two thr"
    file.write(PARTS[2])
    assert left.read_bytes() == b"one two three "
    file.keep()


def test_from_the_first_difference_on_it_is_cut_off(path: Path, left: Path) -> None:
    left.write_bytes(b"one TWO three four")
    file = begin_continued(path)
    for part in PARTS[:2]:
        file.write(part)
    assert left.read_bytes() == b"one two "
    file.keep()


def test_an_error_keeps_what_was_written(path: Path, left: Path) -> None:
    def interrupted() -> None:
        with continued_file(path) as file:
            file.write(b"one ")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert left_under(path) == left
    assert left.read_bytes() == b"one "
    forget_left(path)
    assert not left.exists()


def test_an_empty_one_is_not_kept(path: Path, left: Path) -> None:
    begin_continued(path).keep()
    assert not left.exists()


def test_one_that_is_being_written_is_not_removed(path: Path, left: Path) -> None:
    file = begin_continued(path)
    file.write(b"one ")
    with pytest.raises(LocalError, match="another run is writing it"):
        forget_left(path)
    file.keep()
    assert left.exists()


def test_behind_a_link_it_is_beside_its_file(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "file"
    target.parent.mkdir()
    target.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(target)
    with continued_file(link) as file:
        file.write(WHOLE)
        assert left_under(link) == target.with_name(".file.tmp")
    assert link.is_symlink()
    assert target.read_bytes() == WHOLE
