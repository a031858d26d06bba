"""The order of versions, held against the library that everybody uses for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semantic_version import Version as Oracle

from bundler.selection.semver import Version

identifiers = st.sampled_from(["0", "1", "9", "10", "11", "a", "b", "A", "rc", "rc1", "x-y", "-", "1a"])
versions = st.builds(
    lambda numbers, words: ".".join(map(str, numbers)) + (f"-{'.'.join(words)}" if words else ""),
    st.tuples(*[st.integers(0, 3)] * 3),
    st.lists(identifiers, max_size=3),
)


@given(versions, versions)
def test_two_versions_stand_as_the_library_orders_them(one: str, other: str) -> None:
    ours, theirs = (Version.parse(one), Version.parse(other)), (Oracle(one), Oracle(other))
    assert (ours[0] < ours[1]) is (theirs[0] < theirs[1])
    assert (ours[0] <= ours[1]) is (theirs[0] <= theirs[1])
    assert (ours[0] > ours[1]) is (theirs[0] > theirs[1])
    assert (ours[0] >= ours[1]) is (theirs[0] >= theirs[1])
    assert (ours[0] == ours[1]) is (theirs[0] == theirs[1])


@given(st.from_regex(r"[0-9v]{0,2}\.[0-9]{0,2}\.[0-9]{0,2}(-[0-9a-z.-]{0,4})?", fullmatch=True))
def test_what_is_a_version_the_library_knows_too(text: str) -> None:
    try:
        known = str(Oracle(text))
    except ValueError:
        known = ""
    try:
        assert str(Version.parse(text)) == known
    except ValueError:
        assert not known


@pytest.mark.parametrize("text", ["1.2.3+build", "1.2.3\n", "\uff11.2.3", "1.2.3-", "01.2.3", "1.2.3-01"])
def test_what_no_tag_can_be_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="is not a version"):
        Version.parse(text)
