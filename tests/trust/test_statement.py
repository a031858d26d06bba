"""The statement: one content, one spelling."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundler.errors import ContentError
from bundler.limits import DEFAULT_LIMITS
from bundler.oci import strict_json
from bundler.oci.digest import Digest, sha256
from bundler.trust.bundle_signing import moment_at
from bundler.trust.job import Job
from bundler.trust.statement import Moment, Statement, decode, encode
from tests.schema_checks import valid
from tests.trust.keys import AT, NOW

BUNDLE = sha256(b"inventory")
DOCUMENT = {"bundle": BUNDLE, "job": "nightly", "sequence": 7, "time": AT}
LATEST = 253_402_300_799
"""The last second of the year 9999."""
moments = st.integers(0, LATEST - 1).map(moment_at)


def refused(document: dict[str, Any] | bytes) -> str:
    """Why it can't be read."""
    with pytest.raises(ContentError) as error:
        decode(document if isinstance(document, bytes) else strict_json.canonical(document))
    return str(error.value)


@given(st.from_regex(Job.grammar, fullmatch=True), st.integers(0, (1 << 62) - 1), moments, st.booleans())
def test_what_is_written_is_read(job: str, sequence: int, time: Moment, expires: bool) -> None:
    end = moment_at(time.seconds + 1) if expires else None
    statement = Statement(BUNDLE, Job.parse(job), sequence, time, end)
    assert decode(encode(statement)) == statement
    valid("statement", json.loads(encode(statement)))


@given(moments)
def test_a_time_is_the_same_in_both_directions(moment: Moment) -> None:
    assert moment_at(moment.seconds) == moment


def test_the_bytes_are_those_of_the_documented_form() -> None:
    expected = f'{{"bundle":"{BUNDLE}","job":"nightly","sequence":7,"time":"2026-09-21T14:13:20Z"}}\n'
    assert encode(Statement(BUNDLE, Job("nightly"), 7, moment_at(NOW))) == expected.encode()


@pytest.mark.parametrize("field", DOCUMENT)
def test_nothing_may_be_missing(field: str) -> None:
    assert field in refused({name: value for name, value in DOCUMENT.items() if name != field})


@pytest.mark.parametrize(
    "wrong",
    [
        {"target": "elsewhere"},
        {"sequence": -1},
        {"sequence": 1 << 62},
        {"sequence": "7"},
        {"sequence": 7.0},
        {"sequence": True},
        {"job": "../x"},
        {"job": ".hidden"},
        {"job": "x" * 65},
        {"job": "nightly\n"},
        {"bundle": "sha256:0"},
        {"time": "2026-02-30T00:00:00Z"},
        {"time": "2026-09-21T14:13:20+00:00"},
        {"time": "2026-09-21T24:00:00Z"},
        {"time": NOW},
        {"expires": None},
        {"expires": AT},
        {"expires": "2020-01-01T00:00:00Z"},
    ],
)
def test_nothing_may_be_wrong_or_more(wrong: dict[str, Any]) -> None:
    assert refused({**DOCUMENT, **wrong}).startswith("statement.json: ")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null\n",
        b"[]\n",
        json.dumps(DOCUMENT).encode(),
        strict_json.canonical(DOCUMENT)[:-1],
        strict_json.canonical(DOCUMENT) + b"\n",
        strict_json.canonical(DOCUMENT).replace(b"\n", b"\r\n"),
        strict_json.canonical(DOCUMENT).replace(b"nightly", b"night\\u006cy"),
        strict_json.canonical(DOCUMENT).replace(b'"sequence":7', b'"sequence":7,"sequence":7'),
        strict_json.canonical(DOCUMENT).decode().encode("utf-16"),
    ],
)
def test_it_is_spelled_in_one_way_only(data: bytes) -> None:
    assert refused(data)


def test_it_may_be_as_large_as_the_limit_and_no_larger() -> None:
    data = encode(Statement(Digest(BUNDLE), Job("nightly"), 7, AT))
    at = DEFAULT_LIMITS._replace(statement=len(data))
    assert decode(data, limits=at).sequence == 7
    with pytest.raises(ContentError, match="larger than the limit"):
        decode(data, limits=at._replace(statement=len(data) - 1))
