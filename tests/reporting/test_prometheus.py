"""Metrics, read back by the parser of Prometheus's own client library."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from bundler.reporting.json_report import (
    BlobCounts,
    BundleReport,
    Failure,
    Report,
    RepositoryReport,
    TagReport,
    TrafficReport,
)
from bundler.reporting.prometheus import HELP, PREFIX, Run, exposition, labels_of, last_success

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
NIGHTLY = Run("nightly", ended=1_800_000_000.5, duration=12.25)
GOOD = Report(
    command="export",
    tool_version="1.2.3",
    repositories=(
        RepositoryReport("h/a", (TagReport("1", "exported"), TagReport("2", "skipped"))),
        RepositoryReport("h/b", (TagReport("1", "exported"),)),
    ),
    failures=(),
    bundle=BundleReport("b.tar.zst", "sha256:0", size=4096),
    blobs=BlobCounts(moved=3, moved_bytes=3000, reused=2, reused_bytes=20, failed=1),
    traffic=TrafficReport(requests=17, retries=2, received_bytes=5000, sent_bytes=90),
    seconds={"select": 0.5, "fetch": 10.125},
    warnings=("one",),
    drifted=("h/a:1",),
)
BAD = replace(
    GOOD, failures=(Failure("h/c", "gone", 4), Failure("h/d", "slow", 5), Failure("h/e", "slow", 5))
)


def series(text: str) -> Series:
    """Every sample by name and labels, without those that all have."""
    found: Series = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            own = {"command": sample.labels.pop("command"), "job": sample.labels.pop("job")}
            assert own == {"command": "export", "job": "nightly"}
            key = (sample.name.removeprefix(f"{PREFIX}_"), frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def one(found: Series, name: str, **labels: str) -> float:
    """One sample."""
    return found[name, frozenset(labels.items())]


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("last_success_timestamp_seconds", {}, 1_800_000_000.5),
        ("last_run_timestamp_seconds", {}, 1_800_000_000.5),
        ("last_exit_code", {}, 0),
        ("last_duration_seconds", {}, 12.25),
        ("last_phase_duration_seconds", {"phase": "fetch"}, 10.125),
        ("last_tags", {"status": "exported"}, 2),
        ("last_tags", {"status": "failed"}, 0),
        ("last_failures", {"exit_code": "5"}, 0),
        ("last_warnings", {}, 1),
        ("last_drifted_tags", {}, 1),
        ("last_blobs", {"status": "reused"}, 2),
        ("last_blob_bytes", {"status": "moved"}, 3000),
        ("last_requests", {}, 17),
        ("last_retries", {}, 2),
        ("last_received_bytes", {}, 5000),
        ("last_sent_bytes", {}, 90),
        ("last_bundle_size_bytes", {}, 4096),
        ("last_unchanged", {}, 0),
        ("build_info", {"version": "1.2.3"}, 1),
    ],
)
def test_a_report_becomes_metrics(name: str, labels: dict[str, str], value: float) -> None:
    assert one(series(exposition(GOOD, NIGHTLY)), name, **labels) == value


def test_every_metric_is_explained_and_every_explanation_is_used() -> None:
    assert {name for name, _ in series(exposition(GOOD, NIGHTLY))} == set(HELP)


def test_failures_are_counted_by_the_exit_code_of_each() -> None:
    found = series(exposition(BAD, NIGHTLY))
    assert one(found, "last_exit_code") == 8
    assert [one(found, "last_failures", exit_code=code) for code in ("3", "4", "5")] == [0, 1, 2]


def test_a_run_that_fails_keeps_the_last_success() -> None:
    first = exposition(GOOD, NIGHTLY)
    kept = last_success(first, labels_of("export", "nightly"))
    assert kept == 1_800_000_000.5
    found = series(exposition(BAD, NIGHTLY._replace(ended=1_800_086_400.0), kept))
    assert one(found, "last_success_timestamp_seconds") == 1_800_000_000.5
    assert one(found, "last_run_timestamp_seconds") == 1_800_086_400.0


def test_who_never_succeeded_says_so_as_a_number() -> None:
    assert one(series(exposition(BAD, NIGHTLY)), "last_success_timestamp_seconds") == 0


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_file_is_anybodys(text: str) -> None:
    assert last_success(text, labels_of("export", "nightly")) == 0


@pytest.mark.parametrize(
    "text",
    ["node_load1 0.5\n",
     exposition(replace(GOOD, command="import"), NIGHTLY),
     exposition(GOOD, Run("n", 1, 1)),
     'timoni_bundler_last_success_timestamp_seconds{command="export",job="nightly"} often\n'],
)  # fmt: skip
def test_a_file_of_something_else_is_told_apart(text: str) -> None:
    assert last_success(text, labels_of("export", "nightly")) is None


@given(st.text(), st.text(), st.floats(0, 4e9), st.floats(0, 1e6))
def test_whatever_a_label_holds_can_be_read_back(job: str, version: str, ended: float, took: float) -> None:
    text = exposition(replace(GOOD, tool_version=version), Run(job, ended, took))
    (family,) = [
        found for found in text_string_to_metric_families(text) if found.name.endswith("_build_info")
    ]
    assert family.samples[0].labels == {"command": "export", "job": job, "version": version}
