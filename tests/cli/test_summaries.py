"""What commands print of many things."""

from __future__ import annotations

import pytest

from bundler.cli.terminal.bundle_text import compared_text
from bundler.cli.terminal.failure_groups import SHOWN, grouped
from bundler.cli.terminal.log import Log
from bundler.cli.terminal.outcome import print_failures
from bundler.cli.terminal.selection_text import explanation_text, import_plan_text
from bundler.cli.terminal.summaries import export_summary, import_summary, rollback_summary
from bundler.errors import ContentError, UsageError, ViolationsError
from bundler.reporting.json_report import (
    BlobCounts,
    BundleReport,
    Explanation,
    Failure,
    Report,
    RepositoryExplanation,
    RepositoryReport,
    SignerReport,
    StatementReport,
    Status,
    TagDecision,
    TagReport,
)

MANY = 20_000


def failures(count: int, cause: str = "broken") -> tuple[Failure, ...]:
    """Of different tags; `{}` in the cause becomes the number."""
    return tuple(
        Failure(f"h.example/app:{number}", cause.format(number), 6, "mend it") for number in range(count)
    )


@pytest.mark.parametrize("dry_run", [False, True])
def test_an_import_tells_gone_from_no_longer_selected(*, dry_run: bool) -> None:
    report = Report("import", "1", (), (), gone_at_source=2, no_longer_selected=1, dry_run=dry_run)
    assert import_summary(report, "t.example").splitlines()[1:] == [
        "2 tags gone at the source (deleted only with --prune)",
        "1 tag no longer selected (deleted only with --prune-deselected)",
    ]


def test_twenty_thousand_equal_failures_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_failures(failures(MANY), 8) == 8
    assert capsys.readouterr().err == (
        "timoni-bundler: error: 20,000 tags (h.example/app:0, h.example/app:1, h.example/app:2, ...): "
        "broken; mend it\n"
    )


def test_two_equal_failures_are_both_named(capsys: pytest.CaptureFixture[str]) -> None:
    print_failures(failures(2), 8)
    line = "timoni-bundler: error: 2 tags (h.example/app:0, h.example/app:1): broken; mend it\n"
    assert capsys.readouterr().err == line


def test_a_failure_alone_is_told_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_failures(failures(1), 6)
    assert capsys.readouterr().err == "timoni-bundler: error: h.example/app:0: broken; mend it\n"


@pytest.mark.slow
@pytest.mark.parametrize("more", [0, 1, MANY])
def test_a_hundred_causes_are_shown_and_the_others_counted(
    more: int, capsys: pytest.CaptureFixture[str]
) -> None:
    print_failures(failures(SHOWN + more, "broken in way {}"), 8)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("h.example/app:0: broken in way 0; mend it")
    hidden = f"{more:,} more causes: not shown; see all of them with --report FILE or --json"
    assert lines[SHOWN:] == ([f"timoni-bundler: error: {hidden}"] if more else [])


@pytest.mark.parametrize(
    ("cause", "shown"),
    [
        ("the target has sha256:{:064}", "the target has sha256:..."),
        ("http://h.example/v2/app/manifests/{}: 500", "http://h.example/... 500"),
    ],
)
def test_causes_that_differ_by_digest_or_path_are_one(cause: str, shown: str) -> None:
    assert [item.cause for item in grouped(failures(3, cause))] == [shown]


def test_failures_with_other_exit_codes_stay_apart() -> None:
    others = tuple(item.__class__(item.item, item.cause, 5, item.next_step) for item in failures(2))
    assert [item.exit_code for item in grouped((*failures(2), *others))] == [6, 5]


def test_what_is_not_a_tag_is_an_item() -> None:
    found = grouped(Failure(f"volume {number}", "damaged", 6) for number in range(2))
    assert [item.item for item in found] == ["2 items (volume 0, volume 1)"]


def test_mistakes_in_a_file_keep_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_failures(tuple(Failure(f"export.yaml:{line}", "unknown key", 2) for line in (2, 7)), 2)
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.slow
def test_violations_of_a_policy_are_grouped_too(capsys: pytest.CaptureFixture[str]) -> None:
    found = [ContentError(f"h.example/app:{number}", "not allowed") for number in range(MANY)]
    error = ViolationsError("policy", found)
    assert len(error.problems) == MANY
    Log().error(error)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("timoni-bundler: error: 20,000 tags (h.example/app:0, ")
    assert "and 19,989 more" in error.cause


def test_one_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Log().error(UsageError("export", "no output", "use -o"))
    assert capsys.readouterr().err == "timoni-bundler: error: export: no output; use -o\n"


# --- explain and dry runs ----------------------------------------------------------------------------

EXPLAINED = Explanation(
    (
        RepositoryExplanation(
            "h.example/app",
            (
                TagDecision("1.0.0", taken=False, reason="older than the newest 1"),
                TagDecision("1.10.0", taken=True, reason="among the newest 1"),
                TagDecision("latest", taken=False, reason="not a version"),
            ),
        ),
        RepositoryExplanation("h.example/db", (TagDecision("1", taken=True, reason="named"),)),
    )
)


def test_explain_shows_totals_first_and_taken_tags_only() -> None:
    assert explanation_text(EXPLAINED, all_tags=False).splitlines() == [
        "2 of 4 tags in 2 repositories; --all shows the others",
        "",
        "h.example/app: 1 of 3 tags",
        "  1.10.0  among the newest 1",
        "  not shown: 1 older than the newest 1, 1 not a version",
        "",
        "h.example/db: 1 tag",
        "  1  named",
    ]


def test_explain_shows_every_tag_with_all() -> None:
    assert explanation_text(EXPLAINED, all_tags=True).splitlines()[:6] == [
        "2 of 4 tags in 2 repositories",
        "",
        "h.example/app: 1 of 3 tags",
        "  - 1.0.0   older than the newest 1",
        "  + 1.10.0  among the newest 1",
        "  - latest  not a version",
    ]


DIGEST = f"sha256:{7:064}"


def report_of(*statuses: Status, dry_run: bool = False, reason: str = "") -> Report:
    """Of an import with a tag for each status."""
    tags = tuple(TagReport(f"1.{n}.0", status, DIGEST, reason) for n, status in enumerate(statuses))
    blobs = BlobCounts(2, 2048) if "pushed" in statuses else BlobCounts()
    repositories = (RepositoryReport("h.example/app", tags),)
    return Report("import", "1", repositories, (), blobs=blobs, dry_run=dry_run)


def test_a_dry_run_of_an_import_shows_what_would_change() -> None:
    text = import_plan_text(
        report_of("planned", "present", dry_run=True, reason="new"), "h.example", all_tags=False
    )
    assert text.splitlines() == [
        "h.example: 1 tag new, 1 there already; nothing was written",
        "",
        "h.example/app: 1 of 2 tags",
        "  1.0.0  sha256:000000000000  new",
        "  not shown: 1 new",
    ]


# --- summaries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "line"),
    [
        (["pushed", "pushed", "present"], "2 tags pushed, 1 there already; 2 blobs sent (2.0 kB)"),
        (["present", "present"], "all 2 tags are there already; nothing was sent"),
        (["present"], "the tag is there already; nothing was sent"),
        ([], "no tags; 0 blobs sent (0 B)"),
    ],
)
def test_an_import_says_what_the_target_has_now(statuses: list[Status], line: str) -> None:
    assert import_summary(report_of(*statuses), "h.example") == f"h.example: {line}"


@pytest.mark.parametrize(
    ("statuses", "line"),
    [
        (["skipped"] * 54, "nothing to move back: all 54 tags are newer than this file"),
        (["skipped"], "nothing to move back: the tag is newer than this file"),
        (["moved", "moved", "skipped"], "2 tags moved back, 1 newer than this file"),
        (["present", "moved"], "1 tag as before, 1 moved back"),
    ],
)
def test_a_rollback_says_what_moved_back(statuses: list[Status], line: str) -> None:
    assert rollback_summary(report_of(*statuses), "before.json") == f"before.json: {line}"


def test_an_export_says_what_was_written() -> None:
    repositories = (RepositoryReport("h.example/app", (TagReport("1", "exported", DIGEST),)),)
    report = Report("export", "1", repositories, (), BundleReport("b.tar.zst", DIGEST, size=1024))
    assert export_summary(report) == f"b.tar.zst: 1 tag, 1.0 kB\nbundle {DIGEST}"


# --- verify and inspect ------------------------------------------------------------------------------

NOW = 1_800_000_000  # 2027-01-15


def statement(expires: str | None = None, *signers: str) -> StatementReport:
    """Of the job `nightly`."""
    names = tuple(SignerReport(name, "SHA256:abc") for name in signers)
    return StatementReport("nightly", 7, "2026-11-30T12:00:00Z", expires, ("SHA256:abc",), names)


@pytest.mark.parametrize(
    ("said", "lines"),
    [
        (None, ["status  OK", "origin  not proven: the bundle is not signed", "expiry  none"]),
        (
            statement("2027-01-15T08:00:00Z"),
            [
                "job     nightly, number 7, signed 2026-11-30T12:00:00Z",
                "status  OK",
                "origin  not proven: claims SHA256:abc",
                "expiry  expired on 2027-01-15T08:00:00Z",
            ],
        ),
        (
            statement("2027-01-15T08:00:01Z", "alice", "bob"),
            [
                "job     nightly, number 7, signed 2026-11-30T12:00:00Z",
                "status  OK",
                "origin  proven: signed by alice (SHA256:abc)",
                "origin  proven: signed by bob (SHA256:abc)",
                "expiry  2027-01-15T08:00:01Z",
            ],
        ),
    ],
)
def test_verify_ends_with_status_origin_and_expiry(said: StatementReport | None, lines: list[str]) -> None:
    report = Report("verify", "1", (), (), BundleReport("b", DIGEST, statement=said), unchanged=True)
    assert compared_text(report, "h.example", DIGEST, NOW).splitlines()[2:] == lines
