"""What holds for all tag lists and rules, against a second opinion that shares no code."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundler.oci.reference import Tag
from bundler.selection import choose
from bundler.selection.choose import candidates
from bundler.selection.rules import Rules, check
from bundler.selection.semver import version_order
from tests.selection import oracle
from tests.selection.oracle import Part, glob_matches, in_range, is_prerelease, key
from tests.selection.strategies import counts, glob_lists, range_parts, tag_lists, tags

times = st.one_of(st.none(), st.integers(0, 9))
created_lists = st.dictionaries(tags, times)


def spelled(parts: Iterable[Part] | None) -> str | None:
    return None if parts is None else " || ".join(part.text for part in parts)


rules = st.builds(
    Rules,
    tags=st.lists(tags, max_size=3).map(tuple),
    globs=glob_lists,
    patterns=st.sampled_from([(), (), (r"1\..*",), (r"[^-]*", "main|RC")]),
    versions=st.one_of(st.none(), range_parts.map(spelled)),
    prereleases=st.booleans(),
    newest_per_minor=counts,
    newest_per_major=counts,
    newest=counts,
    created_since=st.one_of(st.none(), st.integers(0, 4)),
    created_until=st.one_of(st.none(), st.integers(4, 9)),
    follow_latest=st.booleans(),
    exclude=glob_lists,
)


@pytest.mark.slow
@settings(max_examples=500)
@given(tag_lists, glob_lists, st.one_of(st.none(), range_parts), st.booleans(), glob_lists)
def test_a_second_opinion_agrees_on_what_comes_in(
    found: list[Tag],
    globs: tuple[str, ...],
    parts: list[Part] | None,
    prereleases: bool,
    exclude: tuple[str, ...],
) -> None:
    def comes_in(tag: str) -> bool:
        version = key(tag) if any(map(key, found)) else None
        ways = [glob_matches(glob, tag) for glob in globs]
        if parts is not None:
            ways.append(version is not None and in_range(version, parts, prereleases=prereleases))
        return (any(ways) or not ways) and not any(glob_matches(glob, tag) for glob in exclude)

    # A version keeps looser spellings from counting.
    found = [*found, Tag("0.0.0")]
    asked = Rules(globs=globs, versions=spelled(parts), prereleases=prereleases, exclude=exclude)
    assert set(choose(found, asked).taken) == {tag for tag in found if comes_in(tag)}


@pytest.mark.slow
@settings(max_examples=500)
@given(tag_lists, counts, counts, counts, st.booleans(), st.booleans(), st.lists(tags, max_size=3))
def test_a_second_opinion_agrees_on_the_newest(
    found: list[Tag],
    per_minor: int | None,
    per_major: int | None,
    overall: int | None,
    prereleases: bool,
    everything: bool,
    names: list[Tag],
) -> None:
    found = [*found, Tag("0.0.0")]
    known = {tag: version for tag in found if (version := key(tag))}
    left = {tag for tag, version in known.items() if prereleases or not is_prerelease(version)}
    for most, width in ((per_minor, 2), (per_major, 1), (overall, 0)):
        left = left if most is None else {tag for tag in left if tag in oracle.newest(left, most, width)}
    if per_minor is per_major is overall is None:
        left = set(known)
    expected = left | (
        {tag for tag in found if tag not in known} | set(names) & set(found) if everything else set()
    )
    asked = Rules(
        tags=tuple(names) if everything else (),
        globs=("*",) if everything else ("[0-9]*",) if per_minor is per_major is overall is None else (),
        prereleases=prereleases,
        newest_per_minor=per_minor,
        newest_per_major=per_major,
        newest=overall,
    )
    taken = set(choose(found, asked).taken)
    assert {tag for tag in taken if everything or tag in known} == expected


@pytest.mark.slow
@settings(max_examples=500)
@given(tag_lists, rules, created_lists, st.randoms(use_true_random=False))
def test_every_tag_is_decided_once_in_an_order_of_its_own(
    found: list[Tag], asked: Rules, created: dict[Tag, int | None], random: st.DataObject
) -> None:
    check(asked)
    shuffled = [*found, *found]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    choice = choose(found, asked, created)
    assert choose(shuffled, asked, created) == choice
    assert [decision.tag for decision in choice.decisions] == sorted(set(found), key=version_order)
    assert all(decision.reason for decision in choice.decisions)
    assert set(choice.absent) == set(asked.tags) - set(found)


@pytest.mark.slow
@settings(max_examples=500)
@given(tag_lists, rules, created_lists, st.sampled_from(["newest", "newest_per_minor", "newest_per_major"]))
def test_one_more_of_the_newest_loses_nothing(
    found: list[Tag], asked: Rules, created: dict[Tag, int | None], rule: str
) -> None:
    asked = asked._replace(newest=None, newest_per_minor=None, newest_per_major=None)
    taken = [set(choose(found, asked._replace(**{rule: most}), created).taken) for most in (1, 2, 3)]  # type: ignore[arg-type]
    assert taken[0] <= taken[1] <= taken[2]


@pytest.mark.slow
@settings(max_examples=500)
@given(tag_lists, rules, created_lists)
def test_only_the_times_of_candidates_matter(
    found: list[Tag], asked: Rules, created: dict[Tag, int | None]
) -> None:
    needed = candidates(found, asked)
    known = {tag: second for tag, second in created.items() if tag in needed}
    choice = choose(found, asked, created)
    assert choose(found, asked, known) == choice
    if asked.created_since is not None or asked.created_until is not None:
        followed = {"latest"} if asked.follow_latest else set()
        assert set(choice.taken) <= {tag for tag in known if known[tag] is not None} | followed


@pytest.mark.slow
@settings(max_examples=300)
@given(tag_lists, rules, created_lists, tags)
def test_a_name_adds_itself_at_most(
    found: list[Tag], asked: Rules, created: dict[Tag, int | None], name: Tag
) -> None:
    some_way = asked._replace(globs=(*asked.globs, "1*"))
    without = set(choose(found, some_way, created).taken)
    assert set(choose(found, some_way._replace(tags=(*asked.tags, name)), created).taken) - {
        name
    } == without - {name}
    assert without <= set(choose(found, some_way._replace(tags=(*asked.tags, name)), created).taken)
