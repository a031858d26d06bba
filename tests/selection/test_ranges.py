"""Version ranges: npm's documented examples, its rule about pre-releases, and a second opinion."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bundler.selection.ranges import parse_range
from bundler.selection.semver import Version
from tests.selection.oracle import Comparator, Part, in_range, key
from tests.selection.strategies import range_parts, versions

# What npm's documentation says of each form: the range, what is just inside, what is just outside.
DOCUMENTED = [
    (">=1.2.7", "1.2.7 1.2.8 2.5.3 1.3.9", "1.2.6 1.1.0"),
    (">=1.2.7 <1.3.0", "1.2.7 1.2.8 1.2.99", "1.2.6 1.3.0 1.1.0"),
    ("1.2.7 || >=1.2.9 <2.0.0", "1.2.7 1.2.9 1.4.6", "1.2.8 2.0.0"),
    (">1", "2.0.0 2.0.1", "1.0.0 1.9.9"),
    ("1.2.3 - 2.3.4", "1.2.3 2.3.4", "1.2.2 2.3.5"),
    ("1.2 - 2.3.4", "1.2.0 2.3.4", "1.1.9 2.3.5"),
    ("1.2.3 - 2.3", "1.2.3 2.3.9", "1.2.2 2.4.0"),
    ("1.2.3 - 2", "1.2.3 2.9.9", "3.0.0"),
    ("*", "0.0.0 9.9.9", "1.0.0-rc.1"),
    ("1.x", "1.0.0 1.9.9", "0.9.9 2.0.0"),
    ("1.2.x", "1.2.0 1.2.9", "1.1.9 1.3.0"),
    ("1", "1.0.0 1.9.9", "0.9.9 2.0.0"),
    ("1.2", "1.2.0 1.2.9", "1.1.9 1.3.0"),
    ("1.2.*", "1.2.0 1.2.9", "1.1.9 1.3.0"),
    ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0 1.3.0-rc.1"),
    ("~1.2", "1.2.0 1.2.9", "1.1.9 1.3.0"),
    ("~1", "1.0.0 1.9.9", "0.9.9 2.0.0"),
    ("~0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0"),
    ("~0.2", "0.2.0 0.2.9", "0.1.9 0.3.0"),
    ("~0", "0.0.0 0.9.9", "1.0.0"),
    ("~1.2.3-beta.2", "1.2.3-beta.2 1.2.3-beta.4 1.2.3 1.2.9", "1.2.3-beta.1 1.2.4-beta.2 1.3.0"),
    ("^1.2.3", "1.2.3 1.9.9", "1.2.2 2.0.0 2.0.0-rc.1"),
    ("^0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0"),
    ("^0.0.3", "0.0.3", "0.0.2 0.0.4"),
    ("^1.2.3-beta.2", "1.2.3-beta.2 1.2.3-beta.4 1.2.3 1.9.9", "1.2.3-beta.1 1.2.4-beta.2 2.0.0"),
    ("^0.0.3-beta", "0.0.3-beta 0.0.3-pr.2 0.0.3", "0.0.3-alpha 0.0.4"),
    ("^1.2.x", "1.2.0 1.9.9", "1.1.9 2.0.0"),
    ("^0.0.x", "0.0.0 0.0.9", "0.1.0"),
    ("^0.0", "0.0.0 0.0.9", "0.1.0"),
    ("^1.x", "1.0.0 1.9.9", "0.9.9 2.0.0"),
    ("^0.x", "0.0.0 0.9.9", "1.0.0"),
    (">1.2.3-alpha.3", "1.2.3-alpha.7 1.2.3 3.4.5", "1.2.3-alpha.3 3.4.5-alpha.9"),
]
# Where a range says less than it seems to, or where the library that we have says something else.
CORNERS = [
    ("<7", "6.9.9", "7.0.0 7.0.0-rc.1 6.9.9-rc.1"),
    ("<=7", "7.9.9", "8.0.0 8.0.0-rc.1"),
    (">6.10", "6.11.0", "6.10.0 6.10.9 6.11.0-rc.1"),
    ("1.2.3-beta", "1.2.3-beta", "1.2.3 1.2.3-beta.1"),
    ("<=1.2.3-beta", "1.2.3-beta 1.2.3-alpha 1.2.2", "1.2.3 1.2.2-alpha"),
    ("~1.2.0-beta", "1.2.0-beta 1.2.0 1.2.9", "1.3.0"),
    (">1.2.3-alpha <2.0.0-beta", "1.2.3-beta 1.2.3 1.5.0 2.0.0-alpha", "1.5.0-beta 2.0.0 2.0.0-beta"),
    (">=1.2.3-alpha || ^3", "1.2.3-alpha 3.1.0", "3.0.0-alpha"),
    (">= 1.2   <  2", "1.2.0", "2.0.0"),
    ("v1.2 || =v3.0.0 || ~> 4.1", "1.2.5 3.0.0 4.1.7", "3.0.1 4.2.0"),
    ("1.2  -  1.4", "1.4.9", "1.5.0"),
    ("<* || >x", "", "0.0.0 1.0.0"),
    (">=* <=X", "0.0.0", "1.0.0-rc.1"),
    ("1.2.3+build.5", "1.2.3", "1.2.4"),
    ("1.2.3-1.x", "1.2.3-1.x", "1.2.3-1.1 1.2.3"),
]
# With pre-releases: a whole version is a point, a partial one a block with its pre-releases.
INCLUSIVE = [
    ("*", "0.0.0-0 1.0.0-rc.1 2.0.0", ""),
    ("<7", "6.9.9-rc.1", "7.0.0-0 7.0.0-rc.1"),
    ("<7.0.0", "7.0.0-rc.1 6.9.9", "7.0.0"),
    (">=6.10", "6.10.0-rc.1 7.0.0-rc.1", "6.9.9"),
    (">=6.10.0", "6.10.1-rc.1 6.10.0", "6.10.0-rc.1"),
    (">6.10", "6.11.0-rc.1", "6.10.9"),
    ("^1.2.3", "1.2.4-rc.1 1.9.0-rc.1", "1.2.3-rc.1 2.0.0-rc.1"),
    ("~1.2", "1.2.0-rc.1 1.2.9-rc.1", "1.3.0-rc.1"),
    ("1.2 - 1.4", "1.2.0-rc.1 1.4.9-rc.1", "1.5.0-rc.1"),
    ("1.2.0 - 1.4.0", "1.4.0-rc.1", "1.2.0-rc.1 1.4.1-rc.1"),
]


@pytest.mark.parametrize(("text", "inside", "outside"), DOCUMENTED + CORNERS)
def test_a_range_means_what_npm_says(text: str, inside: str, outside: str) -> None:
    read = parse_range(text, prereleases=False)
    assert [tag for tag in inside.split() if not read.holds(Version.parse(tag))] == []
    assert [tag for tag in outside.split() if read.holds(Version.parse(tag))] == []


@pytest.mark.parametrize(("text", "inside", "outside"), INCLUSIVE)
def test_with_prereleases_a_range_follows_precedence(text: str, inside: str, outside: str) -> None:
    read = parse_range(text, prereleases=True)
    assert [tag for tag in inside.split() if not read.holds(Version.parse(tag))] == []
    assert [tag for tag in outside.split() if read.holds(Version.parse(tag))] == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("1.x ||", "empty"),
        ("|| 1", "empty"),
        (">=", "''"),
        ("6.10,<7", "'6.10,<7'"),
        (">=6.10 and <7", "'and'"),
        ("01.2.3", "'01.2.3'"),
        ("1.2.3.4", "'1.2.3.4'"),
        ("1.2.3-01", "is not a version"),
        ("1.2.3-a..b", "is not a version"),
        ("1.2-beta", "'1.2-beta'"),
        ("1.x.3", "after an x"),
        ("*.1", "after an x"),
        ("1 - 2 - 3", "'-'"),
        (">=1 - 2", "'>=1'"),
        ("latest", "'latest'"),
        ("!=1.0.0", "'!=1.0.0'"),
        (">==1.0.0", "'=1.0.0'"),
        ("\u0661.0.0", "not a version"),
    ],
)
def test_what_is_no_range_is_refused_by_the_part_that_is_wrong(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=re.escape(wrong)):
        parse_range(text, prereleases=False)


@pytest.mark.slow
@settings(max_examples=1500)
@given(range_parts, st.lists(versions, min_size=1, max_size=20), st.booleans())
@example([Part((Comparator("<", (7,)),))], ["7.0.0-rc.1"], False)
@example([Part((Comparator(">=", (1, 2)), Comparator(">=", (1, 2, 0), "-rc.1")))], ["1.2.0-rc.2"], False)
def test_a_second_opinion_agrees_on_every_range(
    parts: list[Part], tags: list[str], prereleases: bool
) -> None:
    read = parse_range(" || ".join(part.text for part in parts), prereleases=prereleases)
    found = {tag for tag in tags if read.holds(Version.parse(tag))}
    assert found == {
        tag for tag in tags if (own := key(tag)) and in_range(own, parts, prereleases=prereleases)
    }


@pytest.mark.slow
@settings(max_examples=300)
@given(range_parts, st.lists(versions, min_size=1, max_size=20))
def test_seeing_prereleases_takes_no_release_away_or_in(parts: list[Part], tags: list[str]) -> None:
    text = "||".join(part.text for part in parts)
    narrow, wide = (parse_range(text, prereleases=seen) for seen in (False, True))
    releases = [version for version in map(Version.parse, tags) if not version.prerelease]
    assert [narrow.holds(version) for version in releases] == [wide.holds(version) for version in releases]
    assert [
        version for version in map(Version.parse, tags) if narrow.holds(version) and not wide.holds(version)
    ] == []
