"""Shards: every repository in exactly one, and the same one for ever."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import UsageError
from bundler.oci.reference import RepositoryName
from bundler.selection.sources import Shard

NAMES = st.from_regex(
    r"[a-z][a-z0-9]{0,9}\.example(:[0-9]{2,4})?/[a-z0-9]{1,9}(/[a-z0-9]{1,9})?", fullmatch=True
)


@pytest.mark.slow
@given(st.sets(NAMES, max_size=30), st.integers(1, 7))
def test_every_repository_is_in_exactly_one_shard(names: set[str], count: int) -> None:
    repositories = {RepositoryName.parse(name) for name in names}
    parts = [{name for name in repositories if Shard(index, count).takes(name)} for index in range(count)]
    assert set().union(*parts) == repositories
    assert sum(map(len, parts)) == len(repositories)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("ghcr.io/stefanprodan/modules/podinfo", 4),
        ("ghcr.io/stefanprodan/modules/redis", 5),
        ("h.example:5000/a", 4),
    ],
)
def test_the_shard_of_a_name_never_changes(name: str, index: int) -> None:
    assert [Shard(i, 7).takes(RepositoryName.parse(name)) for i in range(7)].index(True) == index


@given(st.integers(0, 9999), st.integers(0, 9999))
def test_a_shard_is_below_the_count_or_refused(index: int, count: int) -> None:
    if index < count:
        assert Shard.parse(f"{index}/{count}") == (index, count)
    else:
        with pytest.raises(UsageError, match="counted from 0"):
            Shard.parse(f"{index}/{count}")


@given(st.text())
def test_what_is_no_shard_is_refused(text: str) -> None:
    if re.fullmatch("[0-9]{1,4}/[0-9]{1,4}", text) is None:
        with pytest.raises(UsageError, match="not a shard"):
            Shard.parse(text)


@pytest.mark.parametrize("text", ["", "1", "-1/3", "1/3\n", "1/00003", "٣/9", "1.0/3", "a/b"])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a shard"):
        Shard.parse(text)
