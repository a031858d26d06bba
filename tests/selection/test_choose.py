"""What each rule takes and leaves out, alone and together, and the reason that it gives."""

from __future__ import annotations

import pytest

from bundler.oci.reference import Tag
from bundler.selection import choose
from bundler.selection.choose import Choice, also_latest, candidates
from bundler.selection.rules import Rules

TAGS = "6.12.0 6.13.0 6.14.0 6.14.1 7.0.0-rc.1 edge latest"
NOON = 1_795_176_000
"""2026-11-20T12:00:00Z."""


def named(text: str) -> tuple[Tag, ...]:
    return tuple(map(Tag, text.split()))


def chosen(rules: Rules, tags: str = TAGS) -> Choice:
    return choose(named(tags), rules)


def reason(choice: Choice, tag: str) -> str:
    return next(decision.reason for decision in choice.decisions if decision.tag == tag)


# --- ways in -----------------------------------------------------------------------------------------


def test_without_rules_every_tag_is_taken() -> None:
    assert chosen(Rules()).taken == named(TAGS)
    assert reason(chosen(Rules()), "edge") == "every tag is taken"


@pytest.mark.parametrize(
    ("rules", "taken", "why", "unmatched"),
    [
        (Rules(tags=named("edge")), "edge", "listed by name", "not listed by name"),
        (
            Rules(globs=("1.*", "6.14.*")),
            "6.14.0 6.14.1",
            "matches glob '6.14.*'",
            "matches no glob '1.*', '6.14.*'",
        ),
        (
            Rules(patterns=(r"6\.1[23]\.0",)),
            "6.12.0 6.13.0",
            r"matches pattern '6\.1[23]\.0'",
            r"matches no pattern '6\.1[23]\.0'",
        ),
        (
            Rules(versions=">=6.13 <7"),
            "6.13.0 6.14.0 6.14.1",
            "in range '>=6.13 <7'",
            "not in range '>=6.13 <7'",
        ),
        (Rules(versions="~7.0.0-rc"), "7.0.0-rc.1", "in range '~7.0.0-rc'", "not in range '~7.0.0-rc'"),
        (Rules(versions=">=7", prereleases=True), "7.0.0-rc.1", "in range '>=7'", "not in range '>=7'"),
    ],
)
def test_a_rule_is_the_reason_for_what_it_takes_or_leaves_out(
    rules: Rules, taken: str, why: str, unmatched: str
) -> None:
    choice = chosen(rules)
    assert choice.taken == named(taken)
    assert {decision.reason for decision in choice.decisions if decision.taken} == {why}
    assert reason(choice, "latest") == unmatched


def test_a_reason_names_at_most_three_rules_of_a_kind() -> None:
    rules = Rules(globs=tuple(f"{number}.*" for number in range(5)), versions="<6")
    assert (
        reason(chosen(rules), "edge")
        == "matches no glob '0.*', '1.*', '2.*' (and 2 more) and not in range '<6'"
    )


def test_rules_are_a_union() -> None:
    rules = Rules(tags=named("latest"), globs=("e*",), patterns=(r".*-rc\.1",), versions="6.12")
    assert chosen(rules).taken == named("6.12.0 7.0.0-rc.1 edge latest")


@pytest.mark.parametrize("pattern", ["6", "6.14", r"4\.1"])
def test_a_pattern_must_match_the_whole_tag(pattern: str) -> None:
    assert chosen(Rules(patterns=(pattern,))).taken == ()


def test_a_prerelease_within_the_range_is_left_out_as_such() -> None:
    assert reason(chosen(Rules(versions=">=6")), "7.0.0-rc.1") == "a pre-release"
    assert reason(chosen(Rules(versions="<6.13")), "7.0.0-rc.1") == "not in range '<6.13'"


def test_names_that_the_repository_has_not_are_absent() -> None:
    choice = chosen(Rules(tags=named("9.9.9 6.12.0 9.9.9"), exclude=("*",)))
    assert choice.absent == named("9.9.9")
    assert choice.taken == ()


def test_exclude_wins_over_every_rule() -> None:
    rules = Rules(
        tags=named("6.14.1"), globs=("*",), versions="*", follow_latest=True, exclude=("x", "6.14.*", "l*")
    )
    choice = chosen(rules)
    assert choice.taken == named("6.12.0 6.13.0 7.0.0-rc.1 edge")
    assert reason(choice, "6.14.1") == "excluded by '6.14.*'"
    assert reason(choice, "latest") == "excluded by 'l*'"


# --- the newest --------------------------------------------------------------------------------------


def test_the_newest_alone_takes_versions_only() -> None:
    choice = chosen(Rules(newest=2))
    assert [(decision.tag, decision.reason) for decision in choice.decisions] == [
        ("6.12.0", "older than the newest 2"),
        ("6.13.0", "older than the newest 2"),
        ("6.14.0", "among the newest 2"),
        ("6.14.1", "among the newest 2"),
        ("7.0.0-rc.1", "a pre-release"),
        ("edge", "not a version"),
        ("latest", "not a version"),
    ]


def test_the_newest_of_each_of_the_last_two_minors() -> None:
    choice = chosen(Rules(newest_per_minor=1, newest=2))
    assert choice.taken == named("6.13.0 6.14.1")
    assert reason(choice, "6.14.1") == "among the newest 1 per minor and the newest 2"
    assert reason(choice, "6.14.0") == "older than the newest 1 per minor 6.14"
    assert reason(choice, "6.12.0") == "older than the newest 2"


def test_the_newest_per_major() -> None:
    choice = chosen(Rules(newest_per_major=1, prereleases=True))
    assert choice.taken == named("6.14.1 7.0.0-rc.1")
    assert reason(choice, "6.12.0") == "older than the newest 1 per major 6"


def test_the_newest_leaves_tags_alone_that_are_no_versions() -> None:
    assert chosen(Rules(globs=("*",), newest=1)).taken == named("6.14.1 edge latest")


def test_the_newest_leaves_out_prereleases_that_a_glob_took() -> None:
    assert reason(chosen(Rules(globs=("*",), newest=1)), "7.0.0-rc.1") == "a pre-release"
    assert chosen(Rules(globs=("7.*",), newest=1)).taken == ()
    assert chosen(Rules(globs=("7.*",))).taken == named("7.0.0-rc.1")


def test_a_prerelease_that_the_range_names_is_ranked() -> None:
    assert chosen(Rules(versions=">=6.13 || >=7.0.0-rc.1", newest=2)).taken == named("6.14.1 7.0.0-rc.1")


def test_a_name_adds_a_tag_and_changes_nothing_for_the_others() -> None:
    rules = Rules(versions="6", newest_per_minor=1, newest=2)
    with_names = chosen(rules._replace(tags=named("6.12.0 6.14.0 6.14.1 7.0.0-rc.1")))
    assert chosen(rules).taken == named("6.13.0 6.14.1")
    assert with_names.taken == named("6.12.0 6.13.0 6.14.0 6.14.1 7.0.0-rc.1")


# --- times of creation -------------------------------------------------------------------------------


def test_nobody_is_asked_for_times_without_a_rule_about_them() -> None:
    assert candidates(named(TAGS), Rules(globs=("6.*",))) == ()


def test_only_times_of_tags_that_came_in_are_asked_for() -> None:
    rules = Rules(globs=("6.*", "latest"), exclude=("*.0",), follow_latest=True, created_since=NOON)
    assert candidates(named(TAGS), rules) == named("6.14.1 latest")
    assert candidates(named(TAGS), Rules(newest=9, created_until=NOON)) == named(
        "6.12.0 6.13.0 6.14.0 6.14.1"
    )


def test_times_hold_back_what_is_too_old_or_too_young() -> None:
    created = dict(
        zip(named("6.12.0 6.13.0 6.14.0 6.14.1"), (NOON - 61, NOON - 60, NOON, NOON + 1), strict=True)
    )
    rules = Rules(versions="6", created_since=NOON - 60, created_until=NOON)
    choice = choose(named(TAGS), rules, created)
    assert choice.taken == named("6.13.0 6.14.0")
    assert reason(choice, "6.12.0") == "created 2026-11-20T11:58:59Z, before 2026-11-20T11:59:00Z"
    assert reason(choice, "6.14.1") == "created 2026-11-20T12:00:01Z, younger than the minimum age"


@pytest.mark.parametrize("created", [None, {}, {Tag("6.14.1"): None}])
def test_an_unknown_time_holds_back_even_a_name(created: dict[Tag, int | None] | None) -> None:
    choice = choose(named(TAGS), Rules(tags=named("6.14.1"), created_since=0), created)
    assert reason(choice, "6.14.1") == "its time of creation is unknown"


def test_the_newest_are_counted_among_those_that_are_old_enough() -> None:
    created = {tag: NOON + (tag == "6.14.1") for tag in named(TAGS)}
    assert choose(named(TAGS), Rules(newest=1, created_until=NOON), created).taken == named("6.14.0")


# --- latest ------------------------------------------------------------------------------------------


def test_latest_passes_every_other_rule_but_a_minimum_age() -> None:
    rules = Rules(versions="6.12", newest=1, created_until=NOON, follow_latest=True)
    old, young = (dict.fromkeys(named(TAGS), NOON + late) for late in (0, 1))
    choice = choose(named(TAGS), rules, old)
    assert choice.taken == named("6.12.0 latest")
    assert reason(choice, "latest") == "latest is followed"
    assert choose(named(TAGS), rules, young).taken == ()
    assert chosen(Rules(follow_latest=True)).taken == named("latest")
    assert chosen(Rules(newest=1, follow_latest=True), "1.0.0").taken == named("1.0.0")


def test_the_version_that_latest_points_to_is_taken_too() -> None:
    choice = also_latest(chosen(Rules(newest=1, follow_latest=True)), Tag("6.13.0"))
    assert choice.taken == named("6.13.0 6.14.1 latest")
    assert reason(choice, "6.13.0") == "latest points to it"
    assert also_latest(choice, Tag("6.13.0")) == choice


def test_exclude_wins_over_latest() -> None:
    choice = chosen(Rules(newest=1, follow_latest=True, exclude=("6.13.*",)))
    assert also_latest(choice, Tag("6.13.0")) == choice


def test_a_version_of_latest_that_is_not_in_the_list_is_absent() -> None:
    choice = also_latest(chosen(Rules(tags=named("9.9.9"), follow_latest=True)), Tag("8.0.0"))
    assert choice.absent == named("9.9.9 8.0.0")
    assert also_latest(choice, Tag("8.0.0")) == choice


# --- spellings of versions ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "taken"),
    [
        ("v1.9 v1.10 v1.33 latest", "v1.10 v1.33"),
        ("1.9 1.10 v1.33", "1.10 v1.33"),
        ("v1.9.0 v1.10.0 v1.10.1-rc.1 v1.33.0 v1.33", "v1.10.0 v1.33.0"),
        ("v1.33 v1.32.0 1.2.0 1.1.0", "1.1.0 1.2.0"),
        ("v1 v2 1 20261120", ""),
        ("v1.9-rc.1 v1.8 v1.7", "v1.7 v1.8"),
    ],
)
def test_of_spellings_of_one_version_the_most_exact_is_taken(tags: str, taken: str) -> None:
    assert set(chosen(Rules(newest=2), tags).taken) == set(named(taken))
    assert set(chosen(Rules(versions=">=1.0", newest=2), tags).taken) == set(named(taken))
