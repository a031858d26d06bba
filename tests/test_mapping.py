"""Names at the target."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import CollectedError, UsageError
from bundler.mapping import Mapping, MappingRule, Match, check_rule, map_all, target_name
from bundler.oci.reference import Prefix, RepositoryName, parse_prefix

TO = parse_prefix("oci://r.local:5000/mirror")
PODINFO = RepositoryName("ghcr.io/stefanprodan/modules/podinfo")
NGINX = RepositoryName("docker.io/library/nginx")


def rule(match: str, source: str, to: str) -> MappingRule:
    """One rule."""
    return MappingRule(Match(match), source, to)


def test_without_rules_the_path_is_kept_and_the_host_is_dropped() -> None:
    assert target_name(PODINFO, TO, Mapping()) == "r.local:5000/mirror/stefanprodan/modules/podinfo"
    assert target_name(NGINX, parse_prefix("r.local"), Mapping()) == "r.local/library/nginx"


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ([rule("repository", PODINFO, "team/podinfo")], "team/podinfo"),
        ([rule("repository", f"{PODINFO}2", "x")], "stefanprodan/modules/podinfo"),
        ([rule("prefix", "ghcr.io/stefanprodan/", "upstream/")], "upstream/modules/podinfo"),
        ([rule("prefix", "ghcr.io/stefanprodan", "upstream")], "upstream/modules/podinfo"),
        ([rule("prefix", "ghcr.io/stefan", "upstream")], "stefanprodan/modules/podinfo"),
        ([rule("prefix", "ghcr.io/stefanprodan/modules", "")], "podinfo"),
        ([rule("prefix", PODINFO, "whole")], "whole"),
        ([rule("prefix", "ghcr.io", "hub/")], "hub/stefanprodan/modules/podinfo"),
        ([rule("pattern", "[^/]+/(.*)/modules/(?P<last>.*)", r"\g<last>/\1")], "podinfo/stefanprodan"),
        ([rule("pattern", "modules/(.*)", r"\1")], "stefanprodan/modules/podinfo"),
        ([rule("prefix", "docker.io", "a"), rule("prefix", "ghcr.io", "b"), rule("prefix", "ghcr.io", "c")],
         "b/stefanprodan/modules/podinfo"),
    ],
)  # fmt: skip
def test_the_first_rule_that_matches_wins(rules: list[MappingRule], path: str) -> None:
    assert target_name(PODINFO, TO, Mapping(tuple(rules))) == f"{TO}/{path}"


@pytest.mark.parametrize(
    ("levels", "path"),
    [
        (2, "mirror/stefanprodan-modules-podinfo"),
        (3, "mirror/stefanprodan/modules-podinfo"),
        (4, "mirror/stefanprodan/modules/podinfo"),
        (9, "mirror/stefanprodan/modules/podinfo"),
    ],
)
def test_what_is_deeper_than_flatten_is_joined(levels: int, path: str) -> None:
    assert target_name(PODINFO, TO, Mapping(flatten=levels)).path == path


def test_a_prefix_that_takes_all_levels_is_refused_not_joined() -> None:
    with pytest.raises(UsageError, match="already has 1 levels"):
        target_name(PODINFO, TO, Mapping(flatten=1))
    assert (
        target_name(PODINFO, Prefix(TO.registry), Mapping(flatten=1)).path == "stefanprodan-modules-podinfo"
    )


@pytest.mark.parametrize(
    "bad",
    [
        rule("pattern", ".*", "UPPER"),
        rule("pattern", ".*", ""),
        rule("pattern", ".*(x)?", r"a/\1/b"),
        rule("pattern", ".*", r"\0"),
        rule("pattern", ".*", r"\7"),
        rule("pattern", "(", "x"),
        rule("prefix", PODINFO, ""),
        rule("pattern", ".*", "a" * 300),
    ],
)
def test_an_impossible_name_is_a_usage_error_with_its_source(bad: MappingRule) -> None:
    with pytest.raises(UsageError) as error:
        target_name(PODINFO, TO, Mapping((bad,)))
    assert error.value.item == PODINFO


def test_all_collisions_and_refusals_are_told_at_once() -> None:
    sources = [RepositoryName(f"{host}.example/{path}") for host in "ab" for path in ("x", "y")]
    broken = rule("repository", "c.example/z", "UPPER")
    mapping = Mapping((broken,), allow=("mirror/x", "elsewhere/*"))
    with pytest.raises(CollectedError) as error:
        map_all([*sources, RepositoryName("c.example/z")], TO, mapping)
    told = str(error.value).splitlines()
    assert [line.partition(": ")[0] for line in told] == [
        "c.example/z", f"{TO}/x", f"{TO}/y", "a.example/y", "b.example/y",
    ]  # fmt: skip
    assert "a.example/x and b.example/x would all get this name" in told[1]


def test_one_repository_named_twice_is_no_collision() -> None:
    assert map_all([NGINX, NGINX], TO, Mapping()) == {NGINX: f"{TO}/library/nginx"}


def test_no_room_to_flatten_is_told_once() -> None:
    with pytest.raises(UsageError) as error:
        map_all([NGINX, PODINFO], TO, Mapping(flatten=1))
    assert not isinstance(error.value, CollectedError)


@pytest.mark.parametrize(("source", "to"), [("(", "x"), ("(a)", r"\2"), ("a", r"\g<n>"), ("[[a]", "x")])
def test_a_senseless_expression_is_found_before_any_name(source: str, to: str) -> None:
    with pytest.raises(UsageError, match="is not valid"):
        check_rule(rule("pattern", source, to))


# --- whatever the rules are ---------------------------------------------------------------------------

names = st.from_regex(r"(ghcr\.io|docker\.io|h:1)(/[ab][._-]?[12]){1,5}", fullmatch=True).map(
    RepositoryName.parse
)
what = st.one_of(
    names, st.sampled_from(["ghcr.io", "h:1/", "(.*)/(.*)", "[^/]+/(?P<rest>.*)", "(", "(a)?.*"])
)
becomes = st.one_of(
    st.sampled_from(["", "up/", "a/b", r"\1", r"\2", r"\g<rest>", r"x/\1", "UP"]), st.text(max_size=6)
)
rules = st.builds(MappingRule, st.sampled_from(Match), what, becomes)
prefixes = st.sampled_from(["r.local", "r.local/a", "r.local/a/b/c"]).map(parse_prefix)
mappings = st.builds(
    Mapping,
    st.lists(rules, max_size=4).map(tuple),
    st.none() | st.integers(1, 6),
    st.sampled_from([(), ("a/*",), ("*b*", "up/*")]),
)


@pytest.mark.slow
@given(names, prefixes, mappings)
def test_a_mapped_name_is_valid_and_short_or_a_usage_error(
    source: RepositoryName, to: Prefix, mapping: Mapping
) -> None:
    try:
        found = target_name(source, to, mapping)
    except UsageError:
        return
    assert RepositoryName.parse(str(found)) == found
    assert str(found).startswith(f"{to}/")
    assert mapping.flatten is None or found.path.count("/") < mapping.flatten
    assert target_name(source, to, mapping) == found


def outcome(
    sources: Iterable[RepositoryName], to: Prefix, mapping: Mapping
) -> dict[RepositoryName, RepositoryName] | str:
    """The names, or what is said instead."""
    try:
        return map_all(sources, to, mapping)
    except UsageError as error:
        return str(error)


@pytest.mark.slow
@given(st.lists(names, max_size=5), prefixes, mappings)
def test_a_mapping_of_all_is_one_to_one_in_any_order(
    sources: list[RepositoryName], to: Prefix, mapping: Mapping
) -> None:
    found = outcome(sources, to, mapping)
    assert found == outcome(reversed(sources), to, mapping)
    if isinstance(found, dict):
        assert len(set(found.values())) == len(set(sources))
        assert found == {source: target_name(source, to, mapping) for source in sources}


def test_an_expression_ends_soon_on_a_hostile_name() -> None:
    hostile = RepositoryName(f"h.example/{'a' * 200}")
    mapping = Mapping((rule("pattern", "h.example/(a+)+b", "x"),))
    assert target_name(hostile, TO, mapping) == f"{TO}/{'a' * 200}"
