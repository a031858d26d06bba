"""The examples of docs/selection.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bundler.oci.reference import Tag
from bundler.selection import choose
from bundler.selection.rules import Rules, check

PAGE = (Path(__file__).parents[2] / "docs" / "selection.md").read_text()
TAGS = [Tag(text) for text in re.findall(r"^    (6\.12\.0 .*)$", PAGE, re.MULTILINE)[0].split()]
EXAMPLES = re.findall(r"^\| (?:`(.*)` )?\| `(.*)` \|$", PAGE.partition("## 1.")[0], re.MULTILINE)


@pytest.mark.parametrize(("rules", "taken"), EXAMPLES)
def test_an_example_takes_what_the_page_says(rules: str, taken: str) -> None:
    asked = eval(f"Rules({rules})", {"Rules": Rules})
    check(asked)
    assert choose(TAGS, asked).taken == tuple(taken.split())


def test_the_page_has_an_example_of_every_rule_without_times() -> None:
    shown = {name for rules, _ in EXAMPLES for name in re.findall(r"(\w+)=", rules)}
    assert set(Rules._fields) - shown == {"newest_per_major", "created_since", "created_until"}
