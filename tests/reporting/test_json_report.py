"""Reports as values, and as the text that is written of them."""

from __future__ import annotations

import json

import pytest

from bundler.oci.digest import sha256
from bundler.oci.reference import RepositoryName
from bundler.reporting.json_report import (
    Report,
    RepositoryReport,
    TagReport,
    as_document,
    json_parts,
    reported,
)


def _of(tags: int) -> Report:
    found = tuple(TagReport(f"1.{number}.0", "skipped", sha256(b""), "\u00e4lter") for number in range(tags))
    entry = RepositoryReport(RepositoryName("h.example/app"), found)
    return Report("export", "0", (entry,), (), seconds={"select": 0.5})


def test_a_report_written_part_by_part_is_the_same_text() -> None:
    report = _of(tags=3)
    assert "".join(json_parts(reported(report))) == json.dumps(as_document(report), indent=2) + "\n"


@pytest.mark.slow
def test_a_long_report_is_never_one_text() -> None:
    parts = list(json_parts(reported(_of(tags=5_000))))
    assert max(map(len, parts)) < sum(map(len, parts)) / 5
