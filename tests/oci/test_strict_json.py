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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("read", [strict_json.loads, strict_json.check])
def test_names_of_one_object_are_allowed_up_to_the_limit(read: object) -> None:
    """Case 65."""
    assert callable(read)
    names = [f"{number:x}" for number in range(DEFAULT_LIMITS.json_names + 1)]
    read(json.dumps(dict.fromkeys(names[1:])).encode(), item="x", depth=8)
    with pytest.raises(ContentError, match="names"):
        read(json.dumps(dict.fromkeys(names)).encode(), item="x", depth=8)


# --- keys that are one to readers that ignore case ---------------------------------------------------

NAMES = frozenset({"layers", "mediaType", "os"})
READERS = [strict_json.loads, strict_json.check]
letters = st.characters(exclude_categories=["Cs"])
cases = st.sampled_from(
    [
        "layers",
        "LAYERS",
        "Layers",
        "layer\u017f",
        "laYerS",
        "mediatype",
        "os\u017f",
        "O\u017f",
        "oS",
        "K",
        "k",
        "K",
        "é",
        "É",
        "ß",
        "ẞ",
        "ss",
        "\u0131",
        "i",
        "İ",
        "I",
    ]
)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "document",
    [
        {"layers": [], "Layers": []},
        {"a": {"x": 1, "X": 2}},
        {"a": [[{"x": 1, "X": 2}]]},
        {"x": 1, "\u017f": 2, "S": 3},
        {"K": 1, "k": 2},
        {"É": 1, "é": 2},
        {"annotations": {"a": {"x": 1, "X": 2}}},
        {"annotations": [{"x": 1, "X": 2}]},
        {"LAYERS": []},
        {"a": {"mediatype": ""}},
        {"O\u017f": 1},
    ],
)
@pytest.mark.parametrize("escaped", [True, False])
def test_keys_that_differ_by_case_are_refused(read: object, document: object, escaped: bool) -> None:
    assert callable(read)
    data = json.dumps(document, ensure_ascii=escaped).encode()
    with pytest.raises(ContentError, match="one key to readers that ignore case") as error:
        read(data, item="the thing", depth=8, names=NAMES)
    assert error.value.item == "the thing"


@pytest.mark.parametrize("read", READERS)
def test_the_maps_of_users_have_free_keys(read: object) -> None:
    assert callable(read)
    document = {
        "annotations": {"x": "1", "X": "2", "Layers": "3"},
        "tags": {"rc": "a", "RC": "b"},
        "ss": 1,
        "ß": 2,
    }
    result = read(json.dumps(document, ensure_ascii=False).encode(), item="x", depth=8, names=NAMES)
    assert result in (document, None)


def go_reads(key: str, field: str) -> bool:
    """Go's EqualFold, by the letters of one folding orbit each; only for the letters of these tests."""
    orbits = ["sS\u017f", "kKK", "éÉ", "ßẞ"]

    def same(one: str, other: str) -> bool:
        if one == other or (one.isascii() and other.isascii() and one.lower() == other.lower()):
            return True
        return any(one in orbit and other in orbit for orbit in orbits)

    return len(key) == len(field) and all(map(same, key, field))


@pytest.mark.parametrize("read", READERS)
@given(names=st.lists(cases, unique=True, max_size=5), escaped=st.booleans())
def test_a_document_is_refused_if_go_may_read_other_fields(
    read: object, names: list[str], escaped: bool
) -> None:
    assert callable(read)
    data = json.dumps(dict.fromkeys(names, 1), ensure_ascii=escaped).encode()
    pairs = [(key, other) for at, key in enumerate(names) for other in names[:at]]
    pairs += [(key, field) for key in names for field in NAMES if key != field]
    if any(go_reads(*pair) for pair in pairs):
        with pytest.raises(ContentError):
            read(data, item="x", depth=8, names=NAMES)
    else:
        read(data, item="x", depth=8, names=NAMES)


@given(st.text(letters))
def test_folding_keeps_the_number_of_letters_and_is_final(name: str) -> None:
    folded = strict_json.folded(name)
    assert len(folded) == len(name)
    assert strict_json.folded(folded) == folded
    if len(name.lower()) == len(name):
        assert folded == strict_json.folded(name.lower())
