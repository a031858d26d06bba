"""YAML, read strictly and within bounds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.config.yaml_document import Document, UnreadableError, read_document
from bundler.limits import DEFAULT_LIMITS


def read(text: str, **limits: int) -> Document:
    """The document within these limits."""
    return read_document(text, DEFAULT_LIMITS._replace(**limits))


@pytest.mark.parametrize(
    ("text", "line", "cause"),
    [
        ("", 1, "empty"),
        ("# nothing\n", 1, "empty"),
        ("a: 1\nb: [1\nc: 2\n", 3, "not YAML"),
        ("a: 1\n\tb: 2\n", 2, "not YAML"),
        ("a: 1\nglobs: [*]\n", 2, "is an alias"),
        ("a: 1\nglobs: [*-rc*]\n", 2, "is an alias"),
        ("a: *latest\n", 1, "nothing above it has this anchor"),
        ("a: &x [*x]\n", 1, "nothing above it has this anchor"),
        ("a: 1\n---\nb: 1\n", 2, "second document"),
        ("a: 1\n? [b]\n: 1\n", 2, "a key must be a word"),
        ("a: 1\n? {b: 1}\n: 1\n", 2, "a key must be a word"),
        ("a: 1\nb: \x01\n", 2, "a character that YAML does not allow"),
        ('a: "\\UFFFFFFFF"\n', 1, "an escape"),
        ('a: "\\U00110000"\n', 1, "an escape"),
        ("%YAML 2.0\n---\na: 1\n", 1, "not YAML"),
    ],
)
def test_what_is_no_document_is_refused_with_its_line(text: str, line: int, cause: str) -> None:
    with pytest.raises(UnreadableError, match=cause) as error:
        read(text)
    assert error.value.line == line


def test_a_glob_without_quotes_gets_the_advice_to_quote_it() -> None:
    with pytest.raises(UnreadableError) as error:
        read("tags: [*]")
    assert "in quotes" in error.value.next_step


def test_what_can_be_left_out_is_told_all_at_once() -> None:
    document = read("a: 1\nb: 2\na: 3\n1.5: x\nnull: y\nc: !!str 6.0\nd: {e: 1, e: 2}\n")
    assert [(problem.line, problem.where) for problem in document.problems] == [
        (6, ()), (3, ("a",)), (4, ()), (5, ()), (7, ("d", "e")),
    ]  # fmt: skip
    assert document.content["a"] == 1


def test_aliases_are_allowed() -> None:
    document = read("a: &x [1, 2]\nb: *x\nc: {d: *x}\n")
    assert document.content == {"a": [1, 2], "b": [1, 2], "c": {"d": [1, 2]}}


def test_every_value_has_its_line() -> None:
    document = read("a:\n  - b: 1\n    c:\n      - x\n      - y\n  - d: {e: 2}\nf: 3\n")
    lines = {
        ("a",): 1, ("a", 0): 2, ("a", 0, "b"): 2, ("a", 0, "c"): 3, ("a", 0, "c", 1): 5,
        ("a", 1, "d", "e"): 6, ("f",): 7, ("a", 0, "missing"): 2, ("nothing",): 1, (): 1,
    }  # fmt: skip
    assert {where: document.line(where) for where in lines} == lines
    assert document.key_line(("a", 0, "c")) == 3


# --- bounds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "fits"), [(9, True), (8, False)])
def test_the_size_is_bounded(size: int, fits: bool) -> None:
    if fits:
        assert read("a: 123456", config=size).content == {"a": 123456}
    else:
        with pytest.raises(UnreadableError, match="larger than the limit of 8"):
            read("a: 123456", config=size)


@pytest.mark.parametrize("text", ["[[[1]]]", "a: &x [1]\nb: [*x]", "- - - 1"])
def test_the_depth_is_bounded_with_aliases(text: str) -> None:
    assert read(text, json_depth=4).content
    with pytest.raises(UnreadableError, match="nested more than 3 deep"):
        read(text, json_depth=3)


@pytest.mark.parametrize("text", ["[1, 2, 3, 4, 5]", "{a: &x [1], b: *x}", "[&x [1, 2], *x]"])
def test_the_number_of_values_is_bounded_with_aliases(text: str) -> None:
    count = {"[": 6, "{": 7}[text[0]] + ("&" in text and text[0] == "[")
    assert read(text, config_nodes=count).content
    with pytest.raises(UnreadableError, match="more than the limit"):
        read(text, config_nodes=count - 1)


def test_a_billion_laughs_end_early() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(UnreadableError, match="more than the limit of 100,000 values"):
        read("\n".join(lines))


@pytest.mark.slow
@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 100_000, "{a: " * 100_000, "? " * 100_000])
def test_hostile_nesting_ends_early(text: str) -> None:
    with pytest.raises(UnreadableError):
        read(text)


# --- whatever the text is -----------------------------------------------------------------------------

yaml_like = st.lists(
    st.sampled_from(
        [*"[]{},:-?&*!|>%@`\"'#\n \ta1.~$\\", "\n  ", "- ", ": ", "&a", "*a", "<<", "---\n", "\u2028"]
    )
).map("".join)


@given(st.text() | yaml_like)
def test_any_text_is_a_document_or_refused_at_one_of_its_lines(text: str) -> None:
    try:
        document = read(text)
    except UnreadableError as error:
        last = error.line
    else:
        last = max((problem.line for problem in document.problems), default=1)
    assert 1 <= last <= len(text.splitlines()) + 1


printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn", "Zl", "Zp"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | printable,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(printable, below, max_size=3),
    max_leaves=10,
)


@pytest.mark.slow
@given(values)
def test_json_is_read_as_json(value: object) -> None:
    assert read(json.dumps(value, ensure_ascii=False)).content == value
