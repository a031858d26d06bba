"""Scalars that two readers read in two ways are never guessed."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bundler.config.yaml_document import Unclear, meaning, why_no_text

OLDER = yaml.SafeLoader("")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latest", "latest"), ("6.9.0", "6.9.0"), ("v1", "v1"), (">=6.10 <7", ">=6.10 <7"),
        ("linux/amd64", "linux/amd64"), ("localhost:5000", "localhost:5000"), ("3", 3), ("0", 0), ("-1", -1),
        ("true", True), ("False", False), ("null", None), ("~", None),
    ],
)  # fmt: skip
def test_what_every_reader_reads_alike_is_taken(text: str, expected: object) -> None:
    assert meaning(text, plain=True) == expected
    assert meaning(text, plain=False) == text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1.10", "a number"), ("6.0", "a number"), ("010", "a number"), ("0x1F", "a number"),
        ("0o17", "a number"), ("1_000", "a number"), ("1e3", "a number"), (".inf", "a number"),
        ("12:30", "a number"), ("9" * 19, "a number"), ("2026-01-01", "a date"),
        ("2026-01-01T09:00:00Z", "a date"), ("no", "true or false"), ("On", "true or false"),
        ("y", "true or false"), ("<<", "a merge key"),
    ],
)  # fmt: skip
def test_what_some_reader_takes_for_no_text_wants_quotes(text: str, kind: str) -> None:
    assert meaning(text, plain=True) == Unclear(text, kind)
    assert meaning(text, plain=False) == text
    assert why_no_text(Unclear(text, kind)) == (
        f"{text} without quotes is {kind}",
        f'write it in quotes: "{text}"',
    )


def test_what_may_be_secret_is_not_shown() -> None:
    assert "1.10" not in " ".join(why_no_text(Unclear("1.10", "a number"), secret=True))
    assert "4711" not in " ".join(why_no_text(4711, secret=True))


@pytest.mark.parametrize("text", ["a\x00b", "\x1b[31m", "\ud800", "\x7f"])
def test_control_characters_are_no_text_with_or_without_quotes(text: str) -> None:
    assert [isinstance(meaning(text, plain=plain), Unclear) for plain in (True, False)] == [True, True]


@pytest.mark.slow
@given(
    st.text() | st.text("0123456789.+-_:eExobaftinTZ ", max_size=20) | st.from_regex(r"[-+.0-9eE_:xob]{1,9}")
)
def test_no_text_is_taken_that_yaml_1_1_takes_for_something_else(text: str) -> None:
    older = OLDER.resolve(  # type: ignore[no-untyped-call]
        yaml.ScalarNode, text, (True, False)
    )
    if isinstance(meaning(text, plain=True), str):
        # `yaml` is for !, & and *, which stand alone nowhere.
        assert older in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:yaml")
