"""Names and sizes that FAT32 takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import UsageError
from bundler.kit.kit_names import TOO_LARGE, check_names, check_size, fitting_name, name_problem

TAKEN = (
    "modules.tar.zst",
    "2026-11-30 Nacht.tar.zst",
    "über.tar.zst",
    "b.tar.zst.p01",
    "CONSOLE.txt",
    "a" * 255,
)
REFUSED = {
    "02:00.tar.zst": "':'",
    "a*b": "'*'",
    "two\nlines": "'\\n'",
    "not text \udcff": "'\\udcff'",
    "ends.": "a dot",
    "ends ": "a space",
    "aux.tar.zst": "device",
    "com1": "device",
    "a" * 256: "longer",
}


@pytest.mark.parametrize("name", TAKEN)
def test_an_ordinary_name_is_taken(name: str) -> None:
    assert name_problem(name) == ""


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_a_medium_refuses_is_refused_here(name: str) -> None:
    assert REFUSED[name] in name_problem(name)
    with pytest.raises(UsageError, match="rename it, for example to"):
        check_names([name])


@given(st.text())
def test_the_name_that_is_proposed_is_taken(name: str) -> None:
    assert name_problem(fitting_name(name)) == ""


def test_two_names_that_are_one_on_the_medium_are_refused() -> None:
    with pytest.raises(UsageError, match=r"FAT32 takes it for Night\.tar"):
        check_names(["Night.tar", "other", "night.tar"])
    with pytest.raises(UsageError, match="two files would have this name"):
        check_names(["b.tar", "b.tar"])


def test_a_file_may_have_a_byte_less_than_four_gib() -> None:
    check_size("b", TOO_LARGE - 1, "cut it")
    with pytest.raises(UsageError, match="takes no file of 4 GiB or more; cut it"):
        check_size("b", TOO_LARGE, "cut it")
