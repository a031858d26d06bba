"""JSON that two readers could read in two ways is refused."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ContentError
from bundler.limits import DEFAULT_LIMITS
from bundler.oci import strict_json
from bundler.workers import each

REFUSED = {
    "empty": b"",
    "cut": b'{"a": [1, 2',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "not UTF-8": b'{"a": "\xff"}',
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "duplicate keys": b'{"a": 1, "a": 2}',
    "duplicate keys by escape": b'{"a": 1, "\\u0061": 2}',
    "duplicate keys inside": b'[{"x": {"a": 1, "a": 1}}]',
    "deep lists": b"[" * 10_000 + b"]" * 10_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "long number": b'{"a": ' + b"9" * 5000 + b"}",
    "two documents": b"{} {}",
    "control character": b'{"a": "\x01"}',
    "comment": b"{} // x",
    "half a letter": b'{"a": "\\ud83d"}',
    "the other half": b'{"a": "x\\\\\\uDE00"}',
    "halves in the wrong order": b'{"\\ude00\\ud83d": 1}',
    "half a letter behind a whole one": b'["\\ud83d\\ude00\\ud83d"]',
    "open string full of brackets": b'"' + b"[" * 100,
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("read", [strict_json.loads, strict_json.check])
def test_ambiguous_or_hostile_json_is_refused_naming_the_item(name: str, read: object) -> None:
    """Case 65."""
    assert callable(read)
    with pytest.raises(ContentError) as error:
        read(REFUSED[name], item="the thing", depth=64)
    assert error.value.item == "the thing"


@pytest.mark.parametrize(("depth", "fits"), [(3, True), (2, False)])
def test_nesting_is_allowed_up_to_the_limit(depth: int, fits: bool) -> None:
    data = b'[{"a": [1, "]]]]", "[[[[\\""]}]'
    if fits:
        assert strict_json.loads(data, item="x", depth=depth) == [{"a": [1, "]]]]", '[[[["']}]
    else:
        with pytest.raises(ContentError, match="nested more than 2 deep"):
            strict_json.loads(data, item="x", depth=depth)


def test_brackets_in_strings_are_not_nesting() -> None:
    data = json.dumps({"a": "[{" * 100, 'b"[': "\\"}).encode()
    assert strict_json.loads(data, item="x", depth=1) == json.loads(data)


def test_whole_letters_in_escapes_are_read() -> None:
    data = b'["\\ud83d\\uDE00", "\\\\ud83d", "\\u00e9\\n"]'
    strict_json.check(data, item="x", depth=2)
    assert strict_json.loads(data, item="x", depth=2) == ["\U0001f600", "\\ud83d", "\u00e9\n"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=12,
)


@given(values)
def test_ordinary_json_is_read_as_the_standard_library_reads_it(value: object) -> None:
    data = json.dumps(value).encode()
    assert strict_json.loads(data, item="x", depth=64) == json.loads(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_document_or_a_content_error(data: bytes) -> None:
    try:
        document = strict_json.loads(data, item="x", depth=8)
    except ContentError:
        return
    assert json.loads(data) == document


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers()))
def test_one_content_has_one_spelling(document: dict[str, int]) -> None:
    spelled = strict_json.canonical(document)
    assert spelled == strict_json.canonical(dict(reversed(document.items())))
    assert json.loads(spelled) == document
    assert spelled.endswith(b"\n")


def test_a_page_of_as_many_tags_as_a_repository_may_have_is_read() -> None:
    page = json.dumps({"name": "app", "tags": [f"1.{number}.0" for number in range(DEFAULT_LIMITS.tags)]})
    assert strict_json.loads(page.encode(), item="the thing", depth=64)["name"] == "app"


def test_large_documents_are_read_one_at_a_time_and_not_kept() -> None:
    reading: list[bytes] = []

    @strict_json.alone
    def read(data: bytes) -> None:
        reading.append(data)
        assert len(reading) == 1
        time.sleep(0)  # let the others in, if they can come
        reading.remove(data)
        try:
            raise ValueError(data)
        except ValueError as error:
            raise ContentError("the thing", "refused") from error

    large = bytes(DEFAULT_LIMITS.json_beside + 1)
    for _, error in each([large] * 20, read, jobs=8):
        assert isinstance(error, ContentError)
        assert (error.__cause__, error.__context__, error.__traceback__) == (None, None, None)


def test_large_documents_that_are_wide_as_text_are_refused() -> None:
    wide = "é" + "中" + " " * (DEFAULT_LIMITS.json_wide - 5)
    strict_json.check_width(wide.encode(), item="the thing")
    strict_json.check_width("é".encode() * DEFAULT_LIMITS.json_wide, item="the thing")
    with pytest.raises(ContentError, match="Latin-1"):
        strict_json.check_width((wide + " ").encode(), item="the thing")


@pytest.mark.parametrize("read", [strict_json.loads, strict_json.check])
@pytest.mark.parametrize(("data", "number"), [(b"[1, 2, [], {}]", 6), (b'{"a": {"b": 1}, "c": 2}', 3)])
def test_values_are_allowed_up_to_the_limit(read: object, data: bytes, number: int) -> None:
    """Case 65."""
    assert callable(read)
    read(data, item="x", depth=8, values=number)
    with pytest.raises(ContentError, match=f"limit of {number - 1} values"):
        read(data, item="x", depth=8, values=number - 1)


@pytest.mark.parametrize("read", [strict_json.loads, strict_json.check])
def test_names_of_one_object_are_allowed_up_to_the_limit(read: object) -> None:
    """Case 65."""
    assert callable(read)
    names = [f"{number:x}" for number in range(DEFAULT_LIMITS.json_names + 1)]
    read(json.dumps(dict.fromkeys(names[1:])).encode(), item="x", depth=8)
    with pytest.raises(ContentError, match="names"):
        read(json.dumps(dict.fromkeys(names)).encode(), item="x", depth=8)
