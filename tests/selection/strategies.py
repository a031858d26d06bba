"""Tag lists, globs and ranges as repositories and users have them."""

from __future__ import annotations

from hypothesis import strategies as st

from bundler.oci.reference import Tag
from tests.selection.oracle import Comparator, Part

numbers = st.sampled_from([0, 0, 1, 1, 2, 3, 9, 10])
prereleases = st.sampled_from(
    ["-0", "-1", "-alpha", "-alpha.1", "-alpha.beta", "-rc.2", "-rc.10", "-x-y", "-Z"]
)
versions = st.builds(
    "{}.{}.{}{}".format, numbers, numbers, numbers, st.one_of(st.just(""), st.just(""), prereleases)
)
words = ["latest", "main", "edge", "RC", "nightly-2", "sha256-ab.sig"]
almost = ["v1.2.0", "v1", "1", "1.2", "1.0.0.0", "01.0.0", "1.0.0-01", "1.0.0-", "1.0.0_b"]
others = st.sampled_from(words + almost)
tags = st.builds(Tag, st.one_of(versions, versions, versions, others))
tag_lists = st.lists(tags, max_size=25)
globs = st.lists(
    st.sampled_from(["*", "?", ".", "-", "0", "1", "2", "10", "rc", "l", "-*", ".*"]), min_size=1, max_size=5
)
glob_lists = st.lists(globs.map("".join), max_size=2).map(tuple)
counts = st.one_of(st.none(), st.integers(1, 4))


@st.composite
def _points(draw: st.DrawFn) -> tuple[tuple[int, ...], str]:
    known = tuple(draw(st.lists(numbers, min_size=0, max_size=3)))
    whole = draw(st.booleans()) or len(known) == 3
    known = (*known, 0, 0, 0)[:3] if whole and known else known
    return known, draw(st.one_of(st.just(""), prereleases)) if len(known) == 3 else ""


_operators = st.sampled_from(["", "=", "<", "<=", ">", ">=", "^", "~"])
_comparators = st.builds(lambda operator, point: Comparator(operator, *point), _operators, _points())
_plain_parts = st.lists(_comparators, min_size=1, max_size=3).map(lambda found: Part(tuple(found)))
_hyphen_parts = st.builds(
    lambda low, high: Part((Comparator(">=", *low), Comparator("<=", *high)), hyphen=True),
    _points(),
    _points(),
)
range_parts = st.lists(st.one_of(_plain_parts, _plain_parts, _hyphen_parts), min_size=1, max_size=2)
