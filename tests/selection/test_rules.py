"""Rules that can't be meant are refused, and the error names what is wrong."""

from __future__ import annotations

import pytest

from bundler.errors import UsageError
from bundler.oci.reference import Tag, parse_reference
from bundler.selection import choose
from bundler.selection.rules import Rules, check
from bundler.selection.sources import selection_of

DECENT = Rules(
    tags=(Tag("1.0.0"),),
    globs=("6.*", "[0-9]*"),
    patterns=(r"v?6\.[0-9]+(-rc\.[0-9]+)?", "x" * 200),
    versions=">=6.10 <7 || ^9.1",
    newest_per_minor=1,
    newest_per_major=1,
    newest=1,
    created_since=0,
    created_until=0,
    exclude=("*-rc*",),
)


@pytest.mark.parametrize("rules", [Rules(), DECENT, Rules(versions="*")])
def test_rules_that_can_be_meant_pass(rules: Rules) -> None:
    check(rules)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"globs": ("6.*", "")}, "empty glob"),
        ({"exclude": ("",)}, "empty glob"),
        ({"patterns": ("",)}, "empty pattern"),
        ({"patterns": ("6.*", "6.(")}, "6.("),
        ({"patterns": ("x" * 201,)}, "longer than 200 characters"),
        ({"patterns": ("(" * 199,)}, "((("),
        ({"patterns": ("a{99999999999}",)}, "a{99999999999}"),
        ({"versions": ">=6.10 , <7"}, ">=6.10 , <7"),
        ({"versions": ""}, "empty"),
        ({"exclude": ("podinfo:1.0.0",)}, "no tag can match it"),
        ({"exclude": ("1.0.0+build",)}, "no tag can match it"),
        ({"exclude": ("sha256:*",)}, "no tag can match it"),
        ({"globs": ("team/app",)}, "no tag can match it"),
        ({"newest": 0}, "the newest 0"),
        ({"newest": -3}, "the newest -3"),
        ({"newest_per_minor": 0}, "the newest 0 per minor"),
        ({"newest_per_major": -1}, "the newest -1 per major"),
        ({"created_since": -1}, "created since -1"),
        ({"created_until": 1_795_168_800_000}, "created until 1795168800000"),
        ({"created_since": 2, "created_until": 1}, "created since and until"),
    ],
)
def test_the_error_names_the_rule_that_cannot_be_meant(change: dict[str, object], named: str) -> None:
    rules = DECENT._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(UsageError) as caught:
        check(rules)
    assert named in str(caught.value)


def test_a_glob_that_some_tag_matches_can_be_meant() -> None:
    check(Rules(globs=("*", "1.?", "[!:/]*", "v[0-9]*_b1"), exclude=("*-rc*", "[]a]*")))


def test_from_python_an_exclude_that_no_tag_matches_is_refused() -> None:
    with pytest.raises(UsageError, match="no tag can match it"):
        selection_of([parse_reference("ghcr.io/team/app")], Rules(exclude=("app:1.0.0",)))


@pytest.mark.parametrize("pattern", ["((((((((((" * 9 + "))))))))))" * 9, "(?:" * 40 + ")*" * 40])
def test_a_deeply_nested_pattern_does_no_harm(pattern: str) -> None:
    check(Rules(patterns=(pattern,)))


def test_a_pattern_ends_soon_on_a_hostile_tag() -> None:
    rules = Rules(patterns=("(a+)+b", "(a|a)*c", "(.*)*d"))
    check(rules)
    assert choose([Tag("a" * 128)], rules).taken == ()


@pytest.mark.parametrize("pattern", ["(?=a)a", r"(a)\1", "(?<!a)b"])
def test_a_pattern_that_needs_backtracking_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="as RE2 has it"):
        check(Rules(patterns=(pattern,)))
