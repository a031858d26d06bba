"""Which tags are taken, and in which order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.oci.reference import Tag
from bundler.selection import choose
from bundler.selection.rules import Rules
from bundler.selection.semver import version_of, version_order

tags = st.lists(
    st.from_regex(r"[0-9]{1,2}\.[0-9]\.[0-9](-(rc|beta)\.[0-9])?|latest|main|v[0-9]", fullmatch=True).map(Tag)
)


def test_versions_stand_by_precedence_with_other_tags_behind() -> None:
    found = choose([Tag(text) for text in ("latest", "1.10.0", "1.9.0", "1.10.0-rc.1", "edge", "v2")])
    assert found.taken == ("1.9.0", "1.10.0-rc.1", "1.10.0", "edge", "latest", "v2")


def test_globs_take_what_matches_and_explain_the_rest() -> None:
    found = choose([Tag("1.0.0"), Tag("2.0.0"), Tag("latest")], Rules(globs=("1.*", "lat*")))
    assert found.taken == ("1.0.0", "latest")
    assert [(item.tag, item.reason) for item in found.left_out] == [
        ("2.0.0", "matches no glob '1.*', 'lat*'")
    ]


def test_globs_mind_case() -> None:
    assert choose([Tag("Latest")], Rules(globs=("latest",))).taken == ()


@pytest.mark.slow
@given(tags, st.randoms())
def test_the_order_of_the_list_does_not_matter(found: list[Tag], random: object) -> None:
    assert choose(found) == choose(list(reversed(found)))
    assert list(choose(found).taken) == sorted(set(found), key=version_order)


@pytest.mark.slow
@given(tags, st.sampled_from([(), ("1*",), ("*",), ("nothing",)]))
def test_every_tag_is_taken_or_left_out(found: list[Tag], globs: tuple[str, ...]) -> None:
    choice = choose(found, Rules(globs=globs))
    assert {*choice.taken, *(item.tag for item in choice.left_out)} == set(found)
    assert len(choice.taken) + len(choice.left_out) == len(set(found))


@pytest.mark.parametrize("text", ["latest", "v1.0.0", "1.0", "1", "01.0.0", ""])
def test_what_is_no_strict_version_is_none(text: str) -> None:
    assert version_of(text) is None


@pytest.mark.parametrize("before", ["", "v", "short"])
def test_every_spelling_of_versions_has_build_metadata(before: str) -> None:
    numbers = ("1.1", "1.2", "1.2_build.9", "1.2_build.10", "1.2_")
    spelled = numbers if before == "short" else [text.replace(".", ".0.", 1) for text in numbers]
    tags = [Tag(("" if before == "short" else before) + text) for text in spelled]
    assert choose(tags, Rules(newest=1)).taken == (tags[3],)
    assert set(choose(tags, Rules(newest=2)).taken) == {tags[2], tags[3]}
    assert set(choose(tags, Rules(newest_per_minor=1, newest=2)).taken) >= {tags[3]}


def test_a_version_with_build_metadata_is_read_as_helm_writes_it() -> None:
    tags = [Tag(text) for text in ("1.1.0", "1.2.0_build.2", "1.2.0-rc.1_b", "1.3.0_", "1.3.0_a_b")]
    assert choose(tags, Rules(newest=1)).taken == ("1.2.0_build.2",)
    assert choose(tags, Rules(versions=">=1.2")).taken == ("1.2.0_build.2",)
